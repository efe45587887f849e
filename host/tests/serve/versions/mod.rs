//! Several versions of the orders component on one store: the one before, the present one, and one after it, which has members at
//! every level, a status and an index that the others do not know.

mod before;
mod canary;
mod matrix;

use serde_json::{Value, json};

use crate::harness::{Client, TestResponse, post};

/// A request with a JSON body.
async fn send(client: &mut Client, path: &str, body: &Value) -> TestResponse {
    client.send(post(path, body.to_string())).await.expect("a response")
}

/// A merge patch.
async fn patch(client: &mut Client, path: &str, patch: &Value) -> TestResponse {
    let mut request = post(path, patch.to_string());
    *request.method_mut() = http::Method::PATCH;
    request.headers_mut().insert("content-type", "application/merge-patch+json".parse().unwrap());
    client.send(request).await.expect("a response")
}

/// An order with every member that the present version takes.
fn order(customer: &str) -> Value {
    json!({
        "customer": customer, "currency": "EUR", "notes": "n", "metadata": {"channel": "web"},
        "items": [{"sku": "a", "name": "A", "quantity": 2, "unit_price": 450}, {"sku": "b", "quantity": 1, "unit_price": 3}],
    })
}

/// The same, with the members that only the next version takes.
fn newer_order(customer: &str) -> Value {
    let mut order = order(customer);
    order["priority"] = json!("express");
    order["items"][1]["gift"] = json!("red");
    order
}

/// What must not be lost when an order changes: everything but what the change is about.
fn lost(before: &Value, after: &Value) -> Vec<String> {
    let changing = ["status", "version", "updated_at", "notes", "metadata"];
    let members = before.as_object().unwrap().iter();
    let kept = members.filter(|(name, _)| !changing.contains(&name.as_str()));
    let mut lost: Vec<_> =
        kept.filter(|(name, value)| after.get(name) != Some(value)).map(|(name, _)| name.clone()).collect();
    for (name, value) in before["metadata"].as_object().into_iter().flatten() {
        if after["metadata"].get(name) != Some(value) {
            lost.push(format!("metadata/{name}"));
        }
    }
    lost
}
