//! POST /api/v1/orders with a valid order.

use proptest::prelude::{Strategy, any, prop_assert_eq, prop_oneof, proptest};
use proptest::{collection, option};
use serde_json::{Value, json};

use crate::support::{Call, NOON, Service, full, minimal, padded, uuid_version, with};

/// "201, `Location`, `ETag`, the order".
#[test]
fn a_valid_order_is_created() {
    let service = Service::new();
    let response = service.post(full().to_string());
    assert_eq!(response.status(), 201);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("etag"), Some("\"1-2\""));
    let order = response.json();
    let id = order["id"].as_str().unwrap();
    assert_eq!(response.header("location"), Some(format!("/api/v1/orders/{id}").as_str()));

    let mut expected = full();
    expected["id"] = json!(id);
    expected["status"] = json!("pending");
    expected["version"] = json!(1);
    expected["total"] = json!(3 * 1999 + 10_000_000_000_000_u64);
    expected["created_at"] = json!("2026-11-22T12:30:06.000Z");
    expected["updated_at"] = json!("2026-11-22T12:30:06.000Z");
    assert_eq!(order, expected);
}

#[test]
fn absent_members_stay_absent() {
    let order = Service::new().post(minimal().to_string()).json();
    let members: Vec<_> = order.as_object().unwrap().keys().map(String::as_str).collect();
    let expected =
        ["created_at", "currency", "customer", "id", "items", "status", "total", "updated_at", "version"];
    assert_eq!(members, expected);
    assert_eq!(order["items"], minimal()["items"]);
}

/// "`id`: UUIDv7, ours": it contains the time of `created_at`; the rest is random.
#[test]
fn the_id_is_a_version_7_uuid() {
    let service = Service::new();
    let id = service.post(minimal().to_string()).json()["id"].as_str().unwrap().to_owned();
    assert_eq!(uuid_version(&id), '7');
    assert!(id.replace('-', "").starts_with(&format!("{NOON:012x}")));
    let other = service.post(minimal().to_string()).json()["id"].as_str().unwrap().to_owned();
    assert!(other.replace('-', "").starts_with(&format!("{NOON:012x}")));
    assert_ne!(id, other);
}

#[test]
fn ids_sort_by_creation_time() {
    let service = Service::new();
    let ids: Vec<_> = (0..300).map(|_| service.create()).collect();
    assert!(ids.is_sorted_by(|one, next| one < next));
}

#[test]
fn a_wrong_clock_does_not_prevent_creates() {
    let service = Service::new();
    for (now, time) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (u64::MAX, "9999-12-31T23:59:59.999Z"),
        (NOON, "2026-11-22T12:30:06.000Z"),
    ] {
        service.clock.0.set(now);
        assert_eq!(service.post(minimal().to_string()).json()["created_at"], time);
    }
}

/// "`total`: Σ quantity × unit_price, minor units; cannot overflow".
#[test]
fn the_largest_total_does_not_overflow() {
    let item = json!({"sku": "s", "quantity": 10_000, "unit_price": 1_000_000_000});
    let order = with(minimal(), "/items", json!(vec![item; 100]));
    assert_eq!(Service::new().post(order.to_string()).json()["total"], json!(1_000_000_000_000_000_u64));
}

/// "JSON integers may be written `2` or `2.0`, as JSON Schema has it; `2.5` is 422".
#[test]
fn integers_may_be_written_with_a_point_or_an_exponent() {
    for (text, expected) in
        [("2", 2), ("2.0", 2), ("1e2", 100), ("1E+2", 100), ("20e-1", 2), ("10000.000", 10_000)]
    {
        let body = with(minimal(), "/items/0/quantity", json!("@")).to_string().replace("\"@\"", text);
        let response = Service::new().post(body);
        assert_eq!(response.status(), 201, "{text}: {response:?}");
        assert!(response.text().contains(&format!("\"quantity\":{expected},")), "{}", response.text());
    }
}

#[test]
fn a_body_may_be_escaped_and_spaced() {
    let item = "{\"sku\":\"s\",\"quantity\":1,\"unit_price\":-0.0}";
    let body = format!(
        " {{\t\"cust\\u006fmer\":\r\n\"\\ud83d\\ude00\",\"currency\":\"\\u0045UR\",\"items\" : [{item}]}}\n"
    );
    let order = Service::new().post(body).json();
    assert_eq!(
        (&order["customer"], &order["currency"], &order["total"]),
        (&json!("😀"), &json!("EUR"), &json!(0))
    );
}

/// "Body 1 MiB".
#[test]
fn a_body_of_exactly_1_mib_is_accepted() {
    assert_eq!(Service::new().post(padded(1_048_576)).status(), 201);
}

#[test]
fn the_stored_order_equals_the_response() {
    let service = Service::new();
    let response = service.post(full().to_string());
    let stored = String::from_utf8(service.store.values("o/").remove(0)).unwrap();
    assert_eq!(stored.replacen("\"layout\":2,", "", 1), response.text());
}

/// A value in the store has at most 1 MiB. The largest JSON encoding of an allowed code point has four bytes.
#[test]
fn the_largest_order_fits_into_the_store() {
    let response = Service::new().post(largest());
    assert_eq!(response.status(), 201);
    let size = response.0.body.len();
    assert!((200_000..210_000).contains(&size), "{size}");
}

/// Pages of the largest orders have fewer orders than the limit, and every order is listed once.
#[test]
fn pages_of_large_orders_are_short() {
    let service = Service::new();
    let order = largest();
    let mut all: Vec<_> = (0..40)
        .map(|_| {
            service.clock.0.set(service.clock.0.get() + 1);
            service.post(&order).json()["id"].clone()
        })
        .collect();
    all.reverse();
    let (mut walked, mut pages) = (Vec::new(), 0);
    let mut target = Some("/api/v1/orders?limit=100".to_owned());
    while let Some(path) = target {
        let response = service.get(&path);
        assert!(response.0.body.len() < 1 << 20);
        let page = response.json();
        walked.extend(page["items"].as_array().unwrap().iter().map(|order| order["id"].clone()));
        target = page["next_cursor"].as_str().map(|next| format!("/api/v1/orders?limit=100&cursor={next}"));
        pages += 1;
    }
    assert_eq!(walked, all);
    assert_eq!(pages, 8, "pages of 5 orders");
}

/// The valid order whose response has the most bytes.
fn largest() -> String {
    let wide = |count: usize| json!("😀".repeat(count));
    let item =
        json!({"sku": "s".repeat(64), "name": wide(200), "quantity": 10_000, "unit_price": 1_000_000_000});
    let metadata: serde_json::Map<String, Value> =
        (0..50).map(|index| (format!("{index:040}"), wide(500))).collect();
    let order = json!({"customer": wide(200), "currency": "EUR",
        "items": vec![item; 100], "notes": wide(2000), "metadata": metadata});
    order.to_string()
}

#[test]
fn the_body_is_read_exactly_once() {
    let mut call = Call::post(minimal().to_string());
    Service::new().call(&mut call);
    assert_eq!(call.body_reads, 1);
}

/// Text with a number of code points in this range. About half of them are outside ASCII.
fn text(range: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = String> {
    let any = any::<char>().prop_filter("no control character", |character| !character.is_control());
    let character = prop_oneof![any, proptest::char::range(' ', '~')];
    collection::vec(character, range).prop_map(String::from_iter)
}

fn item() -> impl Strategy<Value = Value> {
    ("[A-Za-z0-9._-]{1,64}", option::of(text(1..=200)), 1..=10_000, 0..=9_000_000_000_u64).prop_map(
        |(sku, name, quantity, unit_price)| {
            let mut item = json!({"sku": sku, "quantity": quantity, "unit_price": unit_price});
            if let Some(name) = name {
                item["name"] = json!(name);
            }
            item
        },
    )
}

/// Any valid order.
fn order() -> impl Strategy<Value = Value> {
    let metadata = collection::btree_map("[A-Za-z0-9_.-]{1,40}", text(0..=30), 0..=50);
    let items = collection::vec(item(), 1..=100);
    (text(0..=199), items, option::of(text(0..=300)), option::of(metadata)).prop_map(
        |(customer, items, notes, metadata)| {
            let mut order = json!({"customer": format!("{customer}."), "currency": "JPY", "items": items});
            if let Some(notes) = notes {
                order["notes"] = json!(notes);
            }
            if let Some(metadata) = metadata {
                order["metadata"] = json!(metadata);
            }
            order
        },
    )
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn an_accepted_order_is_returned_unchanged_by_post_and_get(order in order()) {
        let service = Service::new();
        let created = service.post(order.to_string());
        prop_assert_eq!(created.status(), 201, "{}", created.text());
        for (name, value) in order.as_object().unwrap() {
            prop_assert_eq!(&created.json()[name], value);
        }
        let fetched = service.get(created.header("location").unwrap());
        prop_assert_eq!(fetched.text(), created.text());
    }

    #[test]
    fn any_invalid_body_is_rejected_with_400_or_422(body: Vec<u8>, almost in "[\\[\\]{}:,\"a0 .e-]{0,60}") {
        for body in [body, almost.into_bytes()] {
            let status = Service::new().post(body).status();
            prop_assert_eq!(status == 400 || status == 422, true, "{}", status);
        }
    }
}
