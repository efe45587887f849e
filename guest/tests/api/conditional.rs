//! Conditional requests, and what a client accepts.

use serde_json::json;

use crate::support::{Answer, Call, Service};

fn get(service: &Service, target: &str, name: &str, value: &str) -> Answer {
    service.call(&mut Call::new("GET", target).header(name, value))
}

/// "`If-None-Match`? … 304", by the weak comparison; a field of another form says nothing.
#[test]
fn what_has_not_changed_is_not_sent_again() {
    let service = Service::new();
    let id = service.create();
    let path = format!("/api/v1/orders/{id}");
    service.act(&id, "confirm");
    for (value, status) in [
        ("\"2\"", 304),
        ("W/\"2\"", 304),
        ("*", 304),
        ("\"1\", \"2\"", 304),
        ("\"1\"", 200),
        ("2", 200),
        ("\"2", 200),
        ("", 200),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = service.call(&mut Call::new(method, &path).header("if-none-match", value));
            assert_eq!(answer.status(), status, "{value}");
            assert_eq!(answer.header("etag"), Some("\"2\""));
            assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
            if status == 304 {
                assert!(answer.0.body.is_empty());
                assert_eq!((answer.header("content-type"), answer.header("content-length")), (None, None));
            }
        }
    }
    get(&service, "/api/v1/orders/x", "if-none-match", "*").problem(404, "order-not-found");
}

/// "`If-Match`? … 412", by the strong comparison.
#[test]
fn a_change_can_be_made_to_depend_on_the_version() {
    for (value, status) in [
        ("\"1\"", 200),
        ("*", 200),
        ("\"7\", \"1\"", 200),
        ("\"2\"", 412),
        ("W/\"1\"", 412),
        ("\"\"", 412),
        ("1", 400),
        ("", 400),
        ("\"1\" \"2\"", 400),
    ] {
        let service = Service::new();
        let id = service.create();
        let confirm = format!("/api/v1/orders/{id}/confirm");
        let mut calls = [Call::new("POST", &confirm), Call::patch(&id, &json!({"notes": "n"}))]
            .map(|call| call.header("if-match", value));
        // The first one that succeeds makes version 2.
        let answer = service.call(&mut calls[0]);
        assert_eq!(answer.status(), status, "{value}");
        if status == 200 {
            continue;
        }
        for answer in [answer, service.call(&mut calls[1])] {
            let detail = match status {
                412 => answer.problem(412, "precondition-failed"),
                _ => answer.problem(400, "invalid-header"),
            };
            assert!(detail.contains("If-Match"), "{detail}");
            assert_eq!(detail.contains("\"1\""), status == 412, "says what would match: {detail}");
        }
        assert_eq!(service.get(&format!("/api/v1/orders/{id}")).json()["version"], 1);
    }
}

/// Several lines of a field are one list.
#[test]
fn a_list_may_be_on_several_lines() {
    let service = Service::new();
    let path = format!("/api/v1/orders/{}/confirm", service.create());
    let mut call = Call::new("POST", &path).header("if-match", "\"9\"").header("if-match", "\"1\"");
    assert_eq!(service.call(&mut call).status(), 200);
}

/// Two clients that read the same version: the second to write is told.
#[test]
fn a_lost_update_is_noticed() {
    let service = Service::new();
    let id = service.create();
    let change = |notes: &str| Call::patch(&id, &json!({"notes": notes})).header("if-match", "\"1\"");
    assert_eq!(service.call(&mut change("first")).status(), 200);
    service.call(&mut change("second")).problem(412, "precondition-failed");
    assert_eq!(service.get(&format!("/api/v1/orders/{id}")).json()["notes"], "first");
}

/// Also when the other one is first between reading and writing.
#[test]
fn a_lost_race_breaks_the_precondition() {
    let service = Service::new();
    let id = service.create();
    service
        .store
        .before_commit(|store| store.rewrite("o/", |order| order.replace("\"version\":1", "\"version\":2")));
    let mut call = Call::patch(&id, &json!({"notes": "n"})).header("if-match", "\"1\"");
    service.call(&mut call).problem(412, "precondition-failed");
}

/// Content negotiation: JSON, unless the client says that it takes none.
#[test]
fn what_is_not_offered_is_406() {
    let service = Service::new();
    let id = service.create();
    let paths = [
        ("GET", "/api/v1/orders".to_owned()),
        ("HEAD", "/api/v1/orders".to_owned()),
        ("POST", "/api/v1/orders".to_owned()),
        ("GET", format!("/api/v1/orders/{id}")),
        ("PATCH", format!("/api/v1/orders/{id}")),
        ("POST", format!("/api/v1/orders/{id}/confirm")),
        ("GET", format!("/api/v1/orders/{id}/events")),
        ("GET", "/openapi.json".to_owned()),
        ("GET", "/problems/no-such-path".to_owned()),
    ];
    for (method, path) in &paths {
        let answer =
            service.call(&mut Call::new(method, path).header("accept", "image/png, application/json;q=0"));
        assert_eq!(answer.status(), 406, "{method} {path}");
        if *method != "HEAD" {
            assert!(answer.problem(406, "not-acceptable").contains("application/json"));
        }
    }
    for accept in [
        "application/json",
        "*/*",
        "application/*;q=0.1",
        "text/html, */*;q=0.1",
        "application/json;charset=utf-8",
    ] {
        assert_eq!(get(&service, "/api/v1/orders", "accept", accept).status(), 200, "{accept}");
    }
}

/// "OPTIONS, any API path: 204, `Allow`, `Accept-Patch`", without content and without a look at the order.
#[test]
fn options_say_what_can_be_done() {
    let service = Service::new();
    for (path, allow, accept_patch) in [
        ("/api/v1/orders", "GET, HEAD, POST, OPTIONS", None),
        ("/api/v1/orders/x", "GET, HEAD, PATCH, OPTIONS", Some("application/merge-patch+json")),
        ("/api/v1/orders/x/ship", "POST, OPTIONS", None),
        ("/api/v1/orders/x/events", "GET, HEAD, OPTIONS", None),
        ("/openapi.json", "GET, HEAD, OPTIONS", None),
        ("/problems/invalid-body", "GET, HEAD, OPTIONS", None),
    ] {
        let answer = service.call(&mut Call::new("OPTIONS", path));
        assert_eq!(answer.status(), 204);
        assert_eq!((answer.header("allow"), answer.header("accept-patch")), (Some(allow), accept_patch));
        assert!(answer.0.body.is_empty() && answer.header("content-length").is_none());
    }
    service.call(&mut Call::new("OPTIONS", "/nowhere")).problem(404, "no-such-path");
}

/// A body that is announced as too large is refused wherever it is sent.
#[test]
fn an_announced_length_is_enough_for_413() {
    let service = Service::new();
    for (method, path) in
        [("GET", "/api/v1/orders"), ("POST", "/api/v1/orders"), ("OPTIONS", "/openapi.json")]
    {
        let mut call = Call::new(method, path).header("content-length", "1048577");
        service.call(&mut call).problem(413, "body-too-large");
        assert_eq!(call.body_reads, 0);
    }
    // A host may allow less: then reading it fails, also where nobody would have looked at it.
    for (body, status) in [(" ".repeat(10), 200), (" ".repeat(1_048_577), 413)] {
        let mut call = Call::new("GET", "/api/v1/orders").header("content-length", "10").body(body);
        assert_eq!((service.call(&mut call).status(), call.body_reads), (status, 1));
    }
}
