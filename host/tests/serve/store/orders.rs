//! The orders component in the host, on a real store: the life of an order as a client sees it.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{ORDER, TestHost, list_all, post, within};

#[tokio::test]
async fn an_order_is_created_read_and_listed() {
    let host = TestHost::orders(&[]).await;
    let mut client = host.connect().await;
    let created = client.create().await.unwrap();
    assert_eq!(created.status(), 201);
    assert_eq!(created.field("etag"), "\"1-2\"");
    let order = created.json();
    assert_eq!((&order["status"], &order["total"]), (&json!("pending"), &json!(900)));

    let found = client.get(created.field("location")).await;
    assert_eq!((found.status(), found.json()), (200, order.clone()));

    let newer = client.create().await.unwrap().json();
    let listed = client.get("/api/v1/orders").await;
    assert_eq!(listed.status(), 200);
    assert_eq!(listed.json(), json!({"items": [newer, order]}), "newest first");

    let page = client.get("/api/v1/orders?limit=1").await.json();
    assert_eq!(page["items"], json!([newer]));
    let path = format!("/api/v1/orders?limit=1&cursor={}", page["next_cursor"].as_str().unwrap());
    assert_eq!(client.get(&path).await.json(), json!({"items": [order]}));
}

#[tokio::test]
async fn invalid_requests_are_rejected_with_the_reason() {
    let host = TestHost::orders(&[]).await;
    let mut client = host.connect().await;
    assert_eq!(client.get("/api/v1/nothing").await.status(), 404);
    assert_eq!(client.get("/api/v1/orders/01890000-0000-7000-8000-000000000001").await.status(), 404);
    assert_eq!(client.get("/api/v1/orders?limit=0").await.status(), 400);

    let mut request = post("/api/v1/orders", ORDER);
    *request.method_mut() = http::Method::DELETE;
    let response = client.send(request).await.unwrap();
    assert_eq!((response.status(), response.field("allow")), (405, "GET, HEAD, POST, OPTIONS"));

    let mut request = post("/api/v1/orders", ORDER);
    request.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(client.send(request).await.unwrap().status(), 415);

    assert_eq!(client.send(post("/api/v1/orders", "{")).await.unwrap().status(), 400);

    let faulty = r#"{"customer":" ","currency":"EUR","items":[{"sku":"a b","quantity":0,"unit_price":1}]}"#;
    let response = client.send(post("/api/v1/orders", faulty)).await.unwrap();
    assert_eq!((response.status(), response.field("content-type")), (422, "application/problem+json"));
    let problem = response.json();
    let pointers: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|e| e["pointer"].clone()).collect();
    assert_eq!(pointers, ["/customer", "/items/0/quantity", "/items/0/sku"]);
}

/// The deepest body that the JSON reader accepts does not overflow the small stack of the component.
#[tokio::test]
async fn a_deeply_nested_body_is_rejected_without_a_trap() {
    let host = TestHost::orders(&[]).await;
    let mut client = host.connect().await;
    for depth in [10, 120, 127, 128, 129, 100_000] {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let body = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let status = client.send(post("/api/v1/orders", body)).await.unwrap().status();
            assert!(matches!(status, 400 | 422), "{status} at depth {depth}");
        }
    }
}

#[tokio::test]
async fn the_largest_order_is_accepted() {
    let host = TestHost::orders(&[]).await;
    let item = json!({"sku": "s".repeat(64), "name": "💶".repeat(200), "quantity": 10_000, "unit_price": 1_000_000_000});
    let metadata: serde_json::Map<_, _> =
        (0..50).map(|n| (format!("{n:0>40}"), json!("💶".repeat(500)))).collect();
    let order = json!({
        "customer": "💶".repeat(200), "currency": "EUR", "items": vec![item; 100],
        "notes": "💶".repeat(2000), "metadata": metadata,
    });
    let mut client = host.connect().await;
    let created = client.send(post("/api/v1/orders", order.to_string())).await.unwrap();
    assert_eq!(created.status(), 201, "{created:?}");
    assert_eq!(created.json()["total"], 1_000_000_000_000_000_u64);
    assert_eq!(client.get(created.field("location")).await.json(), created.json());
    // A list of them stays within the store's limits and the component's memory limit.
    for _ in 1..40 {
        client.send(post("/api/v1/orders", order.to_string())).await.unwrap();
    }
    assert_eq!(list_all(&mut client).await.len(), 40);
}

/// However many ask whether the service is ready, the store is asked once at a time, and its answer is kept for half a second.
#[tokio::test]
async fn many_probes_are_one_question() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let host = TestHost::orders(&["--store", &format!("sqlite:{}", path.display())]).await;
    let lock_holder = rusqlite::Connection::open(&path).unwrap();
    lock_holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    // From now on each question includes a commit.
    assert_eq!(host.connect().await.create().await.unwrap().status(), 503);
    let responses = join_all((0..100).map(|_| host.get("/ready"))).await;
    assert!(responses.iter().all(|response| response.status() == 503), "{responses:?}");
    let questions = || host.log().lines().iter().filter(|line| line["event"] == "service.not_ready").count();
    // A question takes a second here, so the connections of a slow machine may need another one.
    assert!((1..=10).contains(&questions()), "{} questions", questions());
    lock_holder.execute_batch("ROLLBACK").unwrap();
    host.ready(200).await;
}

/// Another process holds the database's write lock, so nothing can be made durable, and nothing may be acknowledged.
#[tokio::test]
async fn a_store_that_cannot_commit_yields_503_and_never_a_false_201() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let host = TestHost::orders(&["--store", &format!("sqlite:{}", path.display())]).await;
    let mut client = host.connect().await;
    assert_eq!(client.create().await.unwrap().status(), 201);

    let lock_holder = rusqlite::Connection::open(&path).unwrap();
    lock_holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let rejected = client.create().await.unwrap();
    assert_eq!((rejected.status(), rejected.field("retry-after")), (503, "1"), "{rejected:?}");
    assert_eq!(rejected.json()["type"], "/problems/store-unavailable");
    let id = rejected.field("x-request-id");
    host.log().wait_for("the cause", |line| line["request_id"] == id && line["target"] == "guest").await;
    host.ready(503).await;
    // Requests without a commit still work.
    assert_eq!(client.get("/api/v1/orders").await.json()["items"].as_array().unwrap().len(), 1);

    lock_holder.execute_batch("ROLLBACK").unwrap();
    drop(lock_holder);
    assert_eq!(client.create().await.unwrap().status(), 201);
    host.ready(200).await;
    assert_eq!(client.get("/api/v1/orders").await.json()["items"].as_array().unwrap().len(), 2);
}

/// Such as by `rm` in a careless clean-up: SQLite would go on with the files that it has open, and lose all orders at its end.
#[tokio::test]
async fn a_store_whose_files_are_deleted_yields_503_and_never_a_false_201() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let host = TestHost::orders(&["--store", &format!("sqlite:{}", path.display())]).await;
    let mut client = host.connect().await;
    assert_eq!(client.create().await.unwrap().status(), 201);
    for file in std::fs::read_dir(folder.path()).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let refused = client.create().await.unwrap().host_problem(503);
    assert!(refused.contains("until an operator has acted"), "{refused}");
    let replaced = host.log().wait_for("the cause", |line| line["event"] == "store.file_replaced").await;
    assert_eq!(replaced["path"], path.to_str().unwrap());
    let not_ready = async { while host.get("/ready").await.status() != 503 {} };
    within("the service not to be ready", not_ready).await;
    assert_eq!(client.create().await.unwrap().status(), 503);
}
