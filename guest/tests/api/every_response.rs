//! Rules for every response: routes and methods, headers, request ids, problems.

use proptest::prelude::{prop_assert_eq, proptest};

use crate::support::{Call, Service, TestResponse, minimal, uuid_version};

/// One response of every kind that does not need a failing store.
fn responses(service: &Service) -> Vec<TestResponse> {
    let id = service.create();
    vec![
        service.post(minimal().to_string()),
        service.get("/api/v1/orders"),
        service.get(&format!("/api/v1/orders/{id}")),
        service.get("/api/v1/orders/none"),
        service.get("/nowhere"),
        service.get("/api/v1/orders?x=1"),
        service.call(&mut Call::new("DELETE", "/api/v1/orders")),
        service.post(" ".repeat(1_048_577)),
        service.call(&mut Call::post("").interrupted("gone")),
        service.call(&mut Call::post("{}").without("content-type")),
        service.post("{"),
        service.post("{}"),
        service.call(&mut Call::new("HEAD", "/api/v1/orders")),
    ]
}

/// "Every response: `X-Request-Id`, `X-Content-Type-Options: nosniff`", and the headers that HTTP requires for content.
#[test]
fn every_response_has_the_required_headers() {
    for response in responses(&Service::new()) {
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        assert!(response.header("x-request-id").is_some());
        let problem = response.status() >= 400;
        let content_type = if problem { "application/problem+json" } else { "application/json" };
        assert_eq!(response.header("content-type"), Some(content_type));
        let length: usize = response.header("content-length").unwrap().parse().unwrap();
        assert!(length == response.0.body.len() || response.0.body.is_empty());
        assert_eq!(response.header("cache-control") == Some("no-store"), problem);
        for (name, value) in &response.0.headers {
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
            assert!(value.bytes().all(|byte| (0x20..=0x7e).contains(&byte)), "{name}: {value}");
        }
    }
}

/// "the caller's, if it is 1…128 visible ASCII characters".
#[test]
fn a_valid_request_id_is_returned() {
    for id in ["x", "!~", "00-abc", &"y".repeat(128)] {
        let response = Service::new().call(&mut Call::new("GET", "/nowhere").header("x-request-id", id));
        assert_eq!(response.header("x-request-id"), Some(id));
    }
}

/// "else a new UUID": version 4.
#[test]
fn an_invalid_request_id_is_replaced() {
    let long = "y".repeat(129);
    for values in [
        &[][..],
        &[&b""[..]],
        &[long.as_bytes()],
        &[b"a b"],
        &[b"a\x7f"],
        &[b"a\tb"],
        &[b"\xc3\xa9"],
        &[b"a", b"b"],
    ] {
        let service = Service::new();
        let mut seen = Vec::new();
        for _ in 0..2 {
            let call = Call::new("GET", "/api/v1/orders");
            let mut call = values.iter().fold(call, |call, value| call.header("x-request-id", value));
            let id = service.call(&mut call).header("x-request-id").unwrap().to_owned();
            assert_eq!(uuid_version(&id), '4', "{values:?}");
            seen.push(id);
        }
        assert_ne!(seen[0], seen[1]);
    }
}

/// "route 404 → method 405", and neither reads the body.
#[test]
fn an_unknown_path_is_404_and_an_unsupported_method_405() {
    let service = Service::new();
    for (method, target, status, allow) in [
        ("GET", "//", 404, None),
        ("GET", "/api/v1/orders/", 404, None),
        ("POST", "/api/v1/orders/", 404, None),
        ("PUT", "/api/v1/order", 404, None),
        ("GET", "/api/v1/orders/a/b", 404, None),
        ("PUT", "/api/v1/orders", 405, Some("GET, HEAD, POST, OPTIONS")),
        ("DELETE", "/api/v1/orders?limit=x", 405, Some("GET, HEAD, POST, OPTIONS")),
        ("post", "/api/v1/orders", 405, Some("GET, HEAD, POST, OPTIONS")),
        ("POST", "/api/v1/orders/x", 405, Some("GET, HEAD, PATCH, OPTIONS")),
        ("DELETE", "/api/v1/orders/x", 405, Some("GET, HEAD, PATCH, OPTIONS")),
    ] {
        let mut call = Call::new(method, target).body(" ".repeat(2_000_000));
        let response = service.call(&mut call);
        response.problem(status, if status == 404 { "no-such-path" } else { "method-not-allowed" });
        assert_eq!(response.header("allow"), allow, "{method} {target}");
        assert_eq!(call.body_reads, 0);
    }
}

/// RFC 9457 §3.1.5: `instance` identifies the occurrence.
#[test]
fn the_instance_of_a_problem_is_the_path_of_the_request() {
    for (target, instance) in [("/a\"b\\?c=d", "/a\"b\\"), ("", ""), ("?", ""), ("/é/%ff?x?y", "/é/%ff")] {
        let response = Service::new().get(target);
        response.problem(404, "no-such-path");
        assert_eq!(response.json()["instance"], instance);
    }
}

#[test]
fn only_failures_have_a_cause_for_the_log() {
    for response in responses(&Service::new()) {
        assert_eq!(
            response.0.cause.is_some(),
            response.status() == 400 && response.text().contains("body-interrupted")
        );
    }
}

proptest! {
    #[test]
    fn any_request_id_is_returned_or_replaced(value: Vec<u8>) {
        let response = Service::new().call(&mut Call::new("GET", "/").header("x-request-id", &value));
        let valid = (1..=128).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic);
        prop_assert_eq!(response.header("x-request-id").unwrap().as_bytes() == value, valid);
    }

    #[test]
    fn any_target_gets_an_expected_status(method in "[A-Z]{0,5}", target in ".{0,30}|(/|api|v1|orders|\\?|=|%){0,9}") {
        let status = Service::new().call(&mut Call::new(&method, &target)).status();
        prop_assert_eq!(matches!(status, 200 | 204 | 302 | 400 | 404 | 405 | 415), true, "{}", status);
    }
}
