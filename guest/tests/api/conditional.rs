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
        ("\"2-2\"", 304),
        ("W/\"2-2\"", 304),
        ("*", 304),
        ("\"1-2\", \"2-2\"", 304),
        ("\"1-2\"", 200),
        // Another form of the same version, as another version of the service sends it.
        ("\"2\"", 200),
        ("\"2-3\"", 200),
        ("2", 200),
        ("\"2", 200),
        ("", 200),
    ] {
        for method in ["GET", "HEAD"] {
            let response = service.call(&mut Call::new(method, &path).header("if-none-match", value));
            assert_eq!(response.status(), status, "{value}");
            assert_eq!(response.header("etag"), Some("\"2-2\""));
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
        ("\"1-2\"", 200),
        ("\"1-77-x\"", 200),
        ("\"01\"", 412),
        ("\"1x\"", 412),
        ("\"-1\"", 412),
        ("\"18446744073709551615\"", 412),
        ("\"18446744073709551616\"", 412),
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
                detail.contains("\"1-2\""),
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

/// "`If-Match` and `If-None-Match` are honoured on every method that they apply to"
#[test]
fn preconditions_hold_for_every_method_of_what_has_an_entity_tag() {
    let service = Service::new();
    let id = service.create();
    let order = format!("/api/v1/orders/{id}");
    for path in [&order, "/openapi.json", "/problems/no-such-path"] {
        for method in ["GET", "HEAD"] {
            let tag = service.get(path).header("etag").unwrap().to_owned();
            for (value, status) in
                [(tag.as_str(), 200), ("*", 200), ("\"x\"", 412), (&format!("W/{tag}"), 412)]
            {
                let response = service.call(&mut Call::new(method, path).header("if-match", value));
                assert_eq!(response.status(), status, "{method} {path} {value}");
            }
        }
    }
    for (value, status) in [("\"1-2\"", 412), ("*", 412), ("W/\"1-2\"", 412), ("\"1\"", 200), ("x", 200)] {
        let service = Service::new();
        let id = service.create();
        let confirm = format!("/api/v1/orders/{id}/confirm");
        for call in [Call::patch(&id, &json!({})), Call::new("POST", &confirm)] {
            let response = service.call(&mut call.header("if-none-match", value));
            assert_eq!(response.status(), status, "{value}");
            if status == 412 {
                let detail = response.problem(412, "precondition-failed");
                assert!(detail.contains("which If-None-Match contains"), "{detail}");
            }
        }
    }
    // A list and a create have no entity tag to compare.
    for (method, path) in [("GET", "/api/v1/orders"), ("GET", &format!("{order}/events"))] {
        assert_eq!(service.call(&mut Call::new(method, path).header("if-none-match", "*")).status(), 200);
    }
    assert_eq!(
        service
            .call(&mut Call::post(crate::support::minimal().to_string()).header("if-match", "\"1\""))
            .status(),
        201
    );
}

/// "A repeat with an `If-Match` that named the version before is 200, not 412"
#[test]
fn a_repeated_transition_is_no_failed_precondition() {
    let service = Service::new();
    let id = service.create();
    let call = |action: &str, tag: &str| {
        Call::new("POST", &format!("/api/v1/orders/{id}/{action}"))
            .header("if-match", tag)
            .header("content-type", "application/json")
    };
    let first = service.call(&mut call("confirm", "\"1-2\""));
    let repeated = service.call(&mut call("confirm", "\"1-2\""));
    assert_eq!((repeated.status(), repeated.text()), (200, first.text()));
    assert_eq!(service.call(&mut call("confirm", "\"1\"")).status(), 200, "as another version sends it");
    // Another action, a body that is none, and a version that was never the one before.
    service.call(&mut call("ship", "\"1-2\"")).problem(412, "precondition-failed");
    service.call(&mut call("confirm", "\"1-2\"").body("{")).problem(412, "precondition-failed");
    service.call(&mut call("confirm", "\"3-2\"")).problem(412, "precondition-failed");
    service.patch(&id, &json!({"notes": "n"}));
    service.call(&mut call("confirm", "\"1-2\"")).problem(412, "precondition-failed");
    // What the status forbids has failed its precondition first.
    service.call(&mut call("deliver", "\"2-2\"")).problem(412, "precondition-failed");
    // Adding what was not said before is a change.
    service.act(&id, "ship");
    let tracking = json!({"tracking": "T"}).to_string();
    service.call(&mut call("ship", "\"3-2\"").body(&tracking)).problem(412, "precondition-failed");
    assert_eq!(service.call(&mut call("ship", "\"4-2\"").body(&tracking)).json()["tracking"], "T");
    assert_eq!(service.call(&mut call("ship", "\"4-2\"").body(&tracking)).status(), 200);
}

/// The tag has to change with the form of the answer: if this test fails, raise `FORM` in `handlers/output.rs`, and write the new
/// form here.
#[test]
fn the_form_of_an_order_belongs_to_its_entity_tag() {
    let service = Service::new();
    let key = "o/01890000-0000-7000-8000-000000000001";
    let record = r#"{"layout":2,"id":"01890000-0000-7000-8000-000000000001","status":"shipped","version":3,"customer":"c","currency":"EUR","items":[{"sku":"s","name":"n","quantity":2,"unit_price":3}],"total":6,"notes":"n","metadata":{"a":"b"},"created_at":"2026-11-22T12:30:06.000Z","updated_at":"2026-11-22T12:30:06.001Z","tracking":"T"}"#;
    service.store.put(key, record);
    let response = service.get("/api/v1/orders/01890000-0000-7000-8000-000000000001");
    let form = r#"{"id":"01890000-0000-7000-8000-000000000001","status":"shipped","version":3,"customer":"c","currency":"EUR","items":[{"sku":"s","name":"n","quantity":2,"unit_price":3}],"total":6,"notes":"n","metadata":{"a":"b"},"created_at":"2026-11-22T12:30:06.000Z","updated_at":"2026-11-22T12:30:06.001Z","tracking":"T"}"#;
    assert_eq!((response.header("etag"), response.text()), (Some("\"3-2\""), form));
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
        // The HTTP client of Java until version 11.
        "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
        "*",
        "",
        "x",
        "/;;, =",
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

/// "An unknown query parameter is 400 on every operation."
#[test]
fn an_unknown_query_parameter_is_400_everywhere() {
    let service = Service::new();
    let id = service.create();
    for (method, path) in [
        ("GET", "/api/v1/orders".to_owned()),
        ("POST", "/api/v1/orders".to_owned()),
        ("GET", format!("/api/v1/orders/{id}")),
        ("HEAD", format!("/api/v1/orders/{id}")),
        ("PATCH", format!("/api/v1/orders/{id}")),
        ("POST", format!("/api/v1/orders/{id}/confirm")),
        ("GET", format!("/api/v1/orders/{id}/events")),
        ("OPTIONS", format!("/api/v1/orders/{id}")),
        ("GET", "/openapi.json".to_owned()),
        ("GET", "/problems/no-such-path".to_owned()),
        ("GET", "/".to_owned()),
    ] {
        let body_type = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        for query in ["x=1", "%", "=", "limit"] {
            let call = Call::new(method, &format!("{path}?{query}")).header("content-type", body_type);
            let response = service.call(&mut call.body("{"));
            assert_eq!(response.status(), 400, "{method} {path} {query}");
            if method != "HEAD" {
                response.problem(400, "invalid-parameter");
            }
        }
    }
    service.get("/api/v1/orders/x?x=1").problem(404, "order-not-found");
}

/// Any operation rejects a body whose Content-Length exceeds the limit.
#[test]
fn a_content_length_over_the_limit_is_413_without_reading_the_body() {
    let service = Service::new();
    for (method, path) in
        [("GET", "/api/v1/orders"), ("POST", "/api/v1/orders"), ("OPTIONS", "/openapi.json")]
    {
        // 5 000 000 000 does not fit into 32 bits.
        for length in ["1048577", "4294967296", "4294967297", "5000000000"] {
            let mut call = Call::new(method, path).header("content-length", length);
            service.call(&mut call).problem(413, "body-too-large");
            assert_eq!(call.body_reads, 0);
        }
    }
    // The limit of the host may be lower. The body is therefore read even if the operation does not use it.
    for (body, status) in [(" ".repeat(10), 200), (" ".repeat(1_048_577), 413)] {
        let mut call = Call::new("GET", "/api/v1/orders").header("content-length", "10").body(body);
        assert_eq!((service.call(&mut call).status(), call.body_reads), (status, 1));
    }
}
