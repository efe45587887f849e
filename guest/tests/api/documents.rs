//! /, /openapi.json and /problems/{slug}, and whether the service does what the API description states.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{
    Call, DESCRIPTION, MemoryStore, Service, documented, full, minimal, operation, resolve,
};

#[test]
fn the_description_is_served_plain_and_compressed() {
    let service = Service::new();
    let mut tags = BTreeSet::new();
    for (codings, compressed) in [("identity", false), ("br, gzip", true)] {
        let call = |method| Call::new(method, "/openapi.json").header("accept-encoding", codings);
        let response = service.call(&mut call("GET"));
        assert_eq!((response.status(), response.header("content-type")), (200, Some("application/json")));
        assert_eq!(response.header("content-encoding"), compressed.then_some("gzip"));
        assert_eq!(response.decoded(), include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json")));
        let size = response.0.body.len().to_string();
        assert!(compressed == (response.0.body.len() < 12_000), "{size}");

        let head = service.call(&mut call("HEAD"));
        for response in [&response, &head] {
            assert_eq!(response.header("content-length"), Some(&*size));
            assert_eq!(response.header("cache-control"), Some("public, max-age=300"));
            assert_eq!(response.header("vary"), Some("Accept-Encoding"));
        }
        let tag = response.header("etag").unwrap();
        assert_eq!(head.header("etag"), Some(tag));
        let again = service.call(&mut call("GET").header("if-none-match", tag));
        assert_eq!((again.status(), again.header("etag")), (304, Some(tag)));
        assert_eq!(again.header("vary"), Some("Accept-Encoding"));
        tags.insert(tag.to_owned());
    }
    assert_eq!(tags.len(), 2, "each coding has its own tag");
    let mut other = Call::new("GET", "/openapi.json").header("if-none-match", tags.last().unwrap());
    assert_eq!(service.call(&mut other).status(), 200);
}

/// build.rs adds what all operations, responses and problems have in common.
#[test]
fn the_description_is_complete() {
    assert!(DESCRIPTION.as_object().unwrap().keys().all(|name| !name.starts_with("x-")));
    let items = DESCRIPTION["paths"].as_object().unwrap().values();
    for operation in items.flat_map(|item| item.as_object().unwrap().values()) {
        let name = operation["operationId"].as_str().unwrap();
        let parameters = operation["parameters"].as_array().unwrap();
        assert_eq!(parameters.last().unwrap()["$ref"], "#/components/parameters/RequestId", "{name}");
        let responses = operation["responses"].as_object().unwrap();
        for status in ["400", "414", "431"] {
            assert!(responses.contains_key(status), "{name} does not describe {status}");
        }
        let by_component = !["getExplorer", "getHealth", "getReady"].contains(&name);
        assert_eq!(responses.contains_key("413"), by_component, "{name}");
        assert!(responses.keys().is_sorted(), "{name}");
        for (status, response) in responses {
            let response = resolve(response);
            for field in ["X-Request-Id", "X-Content-Type-Options"] {
                assert!(response["headers"][field].is_object(), "{name}, {status}: {field}");
            }
            if status.starts_with(['4', '5']) {
                assert_eq!(
                    response["headers"]["Cache-Control"]["$ref"], "#/components/headers/NoStore",
                    "{name}, {status}"
                );
                let schema = resolve(&response["content"]["application/problem+json"]["schema"]);
                let kinds = schema["oneOf"]
                    .as_array()
                    .map_or(vec![schema], |kinds| kinds.iter().map(resolve).collect());
                for kind in kinds {
                    let parts = json!([{"$ref": "#/components/schemas/Problem"}]);
                    assert_eq!(kind["allOf"], parts, "{name}, {status}");
                }
            }
        }
    }
    let bad_query = "#/components/responses/BadQuery";
    assert_eq!(DESCRIPTION["paths"]["/api/v1/orders"]["get"]["responses"]["400"]["$ref"], bad_query);
}

/// "the description of an answer is open (`additionalProperties` not false), that of a request is closed".
#[test]
fn requests_are_closed_and_answers_open() {
    fn collect(value: &'static Value, schemas: &mut Vec<&'static Value>) {
        if schemas.iter().any(|known| std::ptr::eq(*known, value)) {
            return;
        }
        match value {
            Value::Object(members) => {
                schemas.push(value);
                members.values().for_each(|member| collect(member, schemas));
                collect(resolve(value), schemas);
            }
            Value::Array(elements) => elements.iter().for_each(|element| collect(element, schemas)),
            _ => {}
        }
    }
    let (mut requests, mut answers) = (Vec::new(), Vec::new());
    let items = DESCRIPTION["paths"].as_object().unwrap().values();
    for operation in items.flat_map(|item| item.as_object().unwrap().values()) {
        collect(&operation["requestBody"], &mut requests);
        collect(&operation["responses"], &mut answers);
    }
    let closed = |schema: &Value| schema.get("additionalProperties") == Some(&Value::Bool(false));
    for name in ["NewOrder", "NewItem", "OrderPatch", "Nothing", "Shipment", "Cancellation"] {
        assert!(closed(&DESCRIPTION["components"]["schemas"][name]), "{name}");
    }
    assert_eq!(requests.iter().filter(|schema| closed(schema)).count(), 6);
    for answer in answers {
        assert!(!closed(answer), "{answer}");
        assert_eq!(answer.get("unevaluatedProperties"), None, "{answer}");
        // The kinds of problems of a status are known; other values may be new ones.
        let listed = answer.get("enum").is_some_and(|values| values[0] != "about:blank");
        assert!(!listed, "an answer may get new values: {answer}");
    }
}

/// A browser that opens the address of the service shows the API explorer, which the host serves.
#[test]
fn the_first_page_leads_to_the_explorer() {
    for target in ["/", "/?"] {
        for method in ["GET", "HEAD"] {
            let response = Service::new().call(&mut Call::new(method, target).header("accept", "text/html"));
            assert_eq!(
                (response.status(), response.header("location")),
                (302, Some("/docs")),
                "{method} {target}"
            );
            assert_eq!(response.header("cache-control"), Some("no-cache"));
            assert_eq!((response.header("content-length"), response.text()), (Some("0"), ""));
        }
    }
    let response = Service::new().call(&mut Call::new("POST", "/"));
    response.problem(405, "method-not-allowed");
    assert_eq!(response.header("allow"), Some("GET, HEAD, OPTIONS"));
}

/// The code and the description each contain a list of currencies.
#[test]
fn the_description_lists_the_accepted_currencies() {
    let codes = DESCRIPTION["components"]["schemas"]["Currency"]["enum"].as_array().unwrap();
    assert!(codes.len() > 100);
    let (first, last) = (json!("A"), json!("Z"));
    let accepted = |code: &Value| {
        let order = crate::support::with(minimal(), "/currency", code.clone());
        Service::new().post(order.to_string()).status() == 201
    };
    assert!(codes.iter().all(accepted) && !accepted(&first) && !accepted(&last));
    let all = ('A'..='Z')
        .flat_map(|a| ('A'..='Z').flat_map(move |b| ('A'..='Z').map(move |c| json!(format!("{a}{b}{c}")))));
    assert_eq!(all.filter(accepted).count(), codes.len());
}

/// "a page that the guest serves", as HTML or JSON.
#[test]
fn every_problem_has_a_page() {
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
        for response in [&json, &html] {
            assert!(response.text().contains(json.json()["title"].as_str().unwrap()));
            assert!(response.text().contains(json.json()["description"].as_str().unwrap()));
            assert_eq!(response.header("cache-control"), Some("public, max-age=3600"));
            assert_eq!(response.header("vary"), Some("accept"));
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

/// Requests that produce every documented status of every operation.
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
            "/",
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
        // The calls also move the order through its statuses.
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

/// "every documented status is produced by a test; nothing undocumented is ever answered". The second half is checked for
/// every response in any of these tests.
#[test]
fn every_documented_status_is_produced() {
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
    let mut produced = BTreeSet::new();
    for call in calls(&id, &cancelled, &tags) {
        let (name, _) = operation(call.method(), call.target()).unwrap();
        // Repeat each request with a body that is too large, with an unsupported Accept header, with a parameter that no
        // operation has, and with the entity tag of something else.
        let large = call.clone().header("content-length", "5000000000");
        let unacceptable = call.clone().header("accept", "image/png");
        let separator = if call.target().contains('?') { '&' } else { '?' };
        let unknown = call.at(&format!("{}{separator}x=1", call.target()));
        let stale = call.clone().without("if-match").header("if-match", "\"other\"");
        for mut call in [call, large, unacceptable, unknown, stale] {
            produced.insert((name.clone(), service.call(&mut call).status().to_string()));
        }
    }
    let change_order = |store: &MemoryStore| store.rewrite("o/", str::to_owned);
    (0..500).for_each(|_| service.store.before_commit(change_order));
    let conflicting = service.patch(&id, &json!({"notes": "lost"})).status().to_string();
    produced.insert(("PATCH /api/v1/orders/{id}".to_owned(), conflicting));
    let missing: Vec<_> = described.difference(&produced).collect();
    assert!(missing.is_empty(), "not produced: {missing:?}");
}
