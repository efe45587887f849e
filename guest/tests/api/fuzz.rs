//! Almost valid requests. Every response matches the API description (which is checked for every response), nothing panics,
//! and a rejected request changes nothing.
//!
//! `cargo test` runs a few thousand of them; `cargo xtask fuzz` runs as many as requested.

use std::collections::BTreeMap;

use orders_guest::store::Stored;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::{collection, sample};
use serde_json::json;

use crate::support::{Call, Service, full, minimal};

/// The placeholder for the id of an existing order.
const ID: &str = "{id}";

const TARGETS: [&str; 17] = [
    "/api/v1/orders",
    "/api/v1/orders?limit=5&status=pending&customer=c&sort=created_at",
    "/api/v1/orders?created_after=2026-11-22T12:30:06.5%2B01:00&created_before=2026-11-23T00:00:00Z",
    "/api/v1/orders?cursor=AaIDTiwEemSM-vLV5yyuhA&customer=%C3%A9+%26",
    "/api/v1/orders/{id}",
    "/api/v1/orders/{id}",
    "/api/v1/orders/{id}/confirm",
    "/api/v1/orders/{id}/ship",
    "/api/v1/orders/{id}/deliver",
    "/api/v1/orders/{id}/cancel",
    "/api/v1/orders/{id}/events",
    "/api/v1/orders/{id}/events?limit=1&cursor=AAAAAAAAAAE",
    "/api/v1/orders/01890000-0000-7000-8000-000000000001",
    "/openapi.json",
    "/problems/invalid-body",
    "/docs",
    "/",
];

const FIELDS: [(&str, &str); 14] = [
    ("content-type", "application/json"),
    ("content-type", "application/json; charset=\"utf-8\""),
    ("content-type", "application/merge-patch+json"),
    ("content-encoding", "identity"),
    ("content-length", "17"),
    ("accept", "application/json;q=0.5, text/html"),
    ("accept", "*/*"),
    ("if-match", "\"1\", W/\"2\""),
    ("if-match", "*"),
    ("if-none-match", "\"1\""),
    ("idempotency-key", "\"a\\\"b\""),
    ("idempotency-key", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
    ("x-request-id", "0123456789abcdef"),
    ("x-else", ""),
];

/// Text that is significant in some part of a request.
const PIECES: [&str; 30] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "1e400",
    "-0.0",
    "2.5",
    "%",
    "%00",
    "&",
    "=",
    "?",
    "/",
    ";",
    "*",
    "W/",
    "\u{0}",
    "é",
    "😀",
    " ",
    "\"notes\":",
    "\"metadata\":",
];

/// A change to a text: the position, the number of characters to remove, and the text to insert.
type Edit = (sample::Index, usize, String);

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let insertion = prop_oneof![
        3 => sample::select(PIECES.to_vec()).prop_map(str::to_owned),
        1 => ".{0,3}",
        1 => any::<char>().prop_map(|character| character.to_string().repeat(70)),
    ];
    // Most texts stay unchanged: a request with one error is processed further than one with five.
    prop_oneof![
        3 => collection::vec((any::<sample::Index>(), 0..3usize, insertion.clone()), 0..1),
        2 => collection::vec((any::<sample::Index>(), 0..3usize, insertion), 1..4),
    ]
}

fn edited(text: &str, edits: &[Edit]) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for (at, removed, inserted) in edits {
        let at = at.index(characters.len() + 1);
        let end = (at + removed).min(characters.len());
        characters.splice(at..end, inserted.chars());
    }
    characters.into_iter().collect()
}

fn request() -> impl Strategy<Value = Call> {
    let bodies = vec![
        full().to_string(),
        minimal().to_string(),
        json!({"notes": "n", "metadata": {"a": null, "b": "c"}}).to_string(),
        json!({"tracking": "t"}).to_string(),
        json!({"reason": "r"}).to_string(),
        "{}".to_owned(),
        String::new(),
    ];
    let methods = vec!["GET", "HEAD", "POST", "POST", "POST", "PATCH", "PATCH", "OPTIONS", "DELETE", "get"];
    let fields = collection::vec((sample::select(FIELDS.to_vec()), edits()), 0..5);
    let target = (sample::select(TARGETS.to_vec()), edits());
    (sample::select(methods), target, fields, sample::select(bodies), edits()).prop_map(
        |(method, (target, target_edits), fields, body, body_edits)| {
            let call = Call::new(method, &edited(target, &target_edits)).body(edited(&body, &body_edits));
            fields.iter().fold(call, |call, ((name, value), edits)| call.header(name, edited(value, edits)))
        },
    )
}

/// The number of cases from `PROPTEST_CASES`, but at least 2000.
fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.max(2000), ..config }
}

/// What is stored. A list may fill an index, which shows nothing and hides nothing.
fn orders(service: &Service) -> BTreeMap<String, Stored> {
    let mut records = service.store.records.borrow().clone();
    records.retain(|key, _| !key.starts_with("cs/") && key != "l/index");
    records
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn fuzz_requests(calls in collection::vec(request(), 1..8)) {
        let service = Service::new();
        let id = service.create();
        for call in calls {
            let before = orders(&service);
            let response = service.call(&mut call.at(&call.target().replace(ID, &id)));
            let status = response.status();
            prop_assert!(status < 500, "{:?}", response);
            let read_only = matches!(call.method(), "GET" | "HEAD" | "OPTIONS");
            if status >= 400 || read_only {
                prop_assert_eq!(orders(&service), before);
            }
            if status >= 400 && call.method() != "HEAD" {
                let page = response.json()["type"].as_str().unwrap().to_owned();
                prop_assert_eq!(service.get(&page).status(), 200);
                prop_assert_eq!(&response.json()["status"], status);
            }
            prop_assert!(response.0.body.len() < 100_000, "the size of a response is bounded");
        }
    }
}
