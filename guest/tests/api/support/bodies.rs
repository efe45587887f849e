//! Request bodies.

use serde_json::{Value, json};

/// The smallest order.
pub(crate) fn minimal() -> Value {
    json!({"customer": "c", "currency": "EUR", "items": [{"sku": "s", "quantity": 1, "unit_price": 0}]})
}

/// The smallest order, padded with spaces to this many bytes.
pub(crate) fn padded(length: usize) -> String {
    let mut body = minimal().to_string();
    body.extend(std::iter::repeat_n(' ', length - body.len()));
    body
}

/// An order with this many members of metadata, each of which has 2 KB: at most 50.
pub(crate) fn large(members: usize) -> Value {
    let text = "😀".repeat(500);
    let metadata = (0..members).map(|number| (format!("m{number}"), json!(text)));
    with(minimal(), "/metadata", Value::Object(metadata.collect()))
}

/// An order with every member.
pub(crate) fn full() -> Value {
    json!({
        "customer": "Ada Lovelace",
        "currency": "USD",
        "items": [
            {"sku": "A-1_b.c", "name": "Größe 😀", "quantity": 3, "unit_price": 1999},
            {"sku": "B", "quantity": 10_000, "unit_price": 1_000_000_000},
        ],
        "notes": "",
        "metadata": {"z": "", "channel": "web", "a.b_c-1": "x"},
    })
}

/// The document with a member or element set. The parent must exist. The pointer follows RFC 6901, without escapes.
pub(crate) fn with(mut document: Value, pointer: &str, value: Value) -> Value {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Array(elements) if last == "-" => elements.push(value),
        Value::Array(elements) => elements[last.parse::<usize>().unwrap()] = value,
        parent => parent[last] = value,
    }
    document
}

/// The document without a member.
pub(crate) fn without(mut document: Value, pointer: &str) -> Value {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(last).unwrap();
    document
}
