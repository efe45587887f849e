//! What counts for or against a module: a request that was judged, and nothing else.

use serde_json::Value;

use crate::harness::TestHost;

/// The counts of the serving module.
async fn done(host: &TestHost) -> Value {
    let overview = host.operator().await.get("/v1/modules").await.json();
    overview["serving"]["done"].clone()
}

#[tokio::test]
async fn a_request_whose_client_leaves_is_not_counted() {
    let host = TestHost::fixture("blocks", &[]).await;
    let mut client = host.connect().await;
    let request = tokio::spawn(async move { client.get("/").await });
    host.log().wait_for("the request", |line| line["message"] == "waiting").await;
    request.abort();
    host.log().wait_for("its end", |line| line["end"] == "unfinished").await;
    let done = done(&host).await;
    assert_eq!((&done["requests"], &done["failures"]), (&0.into(), &0.into()), "{done}");
}

#[tokio::test]
async fn a_request_to_which_the_store_was_unavailable_is_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = format!("sqlite:{}", path.display());
    let host = TestHost::orders(&["--store", &store]).await;
    let mut client = host.connect().await;
    assert_eq!(client.create().await.unwrap().status(), 201);

    let lock_holder = rusqlite::Connection::open(&path).unwrap();
    lock_holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(client.create().await.unwrap().status(), 503);
    // The component is to blame for what it says while the store is available.
    assert_eq!(client.get("/api/v1/orders").await.status(), 200);
    let done = done(&host).await;
    assert_eq!((&done["requests"], &done["failures"]), (&2.into(), &0.into()), "{done}");
}

#[tokio::test]
async fn a_request_whose_deadline_passes_while_it_waits_for_the_store_is_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let options = ["--store", &format!("sqlite:{}", path.display()), "--request-timeout", "1s"];
    let host = TestHost::orders(&options).await;
    let lock_holder = rusqlite::Connection::open(&path).unwrap();
    lock_holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut client = host.connect().await;
    client.create().await.unwrap().host_problem(504);
    let done = done(&host).await;
    assert_eq!((&done["requests"], &done["failures"]), (&0.into(), &0.into()), "{done}");
}
