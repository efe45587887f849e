//! The filters of a list. Each uses an index, and the cost of a page depends on what it returns.

use proptest::prelude::{Strategy, prop_assert_eq, proptest};
use proptest::{collection, option, sample};
use serde_json::{Value, json};

use crate::support::{NOON, Service, TestResponse};

fn ids(response: &TestResponse) -> Vec<String> {
    assert_eq!(response.status(), 200, "{response:?}");
    let page = response.json();
    page["items"].as_array().unwrap().iter().map(|order| order["id"].as_str().unwrap().to_owned()).collect()
}

fn next(response: &TestResponse) -> Option<String> {
    response.header("link").map(|link| link.split(['<', '>']).nth(1).unwrap().to_owned())
}

/// The ids of all orders that a query finds, page by page, following `Link`.
fn list_all(service: &Service, query: &str) -> Vec<String> {
    let (mut walked, mut target) = (Vec::new(), Some(format!("/api/v1/orders?{query}")));
    while let Some(path) = target {
        let response = service.get(&path);
        walked.extend(ids(&response));
        target = next(&response);
    }
    walked
}

#[test]
fn orders_are_filtered_by_status() {
    let service = Service::new();
    let all: Vec<_> = (0..4).map(|_| service.create()).collect();
    service.act(&all[1], "confirm");
    service.act(&all[3], "confirm");
    service.act(&all[3], "ship");
    for (status, expected) in [
        ("pending", vec![2, 0]),
        ("confirmed", vec![1]),
        ("shipped", vec![3]),
        ("delivered", vec![]),
        ("cancelled", vec![]),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|index: usize| all[index].clone()).collect();
        assert_eq!(list_all(&service, &format!("status={status}")), expected, "{status}");
    }
}

#[test]
fn orders_are_filtered_by_customer() {
    let service = Service::new();
    let ada: Vec<_> = (0..3).map(|_| service.create_for("Ada & Söhne")).collect();
    let bob = service.create_for("bob");
    assert_eq!(list_all(&service, "customer=bob"), [bob]);
    let expected: Vec<_> = ada.into_iter().rev().collect();
    assert_eq!(
        list_all(&service, "customer=Ada%20%26+S%C3%B6hne&limit=1"),
        expected,
        "the links are percent-encoded"
    );
    assert!(list_all(&service, "customer=BOB").is_empty());
}

/// Both bounds are exclusive, with a precision of one millisecond and any offset.
#[test]
fn orders_are_filtered_by_creation_time() {
    let service = Service::new();
    // Created at 12:30:06.001 to 12:30:06.004.
    let all: Vec<_> = (0..4).map(|_| service.create()).collect();
    let time = |rest: &str| format!("2026-11-22T{rest}");
    for (query, expected) in [
        (format!("created_after={}", time("12:30:06.002Z")), vec![3, 2]),
        (format!("created_before={}", time("12:30:06.002Z")), vec![0]),
        (format!("created_before={}", time("12:30:06.0020001Z")), vec![1, 0]),
        (format!("created_after={}", time("12:30:06.0015Z")), vec![3, 2, 1]),
        (format!("created_after={}", time("13:30:06.003%2B01:00")), vec![3]),
        (
            format!("created_after={}&created_before={}", time("12:30:06.001Z"), time("12:30:06.004z")),
            vec![2, 1],
        ),
        (format!("created_after={}&created_before={}", time("12:30:06.004Z"), time("12:30:06.001Z")), vec![]),
        ("created_after=0000-01-01T00:00:00Z".to_owned(), vec![3, 2, 1, 0]),
        ("created_before=0000-01-01T00:00:00Z".to_owned(), vec![]),
        ("created_after=9999-12-31T23:59:59.999Z".to_owned(), vec![]),
        ("created_before=9999-12-31T23:59:59.999Z".to_owned(), vec![3, 2, 1, 0]),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|index: usize| all[index].clone()).collect();
        assert_eq!(list_all(&service, &format!("{query}&limit=1")), expected, "{query}");
    }
}

/// "`sort` = `-created_at` (default) or `created_at`".
#[test]
fn orders_are_sorted_oldest_or_newest_first() {
    let service = Service::new();
    let all: Vec<_> = (0..5).map(|_| service.create()).collect();
    for limit in 1..=6 {
        assert_eq!(list_all(&service, &format!("sort=created_at&limit={limit}")), all);
    }
    let newest: Vec<_> = all.iter().rev().cloned().collect();
    assert_eq!(list_all(&service, "sort=-created_at&limit=2"), newest);
}

#[test]
fn an_invalid_filter_is_400_and_the_detail_states_the_rule() {
    for (query, detail) in [
        ("status=Pending", "must be a status, such as pending"),
        ("status=", "must be a status"),
        ("status=_a", "the first of them a letter"),
        ("status=abcdefghijklmnopqrstuvwxyz_abcdef", "1 to 32 characters"),
        ("customer=", "must have 1 to 200 code points"),
        ("created_after=yesterday", "The parameter created_after must be an RFC 3339 time"),
        ("created_before=2026-11-22", "The parameter created_before must be an RFC 3339 time"),
        ("created_after=2026-11-22T12:30:06+01:00", "Encode + as %2B"),
        ("sort=total", "must be created_at or -created_at"),
        ("status=pending&status=pending", "must occur only once"),
    ] {
        let response = Service::new().get(&format!("/api/v1/orders?{query}"));
        let actual = response.problem(400, "invalid-parameter");
        assert!(actual.contains(detail), "{actual}");
    }
}

/// "a combination of filters may return a short page with a cursor": one page scans a bounded number of orders.
#[test]
fn a_combination_of_filters_may_return_short_pages() {
    let service = Service::new();
    let wanted = service.create_for("ada");
    service.act(&wanted, "cancel");
    for _ in 0..450 {
        service.create_for("ada");
    }
    for limit in [1, 20, 100] {
        service.store.calls.set([0; 3]);
        let first = service.get(&format!("/api/v1/orders?customer=ada&status=cancelled&limit={limit}"));
        assert_eq!((first.status(), ids(&first).len()), (200, 0));
        assert!(next(&first).is_some());
        let calls = service.store.calls.get();
        assert!(calls[0] + calls[1] <= 20, "{limit}: {calls:?}");
    }
    assert_eq!(list_all(&service, "customer=ada&status=cancelled"), [wanted]);
}

/// "A page costs what it returns".
#[test]
fn the_number_of_store_calls_does_not_depend_on_the_number_of_orders() {
    let service = Service::new();
    let mut costs = Vec::new();
    for count in [30, 1000] {
        (service.store.keys("o/").len()..count).for_each(|_| _ = service.create());
        for query in ["", "?customer=c", "?status=pending", "?sort=created_at"] {
            service.store.calls.set([0; 3]);
            assert_eq!(ids(&service.get(&format!("/api/v1/orders{query}"))).len(), 20);
            costs.push(service.store.calls.get());
        }
    }
    assert_eq!(costs[..4], costs[4..]);
    assert_eq!(costs[..2], [[0, 1, 0], [1, 1, 0]]);
}

#[test]
fn orders_with_an_outdated_index_entry_are_not_listed() {
    let service = Service::new();
    service.create();
    service.store.rewrite("o/", |order| order.replace("pending", "shipped").replace("\"c\"", "\"d\""));
    assert!(list_all(&service, "status=pending").is_empty());
    assert!(list_all(&service, "customer=c").is_empty());
    service.store.records.borrow_mut().retain(|key, _| !key.starts_with("o/"));
    assert!(list_all(&service, "status=pending").is_empty());
}

/// An order in the model of the test: id, creation time in milliseconds, customer and status.
type Known = (String, u64, &'static str, &'static str);

/// The parameters of a list: customer, status, created after and before (in milliseconds), oldest first, limit.
type Parameters = (Option<&'static str>, Option<&'static str>, Option<u64>, Option<u64>, bool, usize);

fn filters() -> impl Strategy<Value = Parameters> {
    (
        option::of(sample::select(vec!["ada", "bob"])),
        option::of(sample::select(vec!["pending", "confirmed", "cancelled"])),
        option::of(0..40u64),
        option::of(0..40u64),
        sample::select(vec![true, false]),
        1..8usize,
    )
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]

    #[test]
    fn every_combination_of_filters_lists_the_matching_orders_once_and_in_order(
        orders in collection::vec((0..40u64, sample::select(vec!["ada", "bob"]), 0..3usize), 0..40),
        filters in collection::vec(filters(), 1..12),
    ) {
        let service = Service::new();
        let mut known: Vec<Known> = Vec::new();
        for (ms, customer, state) in orders {
            service.clock.0.set(NOON + ms - 1);
            let id = service.create_for(customer);
            let status = ["pending", "confirmed", "cancelled"][state];
            if state > 0 {
                service.act(&id, ["", "confirm", "cancel"][state]);
            }
            known.push((id, NOON + ms, customer, status));
        }
        known.sort();
        for (customer, status, after, before, ascending, limit) in filters {
            let time = |ms: u64| format!("2026-11-22T12:30:06.{ms:03}Z");
            let mut query = format!("limit={limit}");
            customer.into_iter().for_each(|customer| query += &format!("&customer={customer}"));
            status.into_iter().for_each(|status| query += &format!("&status={status}"));
            after.into_iter().for_each(|after| query += &format!("&created_after={}", time(after)));
            before.into_iter().for_each(|before| query += &format!("&created_before={}", time(before)));
            if ascending {
                query += "&sort=created_at";
            }
            let mut expected: Vec<_> = known
                .iter()
                .filter(|(_, created_at, orderer, state)| {
                    customer.is_none_or(|customer| customer == *orderer)
                        && status.is_none_or(|status| status == *state)
                        && after.is_none_or(|after| *created_at > NOON + after)
                        && before.is_none_or(|before| *created_at < NOON + before)
                })
                .map(|(id, ..)| id.clone())
                .collect();
            if !ascending {
                expected.reverse();
            }
            prop_assert_eq!(list_all(&service, &query), expected, "{}", query);
        }
    }

    #[test]
    fn indexes_and_events_match_the_orders_after_any_sequence_of_changes(
        steps in collection::vec((0..4usize, sample::select(vec!["confirm", "ship", "deliver", "cancel", "patch", "create"])), 1..40),
    ) {
        let service = Service::new();
        let mut all = vec![service.create()];
        for (index, step) in steps {
            let id = all[index % all.len()].clone();
            match step {
                "create" => all.push(service.create_for(["a", "b"][index % 2])),
                "patch" => _ = service.patch(&id, &json!({"notes": index.to_string()})),
                action => _ = service.act(&id, action),
            }
        }
        let orders: Vec<Value> =
            service.store.values("o/").iter().map(|order| serde_json::from_slice(order).unwrap()).collect();
        prop_assert_eq!(service.store.keys("s/").len(), orders.len());
        prop_assert_eq!(service.store.keys("c/").len(), orders.len());
        for order in &orders {
            let (id, status) = (order["id"].as_str().unwrap(), order["status"].as_str().unwrap());
            prop_assert_eq!(service.store.keys(&format!("s/{status}/{id}")).len(), 1);
            let events: Vec<Value> = service
                .store
                .values(&format!("e/{id}/"))
                .iter()
                .map(|event| serde_json::from_slice(event).unwrap())
                .collect();
            let numbers: Vec<_> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
            prop_assert_eq!(numbers, (1..=order["version"].as_u64().unwrap()).collect::<Vec<_>>());
            let last = events.iter().rev().find(|event| event["type"] != "updated").unwrap();
            let state = if last["type"] == "created" { "pending" } else { last["type"].as_str().unwrap() };
            prop_assert_eq!(state, status);
        }
    }
}
