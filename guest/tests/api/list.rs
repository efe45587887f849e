//! GET /api/v1/orders.

use std::collections::BTreeSet;

use proptest::prelude::{prop_assert, proptest};

use crate::support::{Call, Service, TestResponse, large};

/// The ids on a page.
fn ids(response: &TestResponse) -> Vec<String> {
    let page = response.json();
    let items = page["items"].as_array().unwrap();
    items.iter().map(|order| order["id"].as_str().unwrap().to_owned()).collect()
}

/// The target of `Link: <…>; rel="next"`, which must agree with `next_cursor`.
fn next(response: &TestResponse) -> Option<String> {
    let link = response.header("link").map(|link| {
        link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap().to_owned()
    });
    let page = response.json();
    let cursor = page.get("next_cursor").map(|cursor| cursor.as_str().unwrap());
    assert_eq!(link.as_deref().map(|link| link.rsplit_once("&cursor=").unwrap().1), cursor);
    link
}

#[test]
fn a_store_without_orders_gives_an_empty_list() {
    let response = Service::new().get("/api/v1/orders");
    assert_eq!((response.status(), response.text()), (200, "{\"items\":[]}"));
    assert_eq!(response.header("link"), None);
    assert_eq!(response.header("cache-control"), Some("private, no-cache"));
    assert_eq!(response.header("content-type"), Some("application/json"));
}

/// "`limit` 1…100 (20)", "Newest first", and a link to the next page if and only if there are more orders.
#[test]
fn a_page_contains_the_newest_orders_up_to_the_limit() {
    let service = Service::new();
    let mut all: Vec<_> = (0..101).map(|_| service.create()).collect();
    all.reverse();
    for (query, limit) in
        [("", 20), ("?", 20), ("?limit=1", 1), ("?limit=20", 20), ("?limit=100", 100), ("?limit=007", 7)]
    {
        let response = service.get(&format!("/api/v1/orders{query}"));
        assert_eq!(ids(&response), all[..limit], "{query}");
        assert!(next(&response).unwrap().starts_with(&format!("/api/v1/orders?limit={limit}&cursor=")));
    }
}

/// "`Vary: Accept-Encoding` wherever an answer may be gzip'd"
#[test]
fn a_large_page_is_compressed_if_the_client_accepts_it() {
    let service = Service::new();
    let id = service.create();
    let events = format!("/api/v1/orders/{id}/events");
    for orders in [0, 5] {
        for _ in 0..orders {
            assert_eq!(service.post(large(2).to_string()).status(), 201);
        }
        for target in ["/api/v1/orders?limit=5", &events] {
            let plain = service.get(target);
            let accepted = Call::new("GET", target).header("accept-encoding", "gzip");
            let packed = service.call(&mut accepted.clone());
            let is_large = plain.0.body.len() >= 16 * 1024;
            assert_eq!(is_large, orders > 0 && target != events, "{}", plain.0.body.len());
            assert_eq!(packed.header("content-encoding"), is_large.then_some("gzip"));
            assert_eq!(packed.decoded(), plain.0.body);
            assert!(!is_large || packed.0.body.len() * 10 < plain.0.body.len(), "{}", packed.0.body.len());
            assert_eq!(plain.header("content-encoding"), None);
            for response in [&plain, &packed] {
                assert_eq!(response.header("vary"), Some("Accept-Encoding"));
                assert_eq!(response.header("content-length"), Some(&*response.0.body.len().to_string()));
            }
            assert_eq!(packed.header("link"), plain.header("link"));
        }
    }
}

/// "`next_cursor`?"
#[test]
fn a_full_last_page_has_no_next_page() {
    let service = Service::new();
    for count in 1..=5 {
        service.create();
        let response = service.get("/api/v1/orders?limit=4");
        assert_eq!(ids(&response).len(), count.min(4));
        assert_eq!(next(&response).is_some(), count > 4, "{count}");
    }
}

/// The most bytes of orders on a page with several orders.
const MAX_PAGE: usize = 1 << 20;

/// Creates orders with this many members of metadata; returns their ids, newest first, and the size of one.
fn create_large(service: &Service, members: usize, count: usize) -> (Vec<String>, usize) {
    let body = large(members).to_string();
    let create = |_| {
        service.clock.0.set(service.clock.0.get() + 1);
        let response = service.post(&body);
        (response.json()["id"].as_str().unwrap().to_owned(), response.text().len())
    };
    let (ids, sizes): (Vec<_>, Vec<_>) = (0..count).map(create).unzip();
    (ids.into_iter().rev().collect(), sizes[0])
}

/// A page holds at most 1 MiB of orders, but at least one, and is not shorter than it must be.
#[test]
fn a_page_of_large_orders_has_at_most_one_mebibyte() {
    for (members, count) in [(5, 130), (16, 101), (50, 30)] {
        let service = Service::new();
        let (all, size) = create_large(&service, members, count);
        // The index is filled, so that only pages are read.
        (0..10).for_each(|_| _ = service.get("/api/v1/orders?customer=c&status=none"));
        for query in ["", "&customer=c", "&status=pending", "&customer=c&status=pending"] {
            let (mut walked, mut target) = (Vec::new(), Some(format!("/api/v1/orders?limit=100{query}")));
            while let Some(page) = target {
                service.store.bytes_read.set(0);
                let response = service.get(&page);
                let (listed, length) = (ids(&response).len(), response.text().len());
                // The cursor, and the comma after each order.
                assert!(length <= MAX_PAGE + 200, "{members} {query}: {length}");
                target = next(&response);
                assert!(target.is_none() || listed == 100 || length + size > MAX_PAGE, "{members} {query}");
                // The keys, and the order that did not fit.
                let read = service.store.bytes_read.get();
                assert!(read <= length + 2 * size + 32_000, "{members} {query}: {read} read for {length}");
                walked.extend(ids(&response));
            }
            assert_eq!(walked, all, "{members} {query}");
        }
    }
}

/// Only a later version of the service could have stored such an order.
#[test]
fn an_order_of_more_than_a_mebibyte_has_a_page_of_its_own() {
    let service = Service::new();
    let mut all: Vec<_> = (0..3).map(|_| service.create()).collect();
    all.reverse();
    let gift = format!(r#","gift":"{}"}}"#, "x".repeat(MAX_PAGE));
    service.store.rewrite("o/", |order| format!("{}{gift}", order.strip_suffix('}').unwrap()));
    let (mut walked, mut target) = (Vec::new(), Some("/api/v1/orders".to_owned()));
    while let Some(page) = target {
        let response = service.get(&page);
        assert_eq!(ids(&response).len(), 1);
        walked.extend(ids(&response));
        target = next(&response);
    }
    assert_eq!(walked, all);
}

#[test]
fn a_list_contains_complete_orders() {
    let service = Service::new();
    let id = service.create();
    let single = service.get(&format!("/api/v1/orders/{id}")).json();
    assert_eq!(service.get("/api/v1/orders").json()["items"][0], single);
}

/// "orders made meanwhile never repeat or hide one".
#[test]
fn paging_lists_every_order_once_while_orders_are_created() {
    let service = Service::new();
    let before: Vec<_> = (0..250).map(|_| service.create()).collect();
    let mut walked = Vec::new();
    let mut target = Some("/api/v1/orders?limit=7".to_owned());
    while let Some(page) = target {
        let response = service.get(&page);
        walked.extend(ids(&response));
        target = next(&response);
        service.create();
        service.create();
    }
    assert_eq!(walked, before.into_iter().rev().collect::<Vec<_>>());
}

/// Orders created in the same millisecond have no order in time.
#[test]
fn paging_lists_orders_of_one_millisecond_once() {
    let service = Service::new();
    for _ in 0..30 {
        service.clock.0.set(service.clock.0.get() - 1);
        service.create();
    }
    let (mut walked, mut target) = (Vec::new(), Some("/api/v1/orders?limit=4".to_owned()));
    while let Some(page) = target {
        let response = service.get(&page);
        walked.extend(ids(&response));
        target = next(&response);
    }
    assert_eq!(walked.len(), 30);
    assert_eq!(walked.iter().collect::<BTreeSet<_>>().len(), 30);
}

/// "A cursor is opaque, and always decodes if it has the right form", even if no order has that position.
#[test]
fn every_well_formed_cursor_is_accepted() {
    let service = Service::new();
    service.create();
    for (cursor, count) in [
        ("AAAAAAAAAAAAAAAAAAAAAA", 0),
        ("_____________________w", 1),
        ("%5F____________________w", 1),
        ("-_v7-_v7-_v7-_v7-_v7-w", 1),
    ] {
        let response = service.get(&format!("/api/v1/orders?cursor={cursor}"));
        assert_eq!(response.status(), 200, "{cursor}");
        assert_eq!(ids(&response).len(), count, "{cursor}");
    }
}

/// "an unknown or repeated parameter is 400"; so is an empty or malformed one.
#[test]
fn an_invalid_parameter_is_400_and_named_in_the_detail() {
    const LIMIT: &str = "The parameter limit must be a whole number from 1 to 100.";
    const CURSOR: &str = "The parameter cursor must be the next_cursor of an earlier page.";
    let unknown = |name: &str| {
        format!(
            "The parameter {name} is unknown. Known parameters: limit, cursor, status, customer, created_after, \
             created_before, sort."
        )
    };
    let coding = |name: &str| {
        format!("The parameter {name} must be UTF-8, and % must be followed by two hexadecimal digits.")
    };
    let repeated = |name: &str| format!("The parameter {name} must occur only once.");
    for (query, expected) in [
        ("limit=0", LIMIT.to_owned()),
        ("limit=101", LIMIT.to_owned()),
        ("limit=256", LIMIT.to_owned()),
        ("limit=-1", LIMIT.to_owned()),
        ("limit=+5", LIMIT.to_owned()),
        ("limit=%2B5", LIMIT.to_owned()),
        ("limit=%205", LIMIT.to_owned()),
        ("limit=5.0", LIMIT.to_owned()),
        ("limit=0x5", LIMIT.to_owned()),
        ("limit=", LIMIT.to_owned()),
        ("limit", LIMIT.to_owned()),
        ("limit=5=5", LIMIT.to_owned()),
        ("limit=%D9%A5", LIMIT.to_owned()),
        ("cursor=", CURSOR.to_owned()),
        ("cursor=x", CURSOR.to_owned()),
        ("cursor=AAAAAAAAAAAAAAAAAAAAAB", CURSOR.to_owned()),
        ("cursor=AAAAAAAAAAAAAAAAAAAAAA%3D%3D", CURSOR.to_owned()),
        ("limit=5&limit=5", repeated("limit")),
        ("limit=5&l%69mit=6", repeated("limit")),
        ("cursor=AAAAAAAAAAAAAAAAAAAAAA&limit=5&cursor=AAAAAAAAAAAAAAAAAAAAAA", repeated("cursor")),
        ("Limit=5", unknown("\"Limit\"")),
        ("page=2", unknown("\"page\"")),
        ("limit=5&a%20b+c=1", unknown("\"a b c\"")),
        ("=5", "The query contains a parameter without a name.".to_owned()),
        ("limit=5&", "The query contains a parameter without a name.".to_owned()),
        ("&limit=5", "The query contains a parameter without a name.".to_owned()),
        ("limit=%", coding("\"limit\"")),
        ("limit=%3", coding("\"limit\"")),
        ("limit=%3g", coding("\"limit\"")),
        ("limit=%ff", coding("\"limit\"")),
        ("l%zz=5", coding("\"l%zz\"")),
    ] {
        let response = Service::new().get(&format!("/api/v1/orders?{query}"));
        assert_eq!(response.problem(400, "invalid-parameter"), expected, "{query}");
        assert_eq!(response.json()["instance"], "/api/v1/orders", "a path, without the query");
    }
}

#[test]
fn a_percent_encoded_parameter_is_decoded() {
    let service = Service::new();
    for _ in 0..3 {
        service.create();
    }
    assert_eq!(ids(&service.get("/api/v1/orders?%6Cimit=%32")).len(), 2);
}

#[test]
fn a_long_parameter_name_is_truncated_in_the_detail() {
    let response = Service::new().get(&format!("/api/v1/orders?{}=1", "n".repeat(30_000)));
    assert!(response.problem(400, "invalid-parameter").len() < 200);
}

proptest! {
    #[test]
    fn any_query_is_200_or_400(query in "(limit|cursor|[=&%a0-9+?é]){0,12}") {
        let status = Service::new().get(&format!("/api/v1/orders?{query}")).status();
        prop_assert!(status == 200 || status == 400);
    }
}
