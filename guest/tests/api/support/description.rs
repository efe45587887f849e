//! Checks every response in a test against `openapi.json`.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::Value;

use super::response::TestResponse;

static DESCRIPTION: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../../openapi.json")).unwrap());

/// The paths that the host serves instead of the component.
const HOST_PATHS: [&str; 3] = ["/docs", "/health", "/ready"];

/// The name (such as `GET /api/v1/orders/{id}`) and the description of the operation for a method and a request target.
pub(crate) fn operation(method: &str, target: &str) -> Option<(String, &'static Value)> {
    let path = target.split('?').next().unwrap();
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
    let paths = DESCRIPTION["paths"].as_object().unwrap();
    let described = |template: &str| matches(template) && !HOST_PATHS.contains(&template);
    let (template, item) = paths.iter().find(|(template, _)| described(template))?;
    // Methods are case-sensitive.
    let operation = Some(&item[method.to_lowercase()]).filter(|_| method == method.to_uppercase())?;
    operation.is_object().then(|| (format!("{method} {template}"), operation))
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
    let documented = match documented["$ref"].as_str() {
        Some(reference) => DESCRIPTION.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
        None => documented,
    };
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
        let description = match description["$ref"].as_str() {
            Some(reference) => DESCRIPTION.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
            None => description,
        };
        if description["required"] == true {
            let value = response.header(&field.to_ascii_lowercase());
            assert!(value.is_some(), "{name}, {status} has no {field}: {response:?}");
        }
    }
}

/// Every documented status of every operation, without those that only a host returns.
pub(crate) fn documented() -> BTreeSet<(String, String)> {
    let mut documented = BTreeSet::new();
    for (template, item) in DESCRIPTION["paths"].as_object().unwrap() {
        if HOST_PATHS.contains(&template.as_str()) {
            continue;
        }
        for method in ["GET", "HEAD", "POST", "PATCH", "OPTIONS"] {
            let responses = item[method.to_lowercase()]["responses"].as_object();
            for status in responses.into_iter().flat_map(|responses| responses.keys()) {
                if !matches!(status.as_str(), "408" | "414" | "431" | "5XX") {
                    documented.insert((format!("{method} {template}"), status.clone()));
                }
            }
        }
    }
    documented
}
