//! What the service says about itself: /openapi.json and /problems/{slug}; and that it keeps to it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Call, MemoryStore, Service, documented, full, minimal, operation};

#[test]
fn the_description_is_the_file() {
    let service = Service::new();
    let answer = service.get("/openapi.json");
    assert_eq!((answer.status(), answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    let file: Value = serde_json::from_str(include_str!("../../openapi.json")).unwrap();
    assert_eq!(answer.json(), file);
    let tag = answer.header("etag").unwrap();
    let again = service.call(&mut Call::new("GET", "/openapi.json").header("if-none-match", tag));
    assert_eq!((again.status(), again.header("etag")), (304, Some(tag)));
}

/// Currencies are named twice; they are the same.
#[test]
fn the_description_has_the_currencies_that_are_taken() {
    let file: Value = serde_json::from_str(include_str!("../../openapi.json")).unwrap();
    let codes = file["components"]["schemas"]["Currency"]["enum"].as_array().unwrap();
    assert!(codes.len() > 100);
    let (first, last) = (json!("A"), json!("Z"));
    let taken = |code: &Value| {
        let order = crate::support::with(minimal(), "/currency", code.clone());
        Service::new().post(order.to_string()).status() == 201
    };
    assert!(codes.iter().all(taken) && !taken(&first) && !taken(&last));
    let all = ('A'..='Z')
        .flat_map(|a| ('A'..='Z').flat_map(move |b| ('A'..='Z').map(move |c| json!(format!("{a}{b}{c}")))));
    assert_eq!(all.filter(taken).count(), codes.len());
}

/// "a page that the guest serves", for people or programs.
#[test]
fn every_problem_has_its_page() {
    let service = Service::new();
    for slug in SLUGS {
        let path = format!("/problems/{slug}");
        let json = service.get(&path);
        assert_eq!((json.status(), json.header("content-type")), (200, Some("application/json")));
        assert_eq!(json.json()["type"], path.as_str());
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let html = service.call(&mut Call::new("GET", &path).header("accept", browser));
        assert_eq!((html.status(), html.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert!(html.text().starts_with("<!DOCTYPE html>"));
        for answer in [&json, &html] {
            assert!(answer.text().contains(json.json()["title"].as_str().unwrap()));
            assert!(answer.text().contains(json.json()["description"].as_str().unwrap()));
            assert_eq!(answer.header("cache-control"), Some("public, max-age=3600"));
            assert_eq!(answer.header("vary"), Some("accept"));
        }
        assert_ne!(json.header("etag"), html.header("etag"));
        let tag = json.header("etag").unwrap();
        let again = service.call(&mut Call::new("GET", &path).header("if-none-match", tag));
        assert_eq!((again.status(), again.header("vary")), (304, Some("accept")));
    }
    service.get("/problems/unheard-of").problem(404, "no-such-path");
}

const SLUGS: [&str; 17] = [
    "no-such-path",
    "order-not-found",
    "method-not-allowed",
    "not-acceptable",
    "transition-not-allowed",
    "concurrent-change",
    "precondition-failed",
    "body-too-large",
    "body-interrupted",
    "unsupported-content",
    "invalid-header",
    "invalid-parameter",
    "malformed-json",
    "invalid-body",
    "idempotency-key-reused",
    "store-unavailable",
    "internal-error",
];

/// One call for every status that an operation is described to answer with.
fn calls(id: &str, cancelled: &str, tags: &[(String, String)]) -> Vec<Call> {
    let order = |rest: &str| format!("/api/v1/orders/{id}{rest}");
    let mut calls = vec![
        Call::post(full().to_string()),
        Call::post("{"),
        Call::post("{}"),
        Call::post("{}").without("content-type"),
        Call::patch(id, &json!({})),
        Call::patch(id, &json!({})).body("{"),
        Call::patch(id, &json!([])),
        Call::patch(id, &json!({})).without("content-type"),
        Call::patch(id, &json!({})).header("if-match", "\"99\""),
        Call::patch("x", &json!({})),
        Call::new("GET", "/api/v1/orders?limit=0"),
        Call::new("HEAD", "/api/v1/orders?limit=0"),
        Call::new("GET", &order("/events?limit=0")),
        Call::new("HEAD", &order("/events?limit=0")),
        Call::new("GET", "/problems/x"),
        Call::new("HEAD", "/problems/x"),
        Call::new("OPTIONS", "/problems/x"),
    ];
    for method in ["GET", "HEAD", "OPTIONS"] {
        for target in [
            "/api/v1/orders",
            &order(""),
            &order("/events"),
            "/api/v1/orders/x",
            "/api/v1/orders/x/events",
            "/openapi.json",
            "/problems/no-such-path",
        ] {
            calls.push(Call::new(method, target));
        }
        for (target, tag) in tags {
            calls.push(Call::new(method, target).header("if-none-match", tag));
        }
    }
    for action in ["confirm", "ship", "deliver", "cancel"] {
        // Walks the order through its states as it goes.
        let act = |id: &str| Call::new("POST", &format!("/api/v1/orders/{id}/{action}"));
        let json = |body: &str| act(id).header("content-type", "application/json").body(body);
        calls.extend([
            json("{"),
            json("[]"),
            act(id).body("{}"),
            act(id).header("if-match", "\"99\""),
            act("x"),
            act(if action == "cancel" { id } else { cancelled }),
            act(if action == "cancel" { cancelled } else { id }),
            Call::new("OPTIONS", &order(&format!("/{action}"))),
        ]);
    }
    calls
}

/// "every documented status is produced by a test; nothing undocumented is ever answered" (the second half is
/// checked of every answer that any of these tests gets).
#[test]
fn every_described_status_is_answered() {
    let service = Service::new();
    let (id, cancelled) = (service.create(), service.create());
    service.act(&cancelled, "cancel");
    let tags: Vec<_> = [
        format!("/api/v1/orders/{cancelled}"),
        "/openapi.json".to_owned(),
        "/problems/no-such-path".to_owned(),
    ]
    .map(|target| {
        let tag = service.get(&target).header("etag").unwrap().to_owned();
        (target, tag)
    })
    .to_vec();
    let described = documented();
    let mut answered = BTreeSet::new();
    for call in calls(&id, &cancelled, &tags) {
        let (name, _) = operation(call.method(), call.target()).unwrap();
        // The same once more, too large, and once more, for another type.
        let large = call.clone().header("content-length", "1048577");
        let picky = call.clone().header("accept", "image/png");
        for mut call in [call, large, picky] {
            answered.insert((name.clone(), service.call(&mut call).status().to_string()));
        }
    }
    let lose = |store: &MemoryStore| store.rewrite("o/", str::to_owned);
    (0..3).for_each(|_| service.store.before_commit(lose));
    let raced = service.patch(&id, &json!({"notes": "lost"})).status().to_string();
    answered.insert(("PATCH /api/v1/orders/{id}".to_owned(), raced));
    let mut missing: Vec<_> = described.difference(&answered).collect();
    // What is left are requests that a host refuses before the component sees them.
    let of_the_host = |(name, status): &&(String, String)| {
        let reads_nothing = !name.starts_with("POST") && !name.starts_with("PATCH");
        let has_parameters = name.ends_with("/orders") || name.ends_with("/events");
        status == "400" && reads_nothing && (name.starts_with("OPTIONS") || !has_parameters)
    };
    missing.retain(|missing| !of_the_host(missing));
    assert!(missing.is_empty(), "not answered: {missing:?}");
}
