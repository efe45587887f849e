//! The filters of a list: each reads an index, and a page costs what it returns.

use proptest::prelude::{Strategy, prop_assert_eq, proptest};
use proptest::{collection, option, sample};
use serde_json::{Value, json};

use crate::support::{Answer, NOON, Service};

fn ids(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status(), 200, "{answer:?}");
    let page = answer.json();
    page["items"].as_array().unwrap().iter().map(|order| order["id"].as_str().unwrap().to_owned()).collect()
}

fn next(answer: &Answer) -> Option<String> {
    answer.header("link").map(|link| link.split(['<', '>']).nth(1).unwrap().to_owned())
}

/// All orders that a query finds, page by page, by following `Link`.
fn walk(service: &Service, query: &str) -> Vec<String> {
    let (mut walked, mut target) = (Vec::new(), Some(format!("/api/v1/orders?{query}")));
    while let Some(path) = target {
        let answer = service.get(&path);
        walked.extend(ids(&answer));
        target = next(&answer);
    }
    walked
}

#[test]
fn by_status() {
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
        assert_eq!(walk(&service, &format!("status={status}")), expected, "{status}");
    }
}

#[test]
fn by_customer() {
    let service = Service::new();
    let ada: Vec<_> = (0..3).map(|_| service.create_for("Ada & Söhne")).collect();
    let bob = service.create_for("bob");
    assert_eq!(walk(&service, "customer=bob"), [bob]);
    let expected: Vec<_> = ada.into_iter().rev().collect();
    assert_eq!(
        walk(&service, "customer=Ada%20%26+S%C3%B6hne&limit=1"),
        expected,
        "and the links are escaped"
    );
    assert!(walk(&service, "customer=BOB").is_empty());
}

/// Both ends are exclusive, to the millisecond; any offset will do.
#[test]
fn by_time() {
    let service = Service::new();
    // At 12:30:06.001 to .004.
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
        assert_eq!(walk(&service, &format!("{query}&limit=1")), expected, "{query}");
    }
}

/// "`sort` = `-created_at` (default) or `created_at`".
#[test]
fn oldest_first() {
    let service = Service::new();
    let all: Vec<_> = (0..5).map(|_| service.create()).collect();
    for limit in 1..=6 {
        assert_eq!(walk(&service, &format!("sort=created_at&limit={limit}")), all);
    }
    let newest: Vec<_> = all.iter().rev().cloned().collect();
    assert_eq!(walk(&service, "sort=-created_at&limit=2"), newest);
}

#[test]
fn wrong_filters_are_told_what_would_be_right() {
    for (query, detail) in [
        ("status=Pending", "must be one of pending, confirmed, shipped, delivered, cancelled"),
        ("status=", "must be one of"),
        ("customer=", "must have 1 to 200 code points"),
        ("customer=%20", "one of them not white space"),
        ("created_after=yesterday", "The parameter created_after must be a time of RFC 3339"),
        ("created_before=2026-11-22", "The parameter created_before must be a time of RFC 3339"),
        ("created_after=2026-11-22T12:30:06+01:00", "A + in it is written %2B"),
        ("sort=total", "must be created_at or -created_at"),
        ("status=pending&status=pending", "must be given once"),
    ] {
        let answer = Service::new().get(&format!("/api/v1/orders?{query}"));
        let told = answer.problem(400, "invalid-parameter");
        assert!(told.contains(detail), "{told}");
    }
}

/// "a combination of filters may return a short page with a cursor": it looks at a bounded number of orders.
#[test]
fn a_combination_may_give_short_pages() {
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
    assert_eq!(walk(&service, "customer=ada&status=cancelled"), [wanted]);
}

/// "A page costs what it returns": the calls to the store do not depend on how many orders there are.
#[test]
fn a_page_costs_the_same_in_a_large_store() {
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

/// An order whose place in an index is out of date is not shown in it.
#[test]
fn an_index_is_not_taken_at_its_word() {
    let service = Service::new();
    service.create();
    service.store.rewrite("o/", |order| order.replace("pending", "shipped").replace("\"c\"", "\"d\""));
    assert!(walk(&service, "status=pending").is_empty());
    assert!(walk(&service, "customer=c").is_empty());
    service.store.records.borrow_mut().retain(|key, _| !key.starts_with("o/"));
    assert!(walk(&service, "status=pending").is_empty());
}

/// What the test knows of an order.
type Known = (String, u64, &'static str, &'static str);

/// The parameters of a list: customer, status, after and before (in milliseconds), oldest first, limit.
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

    /// Every combination finds exactly what going through all orders finds, in the right order, each once.
    #[test]
    fn filters_find_what_they_should(
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
                .filter(|(_, made, of, state)| {
                    customer.is_none_or(|customer| customer == *of)
                        && status.is_none_or(|status| status == *state)
                        && after.is_none_or(|after| *made > NOON + after)
                        && before.is_none_or(|before| *made < NOON + before)
                })
                .map(|(id, ..)| id.clone())
                .collect();
            if !ascending {
                expected.reverse();
            }
            prop_assert_eq!(walk(&service, &query), expected, "{}", query);
        }
    }

    /// Whatever happens to orders, the indexes and the events say what the orders say.
    #[test]
    fn indexes_and_events_agree_with_orders(
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
