//! What is wrong with a body before anyone asks what it means: 413, 415, 400.

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
fn the_order_of_checks() {
    let service = Service::new();
    let huge = " ".repeat(1_048_577);
    service.call(&mut Call::post(&huge).without("content-type")).problem(413, "body-too-large");
    service.call(&mut Call::post("{").without("content-type")).problem(415, "unsupported-content");
    service.post("{\"customer\":1,}").problem(400, "malformed-json");
    service.post("{\"customer\":1,\"customer\":1}").problem(400, "malformed-json");
    service.post("{\"customer\":1}").problem(422, "invalid-body");
}

#[test]
fn a_body_that_breaks_off_is_400_and_its_cause_is_logged() {
    let answer = Service::new().call(&mut Call::post("").interrupted("connection reset"));
    answer.problem(400, "body-interrupted");
    assert_eq!(answer.0.cause.as_deref(), Some("connection reset"));
    assert!(!answer.text().contains("reset"));
}

#[test]
fn without_a_content_type_the_answer_says_what_to_send() {
    let answer = Service::new().call(&mut Call::post(minimal().to_string()).without("content-type"));
    let detail = answer.problem(415, "unsupported-content");
    assert!(detail.contains("Send Content-Type: application/json"), "{detail}");
    assert_eq!(answer.header("accept"), Some("application/json"));
    assert_eq!(answer.header("accept-encoding"), Some("identity"));
}

#[test]
fn content_types() {
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
        let answer = Service::new().call(&mut call.header("content-type", value));
        assert_eq!(answer.status(), status, "{value}");
    }
    let twice = Call::post(minimal().to_string()).header("content-type", "application/json");
    assert_eq!(Service::new().call(&mut { twice }).status(), 415);
}

/// `identity` is no coding; any other cannot be undone here.
#[test]
fn content_codings() {
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
        let answer = Service::new().call(&mut { call });
        assert_eq!(answer.status(), status, "{values:?}");
        if status == 415 {
            assert_eq!(answer.header("accept-encoding"), Some("identity"));
        }
    }
}

#[test]
fn an_empty_body_is_told_what_is_expected() {
    assert_eq!(malformed(""), "The body is empty; a JSON object is expected.");
    assert_eq!(malformed(" \r\n"), "The body is empty; a JSON object is expected.");
}

#[test]
fn syntax_errors_name_line_and_column() {
    let detail = malformed("{\n  \"customer\": nobody\n}");
    assert!(detail.contains("at line 2 column 16"), "{detail}");
}

#[test]
fn text_that_no_json_has() {
    for body in [
        &b"{\"customer\":\"\xff\"}"[..],
        b"\xef\xbb\xbf{}",
        br#"{"customer":"\ud800"}"#,
        b"{\"customer\":1e999}",
    ] {
        malformed(body);
    }
}

/// "Duplicate members are 400", at any depth, the member named.
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
