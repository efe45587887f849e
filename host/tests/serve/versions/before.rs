//! What the component wrote before records had layouts: read, listed and changed. That component loses members that it does not
//! know, so only this direction is promised.

use serde_json::json;

use super::{lost, patch, send};
use crate::harness::{TestHost, list_all, post, run};

/// The state of a store that only that component has written: an export of twelve orders, in every status and with every member.
/// Some texts have control characters, which it allowed.
const STATE: &str = include_str!("before.jsonl");

#[tokio::test]
async fn orders_from_before_layouts_are_read_and_changed() {
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("before.jsonl");
    std::fs::write(&export, STATE).unwrap();
    let location = format!("sqlite:{}", folder.path().join("orders.db").display());
    let imported =
        run(["state", "import", "--store", &location, "--input", &export.display().to_string()]).await;
    assert_eq!(imported.code, Some(0), "{}", imported.stderr);

    let host = TestHost::orders(&["--store", &location]).await;
    let mut client = host.connect().await;
    let before = list_all(&mut client).await;
    assert_eq!(before.len(), 12);
    for (path, order) in &before {
        assert_eq!(&client.get(path).await.json(), order);
        let status = order["status"].as_str().unwrap();
        let listed =
            client.get(&format!("/api/v1/orders?status={status}&customer=ada&limit=100")).await.json();
        assert!(listed["items"].as_array().unwrap().contains(order), "{order}");
        let events = client.get(&format!("{path}/events")).await.json();
        assert_eq!(events["items"].as_array().unwrap().len() as u64, order["version"].as_u64().unwrap());
        let patched = patch(&mut client, path, &json!({"metadata": {"new": "1"}})).await;
        assert_eq!((patched.status(), lost(order, &patched.json())), (200, Vec::new()));
        let action = match status {
            "pending" => "confirm",
            "confirmed" => "ship",
            "shipped" => "deliver",
            _ => continue,
        };
        let advanced = send(&mut client, &format!("{path}/{action}"), &json!({})).await;
        assert_eq!((advanced.status(), lost(&patched.json(), &advanced.json())), (200, Vec::new()));
    }
    // Its entity tags are versions alone.
    let (path, _) = before.first_key_value().unwrap();
    let version = client.get(path).await.json()["version"].clone();
    let mut request = post(path, json!({"notes": "x"}).to_string());
    *request.method_mut() = http::Method::PATCH;
    request.headers_mut().insert("content-type", "application/merge-patch+json".parse().unwrap());
    request.headers_mut().insert("if-match", format!("\"{version}\"").parse().unwrap());
    assert_eq!(client.send(request).await.unwrap().status(), 200);
}
