//! Conditional requests and content negotiation.

use serde_json::json;

use crate::support::{Call, Service, TestResponse};

fn get(service: &Service, target: &str, name: &str, value: &str) -> TestResponse {
    service.call(&mut Call::new("GET", target).header(name, value))
}

/// "`If-None-Match`? … 304", with weak comparison. A malformed header is ignored.
#[test]
fn an_unchanged_order_is_304() {
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
            let response = service.call(&mut Call::new(method, &path).header("if-none-match", value));
            assert_eq!(response.status(), status, "{value}");
            assert_eq!(response.header("etag"), Some("\"2\""));
            assert_eq!(response.header("cache-control"), Some("private, no-cache"));
            if status == 304 {
                assert!(response.0.body.is_empty());
                assert_eq!(
                    (response.header("content-type"), response.header("content-length")),
                    (None, None)
                );
            }
        }
    }
    get(&service, "/api/v1/orders/x", "if-none-match", "*").problem(404, "order-not-found");
}

/// "`If-Match`? … 412", with strong comparison.
#[test]
fn if_match_makes_a_change_conditional() {
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
        // A call that succeeds creates version 2.
        let response = service.call(&mut calls[0]);
        assert_eq!(response.status(), status, "{value}");
        if status == 200 {
            continue;
        }
        for response in [response, service.call(&mut calls[1])] {
            let detail = match status {
                412 => response.problem(412, "precondition-failed"),
                _ => response.problem(400, "invalid-header"),
            };
            assert!(detail.contains("If-Match"), "{detail}");
            assert_eq!(
                detail.contains("\"1\""),
                status == 412,
                "the detail states the current tag: {detail}"
            );
        }
        assert_eq!(service.get(&format!("/api/v1/orders/{id}")).json()["version"], 1);
    }
}

#[test]
fn several_if_match_lines_form_one_list() {
    let service = Service::new();
    let path = format!("/api/v1/orders/{}/confirm", service.create());
    let mut call = Call::new("POST", &path).header("if-match", "\"9\"").header("if-match", "\"1\"");
    assert_eq!(service.call(&mut call).status(), 200);
}

/// Two clients have read the same version.
#[test]
fn the_second_of_two_conditional_updates_is_412() {
    let service = Service::new();
    let id = service.create();
    let change = |notes: &str| Call::patch(&id, &json!({"notes": notes})).header("if-match", "\"1\"");
    assert_eq!(service.call(&mut change("first")).status(), 200);
    service.call(&mut change("second")).problem(412, "precondition-failed");
    assert_eq!(service.get(&format!("/api/v1/orders/{id}")).json()["notes"], "first");
}

/// The other request commits after this one has read the order.
#[test]
fn a_conflict_during_a_conditional_update_is_412() {
    let service = Service::new();
    let id = service.create();
    service
        .store
        .before_commit(|store| store.rewrite("o/", |order| order.replace("\"version\":1", "\"version\":2")));
    let mut call = Call::patch(&id, &json!({"notes": "n"})).header("if-match", "\"1\"");
    service.call(&mut call).problem(412, "precondition-failed");
}

#[test]
fn a_request_that_does_not_accept_json_is_406() {
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
        let response =
            service.call(&mut Call::new(method, path).header("accept", "image/png, application/json;q=0"));
        assert_eq!(response.status(), 406, "{method} {path}");
        if *method != "HEAD" {
            assert!(response.problem(406, "not-acceptable").contains("application/json"));
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

/// "OPTIONS, any API path: 204, `Allow`, `Accept-Patch`", without content and without reading the order.
#[test]
fn options_lists_the_supported_methods() {
    let service = Service::new();
    for (path, allow, accept_patch) in [
        ("/api/v1/orders", "GET, HEAD, POST, OPTIONS", None),
        ("/api/v1/orders/x", "GET, HEAD, PATCH, OPTIONS", Some("application/merge-patch+json")),
        ("/api/v1/orders/x/ship", "POST, OPTIONS", None),
        ("/api/v1/orders/x/events", "GET, HEAD, OPTIONS", None),
        ("/openapi.json", "GET, HEAD, OPTIONS", None),
        ("/problems/invalid-body", "GET, HEAD, OPTIONS", None),
    ] {
        let response = service.call(&mut Call::new("OPTIONS", path));
        assert_eq!(response.status(), 204);
        assert_eq!((response.header("allow"), response.header("accept-patch")), (Some(allow), accept_patch));
        assert!(response.0.body.is_empty() && response.header("content-length").is_none());
    }
    service.call(&mut Call::new("OPTIONS", "/nowhere")).problem(404, "no-such-path");
}

/// Any operation rejects a body whose Content-Length exceeds the limit.
#[test]
fn a_content_length_over_the_limit_is_413_without_reading_the_body() {
    let service = Service::new();
    for (method, path) in
        [("GET", "/api/v1/orders"), ("POST", "/api/v1/orders"), ("OPTIONS", "/openapi.json")]
    {
        let mut call = Call::new(method, path).header("content-length", "1048577");
        service.call(&mut call).problem(413, "body-too-large");
        assert_eq!(call.body_reads, 0);
    }
    // The limit of the host may be lower. The body is therefore read even if the operation does not use it.
    for (body, status) in [(" ".repeat(10), 200), (" ".repeat(1_048_577), 413)] {
        let mut call = Call::new("GET", "/api/v1/orders").header("content-length", "10").body(body);
        assert_eq!((service.call(&mut call).status(), call.body_reads), (status, 1));
    }
}
