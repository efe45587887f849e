//! `openapi.json`, held against every answer that a test gets.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::Value;

use super::Answer;

static DESCRIPTION: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../../openapi.json")).unwrap());

/// What the host answers in the component's place.
const OF_THE_HOST: [&str; 3] = ["/docs", "/health", "/ready"];

/// The description of the operation for a method and a request target, with its name (`GET /api/v1/orders/{id}`).
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
    let described = |template: &str| matches(template) && !OF_THE_HOST.contains(&template);
    let (template, item) = paths.iter().find(|(template, _)| described(template))?;
    // A method in other case is another method.
    let operation = Some(&item[method.to_lowercase()]).filter(|_| method == method.to_uppercase())?;
    operation.is_object().then(|| (format!("{method} {template}"), operation))
}

/// Panics if the answer is not one that the description has: its status, and the type of its content.
pub(super) fn check(method: &str, target: &str, answer: &Answer) {
    let Some((name, operation)) = operation(method, target) else {
        assert!(matches!(answer.status(), 404 | 405), "{method} {target} is not described: {answer:?}");
        return;
    };
    let responses = operation["responses"].as_object().unwrap();
    let status = answer.status().to_string();
    let response = responses.get(&status).or(responses.get("5XX").filter(|_| status.starts_with('5')));
    let response = response.unwrap_or_else(|| panic!("{name} does not describe {status}: {answer:?}"));
    let response = match response["$ref"].as_str() {
        Some(reference) => DESCRIPTION.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
        None => response,
    };
    let content_type = answer.header("content-type").map(|value| value.split(';').next().unwrap());
    match (content_type, response["content"].as_object()) {
        (Some(content_type), Some(described)) if method != "HEAD" => {
            assert!(described.contains_key(content_type), "{name}, {status}: {content_type}");
        }
        (None, Some(_)) => panic!("{name}, {status} has no content: {answer:?}"),
        (Some(_), None) if method != "HEAD" => panic!("{name}, {status} should have no content: {answer:?}"),
        _ => {}
    }
    for (field, description) in response["headers"].as_object().into_iter().flatten() {
        let description = match description["$ref"].as_str() {
            Some(reference) => DESCRIPTION.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
            None => description,
        };
        if description["required"] == true {
            let value = answer.header(&field.to_ascii_lowercase());
            assert!(value.is_some(), "{name}, {status} has no {field}: {answer:?}");
        }
    }
}

/// Every status that an operation is described to answer with, but for those that only a host can give.
pub(crate) fn documented() -> BTreeSet<(String, String)> {
    let mut documented = BTreeSet::new();
    for (template, item) in DESCRIPTION["paths"].as_object().unwrap() {
        if OF_THE_HOST.contains(&template.as_str()) {
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
