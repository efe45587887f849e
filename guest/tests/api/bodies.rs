//! Bodies that are rejected before their content is checked: 413, 415 and 400.

use crate::support::{Call, Service, minimal, padded};

fn malformed(body: impl AsRef<[u8]>) -> String {
    Service::new().post(body).problem(400, "malformed-json")
}

/// "Body 1 MiB (413 …)".
#[test]
fn a_body_over_1_mib_is_413() {
    let detail = Service::new().post(padded(1_048_577)).problem(413, "body-too-large");
    assert!(detail.contains("1048576 bytes"), "{detail}");
}

/// "413 → 406/415 → … → syntax 400 → meaning 422".
#[test]
fn checks_run_in_the_order_of_the_contract() {
    let service = Service::new();
    let huge = " ".repeat(1_048_577);
    service.call(&mut Call::post(&huge).without("content-type")).problem(413, "body-too-large");
    service.call(&mut Call::post("{").without("content-type")).problem(415, "unsupported-content");
    service.post("{\"customer\":1,}").problem(400, "malformed-json");
    service.post("{\"customer\":1,\"customer\":1}").problem(400, "malformed-json");
    service.post("{\"customer\":1}").problem(422, "invalid-body");
}

#[test]
fn an_interrupted_body_is_400_and_the_cause_is_logged() {
    let response = Service::new().call(&mut Call::post("").interrupted("connection reset"));
    response.problem(400, "body-interrupted");
    assert_eq!(response.0.cause.as_deref(), Some("connection reset"));
    assert!(!response.text().contains("reset"));
}

#[test]
fn a_missing_content_type_is_415_and_the_response_lists_the_supported_type() {
    let response = Service::new().call(&mut Call::post(minimal().to_string()).without("content-type"));
    let detail = response.problem(415, "unsupported-content");
    assert!(detail.contains("Send Content-Type: application/json"), "{detail}");
    assert_eq!(response.header("accept"), Some("application/json"));
    assert_eq!(response.header("accept-encoding"), Some("identity"));
}

#[test]
fn only_json_in_utf_8_is_accepted() {
    for (value, status) in [
        ("application/json", 201),
        ("APPLICATION/Json;Charset=\"UTF-8\"", 201),
        ("application/json; charset=iso-8859-1", 415),
        ("application/merge-patch+json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("text/json", 415),
        ("", 415),
    ] {
        let call = Call::post(minimal().to_string()).without("content-type");
        let response = Service::new().call(&mut call.header("content-type", value));
        assert_eq!(response.status(), status, "{value}");
    }
    let twice = Call::post(minimal().to_string()).header("content-type", "application/json");
    assert_eq!(Service::new().call(&mut { twice }).status(), 415);
}

#[test]
fn content_codings_other_than_identity_are_415() {
    for (values, status) in [
        (&["identity"][..], 201),
        (&["Identity, identity", "identity"], 201),
        (&["", " , identity"], 201),
        (&["gzip"], 415),
        (&["identity, br"], 415),
        (&["identity", "x-gzip"], 415),
    ] {
        let call = values
            .iter()
            .fold(Call::post(minimal().to_string()), |call, value| call.header("content-encoding", value));
        let response = Service::new().call(&mut { call });
        assert_eq!(response.status(), status, "{values:?}");
        if status == 415 {
            assert_eq!(response.header("accept-encoding"), Some("identity"));
        }
    }
}

#[test]
fn an_empty_body_is_rejected_with_a_hint() {
    assert_eq!(malformed(""), "The body is empty; a JSON object is required.");
    assert_eq!(malformed(" \r\n"), "The body is empty; a JSON object is required.");
}

#[test]
fn syntax_errors_report_line_and_column() {
    let detail = malformed("{\n  \"customer\": nobody\n}");
    assert!(detail.contains("at line 2 column 16"), "{detail}");
}

#[test]
fn text_outside_the_json_grammar_is_400() {
    for body in [
        &b"{\"customer\":\"\xff\"}"[..],
        b"\xef\xbb\xbf{}",
        br#"{"customer":"\ud800"}"#,
        b"{\"customer\":1e999}",
    ] {
        malformed(body);
    }
}

/// "Duplicate members are 400", at any depth. The detail names the member.
#[test]
fn duplicate_members_are_400() {
    let item = r#"{"sku":"s","quantity":1,"unit_price":0,"quantity":2}"#;
    let detail = malformed(format!(r#"{{"customer":"c","currency":"EUR","items":[{item}]}}"#));
    assert!(detail.contains("duplicate member \"quantity\""), "{detail}");
    let detail = malformed(r#"{"metadata":{"a":"1","\u0061":"2"}}"#);
    assert!(detail.contains("duplicate member \"a\""), "{detail}");
}

#[test]
fn deep_nesting_is_400() {
    for body in
        ["[".repeat(1_000_000), "{\"a\":".repeat(200_000), format!("{}{}", "[".repeat(127), "]".repeat(127))]
    {
        let detail = malformed(body);
        assert!(detail.contains("nested deeper than 32 levels"), "{detail}");
    }
}
