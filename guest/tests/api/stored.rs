//! What another version has stored: it is shown, listed and changed, and nothing of it is lost.

use proptest::prelude::{Just, Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::{collection, sample};
use serde_json::{Value, json};

use crate::support::{Call, NOON, Service, minimal};

/// The record of an order.
fn record(service: &Service, id: &str) -> String {
    String::from_utf8(service.store.values(&format!("o/{id}")).remove(0)).unwrap()
}

#[test]
fn a_change_keeps_members_that_this_version_does_not_know() {
    let service = Service::new();
    let id = service.create();
    service.patch(&id, &json!({"metadata": {"a": "1"}}));
    service.store.rewrite("o/", |order| {
        let order = order.replace("\"layout\":2", "\"layout\":3");
        let order = order.replace(
            "\"version\":2",
            "\"version\":2,\"priority\":\"express\",\"weight\":12345678901234567890123,\"x\":1e400",
        );
        order
            .replace("{\"sku\"", "{\"gift\": true ,\"sku\"")
            .replace("\"a\":\"1\"", "\"a\":\"1\",\"nested\":{\"b\":[1.0]}")
    });
    service.store.rewrite("e/", |event| event.replacen("}", ",\"by\":\"x\"}", 1));
    service.act(&id, "confirm");
    service.patch(&id, &json!({"notes": "n", "metadata": {"c": "2"}}));
    service.act(&id, "ship");
    let stored = record(&service, &id);
    for kept in [
        "{\"layout\":3,",
        "\"priority\":\"express\"",
        "\"weight\":12345678901234567890123",
        "\"x\":1e400",
        "{\"gift\": true ,\"sku\"",
        "\"nested\":{\"b\":[1.0]}",
    ] {
        assert!(stored.contains(kept), "{kept}: {stored}");
    }
    let shown = service.get(&format!("/api/v1/orders/{id}"));
    assert_eq!(shown.text(), stored.replacen("\"layout\":3,", "", 1));
    assert!(service.get("/api/v1/orders").text().contains(shown.text()));
    let events = service.get(&format!("/api/v1/orders/{id}/events"));
    assert!(events.text().contains("\"by\":\"x\"") && !events.text().contains("layout"), "{}", events.text());
}

/// As every order was before records had layouts.
#[test]
fn an_order_of_layout_1_is_read_and_gets_the_present_layout_with_a_change() {
    let service = Service::new();
    let id = service.create();
    service.store.rewrite("", |record| record.replacen("\"layout\":2,", "", 1));
    let shown = service.get(&format!("/api/v1/orders/{id}"));
    assert_eq!(shown.text(), record(&service, &id));
    service.act(&id, "confirm");
    assert!(record(&service, &id).starts_with("{\"layout\":2,\"id\":"));
    assert_eq!(
        service.get(&format!("/api/v1/orders/{id}/events")).json()["items"].as_array().unwrap().len(),
        2
    );
}

#[test]
fn an_unknown_status_is_shown_and_filtered_and_allows_no_action() {
    let service = Service::new();
    let (other, id) = (service.create(), service.create());
    service.store.rewrite(&format!("o/{id}"), |order| order.replace("\"pending\"", "\"returned\""));
    service.store.put(&format!("s/returned/{id}"), "");
    let ids = |query: &str| {
        let page = service.get(&format!("/api/v1/orders{query}")).json();
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|order| order["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(""), [id.clone(), other.clone()]);
    assert_eq!(ids("?status=returned"), std::slice::from_ref(&id));
    assert_eq!(ids("?status=returned&customer=c"), std::slice::from_ref(&id));
    assert_eq!(ids("?status=pending"), [other]);
    assert!(ids("?status=a_status_that_nobody_has").is_empty());
    for action in ["confirm", "ship", "deliver", "cancel"] {
        let response = service.act(&id, action);
        let detail = response.problem(409, "transition-not-allowed");
        assert_eq!(detail, "The order is returned, which allows no action of this version.");
        assert_eq!(
            (&response.json()["order_status"], &response.json()["allowed"]),
            (&json!("returned"), &json!([]))
        );
    }
    let patched = service.patch(&id, &json!({"notes": "n"}));
    assert_eq!((patched.status(), &patched.json()["status"]), (200, &json!("returned")));
}

/// "never validates stored data by the rules for requests"
#[test]
fn rules_for_requests_do_not_apply_to_what_is_stored() {
    let service = Service::new();
    let id = service.create();
    service.store.rewrite("o/", |order| {
        let order = order.replace("\"currency\":\"EUR\"", "\"currency\":\"BITCOIN\"");
        let order = order
            .replace("\"quantity\":1", "\"quantity\":0.5")
            .replace("\"customer\":\"c\"", "\"customer\":\" \\n\"");
        order.replace("\"total\":0,", "")
    });
    let shown = service.get(&format!("/api/v1/orders/{id}"));
    assert_eq!((shown.status(), &shown.json()["items"][0]["quantity"]), (200, &json!(0.5)));
    assert_eq!(service.get("/api/v1/orders").json()["items"][0], shown.json());
    for action in ["confirm", "ship", "deliver"] {
        assert_eq!(service.act(&id, action).status(), 200);
    }
    // The rules may allow more later: what is there may stay, and shrink, but not grow.
    let members: serde_json::Map<_, _> = (0..60).map(|index| (format!("m{index}"), json!(index))).collect();
    service.store.rewrite("o/", |order| {
        order.replacen("}", &format!("}}],\"metadata\":{},\"rest\":[{{}}", json!(members)), 1)
    });
    let shown = service.get(&format!("/api/v1/orders/{id}")).json();
    assert_eq!(shown["metadata"].as_object().unwrap().len(), 60);
    assert_eq!(service.patch(&id, &json!({"metadata": {"m1": null, "m2": "x"}})).status(), 200);
    service.patch(&id, &json!({"metadata": {"new": "1"}})).field_errors();
    assert_eq!(
        service.patch(&id, &json!({"metadata": {"m3": null, "new": "1"}})).json()["metadata"]["m59"],
        59
    );
}

/// "A record that cannot be read never costs a list: it is logged, and passed over."
#[test]
fn what_cannot_be_read_is_left_out_of_lists() {
    let service = Service::new();
    let all: Vec<_> = (0..60).map(|_| service.create()).collect();
    let unreadable = &all[30];
    service.store.put(&format!("o/{unreadable}"), "{\"id\":");
    service.store.put("o/not-an-id", "x");
    service.store.put(&format!("s/pending/{}/more", all[10]), "x");
    service.get(&format!("/api/v1/orders/{unreadable}")).problem(500, "internal-error");
    for query in ["", "&status=pending", "&customer=c", "&sort=created_at", "&status=pending&customer=c"] {
        let (mut listed, mut causes, mut cursor) = (Vec::new(), Vec::new(), String::new());
        loop {
            let response = service.get(&format!("/api/v1/orders?limit=7{query}{cursor}"));
            causes.extend(response.0.cause.clone());
            let page = response.json();
            listed.extend(
                page["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|order| order["id"].as_str().unwrap().to_owned()),
            );
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        if !query.contains("sort") {
            listed.reverse();
        }
        let readable: Vec<_> = all.iter().filter(|id| *id != unreadable).cloned().collect();
        assert_eq!(listed, readable, "{query}");
        assert!(causes.iter().any(|cause| cause.contains(unreadable)), "{query}: {causes:?}");
    }
    // The same for events.
    let id = &all[0];
    service.act(id, "confirm");
    service.store.put(&format!("e/{id}/00000000000000000001"), "{");
    service.store.put(&format!("e/{id}/x"), "{}");
    let events = service.get(&format!("/api/v1/orders/{id}/events"));
    assert_eq!(events.json()["items"].as_array().unwrap().len(), 1);
    assert!(events.0.cause.unwrap().starts_with("2 records are left out"));
}

/// Records of a later version may be so large that a batch of them does not fit into one call of the store.
#[test]
fn large_records_of_another_version_are_listed_and_changed() {
    let service = Service::new();
    let all: Vec<_> = (0..12).map(|_| service.create()).collect();
    let filling = "x".repeat(1_000_000);
    service.store.rewrite("o/", |order| {
        order.replacen("}", &format!("}}],\"filling\":\"{filling}\",\"rest\":[{{}}"), 1)
    });
    for query in ["limit=100", "limit=12&customer=c&status=pending"] {
        let (mut listed, mut cursor) = (0, String::new());
        loop {
            let page = service.get(&format!("/api/v1/orders?{query}{cursor}")).json();
            listed += page["items"].as_array().unwrap().len();
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(listed, all.len(), "{query}");
    }
    assert_eq!(service.act(&all[0], "confirm").status(), 200);
    let notes = json!({"notes": "😀".repeat(2000)});
    assert_eq!(service.patch(&all[0], &notes).status(), 200);
    let metadata: serde_json::Map<_, _> =
        (0..50).map(|index| (format!("m{index}"), json!("x".repeat(500)))).collect();
    let patch = json!({"metadata": metadata, "notes": "😀".repeat(1999)});
    assert_eq!(service.patch(&all[0], &patch).status(), 200);
    let more: serde_json::Map<_, _> =
        (0..50).map(|index| (format!("m{index}"), json!("😀".repeat(500)))).collect();
    let errors = service.patch(&all[0], &json!({"metadata": more})).field_errors();
    assert_eq!(errors, [(String::new(), "would make the order larger than 1 MiB".to_owned())]);
}

/// Any JSON, as text: serde_json would round numbers.
fn any_json() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?",
        ".{0,12}".prop_map(|text| json!(text).to_string()),
        "(\\\\u[0-9a-cA-C][0-9a-fA-F]{3}|\\\\[\"\\\\/bfnrt]){0,4}".prop_map(|text| format!("\"{text}\"")),
    ];
    scalar.prop_recursive(3, 20, 4, |inner| {
        let member = (".{0,6}", inner.clone()).prop_map(|(name, value)| format!("{}:{value}", json!(name)));
        prop_oneof![
            collection::vec(inner, 0..4).prop_map(|elements| format!("[{}]", elements.join(", "))),
            collection::vec(member, 0..4).prop_map(|members| format!("{{ {}}}", members.join(","))),
        ]
    })
}

#[derive(Debug, Clone)]
enum Step {
    Act(&'static str),
    Patch(Value),
}

fn step() -> impl Strategy<Value = Step> {
    let action = sample::select(vec!["confirm", "ship", "deliver", "cancel"]);
    let patch = sample::select(vec![
        json!({"notes": "n"}),
        json!({"notes": null}),
        json!({"metadata": {"k": "v"}}),
        json!({"metadata": {"k": null}}),
    ]);
    prop_oneof![action.prop_map(Step::Act), patch.prop_map(Step::Patch)]
}

proptest! {
    /// For any members anywhere in a record, any sequence of operations keeps them.
    #[test]
    fn whatever_another_version_stores_is_kept(
        top in any_json(), item in any_json(), metadata in any_json(), event in any_json(),
        name in "[a-z]{1,8}_", steps in collection::vec(step(), 1..8),
    ) {
        let service = Service::new();
        let mut order = minimal();
        order["metadata"] = json!({"first": "1"});
        let id = service.post(order.to_string()).json()["id"].as_str().unwrap().to_owned();
        let member = |value: &str| format!("\"{name}\":{value}");
        service.store.rewrite("o/", |order| {
            let order = order.replacen("\"status\"", &format!("{},\"status\"", member(&top)), 1);
            let order = order.replacen("\"sku\"", &format!("{},\"sku\"", member(&item)), 1);
            order.replacen("\"first\"", &format!("{},\"first\"", member(&metadata)), 1)
        });
        service.store.rewrite("e/", |stored| stored.replacen("\"seq\"", &format!("{},\"seq\"", member(&event)), 1));
        for step in steps {
            service.clock.0.set(NOON + 5);
            let response = match step {
                Step::Act(action) => service.act(&id, action),
                Step::Patch(patch) => service.patch(&id, &patch),
            };
            prop_assert!(matches!(response.status(), 200 | 409), "{}", response.text());
        }
        let expected = [
            format!("{},\"status\"", member(&top)),
            format!("{},\"sku\"", member(&item)),
            format!("{},\"first\"", member(&metadata)),
        ];
        let events = service.get(&format!("/api/v1/orders/{id}/events"));
        prop_assert!(events.text().contains(&member(&event)), "{}", events.text());
        for text in [
            service.get(&format!("/api/v1/orders/{id}")).text(),
            service.get("/api/v1/orders").text(),
            &record(&service, &id),
        ] {
            for part in &expected {
                prop_assert!(text.contains(part), "{part}: {text}");
            }
        }
        let repeated = service.call(&mut Call::new("HEAD", &format!("/api/v1/orders/{id}")));
        prop_assert_eq!(repeated.status(), 200);
    }
}
