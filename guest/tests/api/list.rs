//! GET /api/v1/orders.

use std::collections::BTreeSet;

use proptest::prelude::{prop_assert, proptest};

use crate::support::{Answer, Service};

/// The ids on a page.
fn ids(answer: &Answer) -> Vec<String> {
    let page = answer.json();
    let items = page["items"].as_array().unwrap();
    items.iter().map(|order| order["id"].as_str().unwrap().to_owned()).collect()
}

/// The target of `Link: <…>; rel="next"`, which must agree with `next_cursor`.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link").map(|link| {
        link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap().to_owned()
    });
    let page = answer.json();
    let cursor = page.get("next_cursor").map(|cursor| cursor.as_str().unwrap());
    assert_eq!(link.as_deref().map(|link| link.rsplit_once("&cursor=").unwrap().1), cursor);
    link
}

#[test]
fn no_orders_are_an_empty_list() {
    let answer = Service::new().get("/api/v1/orders");
    assert_eq!((answer.status(), answer.text()), (200, "{\"items\":[]}"));
    assert_eq!(answer.header("link"), None);
    assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

/// "`limit` 1…100 (20)", "Newest first", and a next page exactly if there is more.
#[test]
fn a_page_has_the_newest_orders_up_to_the_limit() {
    let service = Service::new();
    let mut all: Vec<_> = (0..101).map(|_| service.create()).collect();
    all.reverse();
    for (query, limit) in
        [("", 20), ("?", 20), ("?limit=1", 1), ("?limit=20", 20), ("?limit=100", 100), ("?limit=007", 7)]
    {
        let answer = service.get(&format!("/api/v1/orders{query}"));
        assert_eq!(ids(&answer), all[..limit], "{query}");
        assert!(next(&answer).unwrap().starts_with(&format!("/api/v1/orders?limit={limit}&cursor=")));
    }
}

/// "`next_cursor`?" only when there is more, not when a page is just full.
#[test]
fn a_full_last_page_has_no_next() {
    let service = Service::new();
    for count in 1..=5 {
        service.create();
        let answer = service.get("/api/v1/orders?limit=4");
        assert_eq!(ids(&answer).len(), count.min(4));
        assert_eq!(next(&answer).is_some(), count > 4, "{count}");
    }
}

#[test]
fn orders_in_a_list_are_whole() {
    let service = Service::new();
    let id = service.create();
    let single = service.get(&format!("/api/v1/orders/{id}")).json();
    assert_eq!(service.get("/api/v1/orders").json()["items"][0], single);
}

/// "orders made meanwhile never repeat or hide one".
#[test]
fn a_walk_meets_every_order_once_while_new_ones_are_made() {
    let service = Service::new();
    let before: Vec<_> = (0..250).map(|_| service.create()).collect();
    let mut walked = Vec::new();
    let mut target = Some("/api/v1/orders?limit=7".to_owned());
    while let Some(page) = target {
        let answer = service.get(&page);
        walked.extend(ids(&answer));
        target = next(&answer);
        service.create();
        service.create();
    }
    assert_eq!(walked, before.into_iter().rev().collect::<Vec<_>>());
}

/// Also those of one millisecond, which have no order in time.
#[test]
fn orders_of_one_millisecond_are_met_once() {
    let service = Service::new();
    for _ in 0..30 {
        service.clock.0.set(service.clock.0.get() - 1);
        service.create();
    }
    let (mut walked, mut target) = (Vec::new(), Some("/api/v1/orders?limit=4".to_owned()));
    while let Some(page) = target {
        let answer = service.get(&page);
        walked.extend(ids(&answer));
        target = next(&answer);
    }
    assert_eq!(walked.len(), 30);
    assert_eq!(walked.iter().collect::<BTreeSet<_>>().len(), 30);
}

/// "A cursor is opaque, and always decodes if it has the right form", also if no order has that place.
#[test]
fn cursors_of_the_right_form() {
    let service = Service::new();
    service.create();
    for (cursor, count) in [
        ("AAAAAAAAAAAAAAAAAAAAAA", 0),
        ("_____________________w", 1),
        ("%5F____________________w", 1),
        ("-_v7-_v7-_v7-_v7-_v7-w", 1),
    ] {
        let answer = service.get(&format!("/api/v1/orders?cursor={cursor}"));
        assert_eq!(answer.status(), 200, "{cursor}");
        assert_eq!(ids(&answer).len(), count, "{cursor}");
    }
}

/// "an unknown or repeated parameter is 400", an empty or malformed one too. The detail names it.
#[test]
fn wrong_parameters_are_named() {
    const LIMIT: &str = "The parameter limit must be a whole number from 1 to 100.";
    const CURSOR: &str = "The parameter cursor must be the next_cursor of an earlier page.";
    let unknown = |name: &str| {
        format!(
            "The parameter {name} is not known here; known are limit, cursor, \
        status, customer, created_after, created_before, sort."
        )
    };
    let coding = |name: &str| {
        format!("The parameter {name} must be UTF-8, with % only before two hexadecimal digits.")
    };
    let repeated = |name: &str| format!("The parameter {name} must be given once, not several times.");
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
        ("=5", "There is a parameter without a name.".to_owned()),
        ("limit=5&", "There is a parameter without a name.".to_owned()),
        ("&limit=5", "There is a parameter without a name.".to_owned()),
        ("limit=%", coding("\"limit\"")),
        ("limit=%3", coding("\"limit\"")),
        ("limit=%3g", coding("\"limit\"")),
        ("limit=%ff", coding("\"limit\"")),
        ("l%zz=5", coding("\"l%zz\"")),
    ] {
        let answer = Service::new().get(&format!("/api/v1/orders?{query}"));
        assert_eq!(answer.problem(400, "invalid-parameter"), expected, "{query}");
        assert_eq!(answer.json()["instance"], "/api/v1/orders", "a path, without the query");
    }
}

#[test]
fn an_escaped_parameter_is_the_same() {
    let service = Service::new();
    for _ in 0..3 {
        service.create();
    }
    assert_eq!(ids(&service.get("/api/v1/orders?%6Cimit=%32")).len(), 2);
}

#[test]
fn a_long_parameter_name_is_not_repeated() {
    let answer = Service::new().get(&format!("/api/v1/orders?{}=1", "n".repeat(30_000)));
    assert!(answer.problem(400, "invalid-parameter").len() < 200);
}

proptest! {
    #[test]
    fn any_query_is_answered(query in "(limit|cursor|[=&%a0-9+?é]){0,12}") {
        let status = Service::new().get(&format!("/api/v1/orders?{query}")).status();
        prop_assert!(status == 200 || status == 400);
    }
}
