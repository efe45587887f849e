//! Checks every response in a test against the API description.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::response::TestResponse;

/// The description as the component serves it.
pub(crate) static DESCRIPTION: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!(concat!(env!("OUT_DIR"), "/openapi.json"))).unwrap());

/// The operations of the component, by method and path, such as `GET` and `/api/v1/orders/{id}`.
static OPERATIONS: LazyLock<BTreeMap<(&str, &str), Value>> = LazyLock::new(|| {
    let mut operations = BTreeMap::new();
    let paths = DESCRIPTION["paths"].as_object().unwrap();
    for (path, item) in paths.iter().filter(|(path, _)| !HOST_PATHS.contains(&path.as_str())) {
        for (key, method) in [("get", "GET"), ("get", "HEAD"), ("post", "POST"), ("patch", "PATCH")] {
            if let Some(operation) = item.get(key) {
                operations.insert((method, path.as_str()), operation.clone());
            }
        }
        operations.insert(("OPTIONS", path), options(path));
    }
    operations
});

/// The paths that the host serves instead of the component.
const HOST_PATHS: [&str; 3] = ["/docs", "/health", "/ready"];

/// OPTIONS has the same responses for every path. The description mentions them in its introduction only.
fn options(path: &str) -> Value {
    let response = |name: &str| json!({"$ref": format!("#/components/responses/{name}")});
    let mut options = json!({"responses": {
        "204": {"headers": {"Allow": {"required": true}, "Accept-Patch": {"required": path.ends_with("/{id}")}}},
        "400": response("BadMessage"),
        "413": response("BodyTooLarge"),
    }});
    if path == "/problems/{slug}" {
        options["responses"]["404"] = response("NoSuchPath");
    }
    options
}

/// What a part of the description refers to, if it is a reference; otherwise the part itself.
pub(crate) fn resolve(part: &'static Value) -> &'static Value {
    match part["$ref"].as_str() {
        Some(reference) => DESCRIPTION.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
        None => part,
    }
}

/// A path in which letters, digits and hyphens are not percent-encoded.
fn decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let mut decoded = parts.next().unwrap().to_owned();
    for part in parts {
        let byte = part.split_at_checked(2).and_then(|(digits, rest)| {
            let byte = u8::from_str_radix(digits, 16).ok()?;
            (byte.is_ascii_alphanumeric() || byte == b'-').then_some((char::from(byte), rest))
        });
        match byte {
            Some((byte, rest)) => decoded.extend([&byte.to_string(), rest]),
            None => decoded.extend(["%", part]),
        }
    }
    decoded
}

/// The name (such as `GET /api/v1/orders/{id}`) and the description of the operation for a method and a request target.
pub(crate) fn operation(method: &str, target: &str) -> Option<(String, &'static Value)> {
    let path = decoded(target.split('?').next().unwrap());
    let matches = |template: &str| {
        let (mut parts, mut expected) = (path.split('/'), template.split('/'));
        loop {
            match (parts.next(), expected.next()) {
                (None, None) => return true,
                (Some(part), Some(expected)) if part == expected => {}
                (Some(part), Some(expected)) if !part.is_empty() && expected.starts_with('{') => {}
                _ => return false,
            }
        }
    };
    let ((_, template), operation) =
        OPERATIONS.iter().find(|((described, template), _)| method == *described && matches(template))?;
    Some((format!("{method} {template}"), operation))
}

/// Panics unless the description contains the status of the response, its media type and its required headers.
pub(super) fn check(method: &str, target: &str, response: &TestResponse) {
    let Some((name, operation)) = operation(method, target) else {
        assert!(matches!(response.status(), 404 | 405), "{method} {target} is not described: {response:?}");
        return;
    };
    let responses = operation["responses"].as_object().unwrap();
    let status = response.status().to_string();
    let documented = responses.get(&status).or(responses.get("5XX").filter(|_| status.starts_with('5')));
    let documented = documented.unwrap_or_else(|| panic!("{name} does not describe {status}: {response:?}"));
    let documented = resolve(documented);
    let content_type = response.header("content-type").map(|value| value.split(';').next().unwrap());
    match (content_type, documented["content"].as_object()) {
        (Some(content_type), Some(described)) if method != "HEAD" => {
            assert!(described.contains_key(content_type), "{name}, {status}: {content_type}");
        }
        (None, Some(_)) => panic!("{name}, {status} has no content: {response:?}"),
        (Some(_), None) if method != "HEAD" => {
            panic!("{name}, {status} should have no content: {response:?}")
        }
        _ => {}
    }
    for (field, description) in documented["headers"].as_object().into_iter().flatten() {
        if resolve(description)["required"] == true {
            let value = response.header(&field.to_ascii_lowercase());
            assert!(value.is_some(), "{name}, {status} has no {field}: {response:?}");
        }
    }
}

/// Every documented status of every operation, without those that only a host returns.
pub(crate) fn documented() -> BTreeSet<(String, String)> {
    let mut documented = BTreeSet::new();
    for ((method, template), operation) in OPERATIONS.iter() {
        for status in operation["responses"].as_object().unwrap().keys() {
            if !matches!(status.as_str(), "408" | "414" | "431" | "5XX") {
                documented.insert((format!("{method} {template}"), status.clone()));
            }
        }
    }
    documented
}
