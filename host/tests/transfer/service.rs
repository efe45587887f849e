//! The service before, during and after a transfer of its state.

use std::collections::{BTreeMap, BTreeSet};

use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    sync::{mpsc, watch},
};

use crate::{
    harness::{Client, ORDER, TestHost, list_all, post, within},
    support::{Folder, database, end, export, fill, import, numbered, start},
};

fn create(key: &str) -> Request<Full<bytes::Bytes>> {
    let mut request = post("/api/v1/orders", ORDER);
    request.headers_mut().insert("idempotency-key", format!("\"{key}\"").parse().unwrap());
    request
}

/// All pages of a list.
async fn pages(client: &mut Client, query: &str) -> Vec<Value> {
    let mut pages = Vec::new();
    let mut path = format!("/api/v1/orders?limit=3{query}");
    loop {
        let page = client.get(&path).await.json();
        let next = page["next_cursor"]
            .as_str()
            .map(|cursor| format!("/api/v1/orders?limit=3{query}&cursor={cursor}"));
        pages.push(page);
        let Some(next) = next else { return pages };
        path = next;
    }
}

/// The orders as a client sees them: each with its entity tag and events, and all lists.
async fn client_view(client: &mut Client) -> BTreeMap<String, Value> {
    let mut view = BTreeMap::new();
    for location in list_all(client).await.into_keys() {
        let order = client.get(&location).await;
        let events = client.get(&format!("{location}/events")).await.json();
        view.insert(location, json!([order.field("etag"), order.json(), events]));
    }
    for query in ["", "&status=confirmed", "&status=pending", "&customer=ada", "&sort=created_at"] {
        view.insert(query.to_owned(), pages(client, query).await.into());
    }
    view
}

#[tokio::test]
async fn a_service_continues_on_the_imported_store() {
    let folder = Folder::new();
    let (old, new, file) = (folder.sqlite("old.db"), database(), folder.at("state.jsonl"));
    let host = TestHost::orders(&["--store", &old]).await;
    let mut client = host.connect().await;
    let mut locations = Vec::new();
    for n in 0..10 {
        let created = client.send(create(&format!("key-{n}"))).await.unwrap();
        assert_eq!(created.status(), 201, "{created:?}");
        locations.push(created.field("location").to_owned());
    }
    for location in locations.iter().step_by(2) {
        let confirmed = client.send(post(&format!("{location}/confirm"), "")).await.unwrap();
        assert_eq!((confirmed.status(), confirmed.field("etag")), (200, "\"2-2\""));
    }
    let before = client_view(&mut client).await;
    // The service keeps running during the export.
    export(&old, &file).await.succeeded();
    drop(client);
    drop(host);

    import(&new, &file, &[]).await.succeeded();
    let host = TestHost::orders(&["--store", &new]).await;
    let mut client = host.connect().await;
    let after = client_view(&mut client).await;
    assert_eq!(after, before);
    // A retry of an earlier request returns the earlier order, and an entity tag read earlier is still valid.
    let again = client.send(create("key-3")).await.unwrap();
    assert_eq!((again.status(), again.field("location")), (201, locations[3].as_str()));
    let mut confirm = post(&format!("{}/confirm", locations[3]), "");
    confirm.headers_mut().insert("if-match", "\"1\"".parse().unwrap());
    assert_eq!(client.send(confirm).await.unwrap().status(), 200);
    assert_eq!(client.create().await.unwrap().status(), 201);
    assert_eq!(list_all(&mut client).await.len(), 11);
}

/// Creates orders until the receiver is closed, and sends the location of each once it is acknowledged.
async fn create_orders(mut client: Client, acknowledged: mpsc::Sender<String>) {
    while let Ok(response) = client.create().await {
        assert_eq!(response.status(), 201, "{response:?}");
        if acknowledged.send(response.field("location").to_owned()).await.is_err() {
            return;
        }
    }
}

/// An export while the service writes has every order that was acknowledged before it, none that was started after it, and
/// no order in part.
async fn an_export_under_load_is_one_snapshot(store: &str) {
    let folder = Folder::new();
    // Entries before and after the orders that are too large for the buffers between writer and reader.
    let others = |prefix: &'static str| {
        numbered(1500, 2000).into_iter().map(move |(key, value)| (format!("{prefix}{key}"), value))
    };
    fill(store, others("A").chain(others("~"))).await;
    let host = TestHost::orders(&["--store", store]).await;
    let (send, mut acknowledged) = mpsc::channel(1);
    let (count, mut counted) = watch::channel(0);
    let clients: Vec<_> = {
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(tokio::spawn(create_orders(host.connect().await, send.clone())));
        }
        clients
    };
    let all = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let collector = {
        let all = std::sync::Arc::clone(&all);
        tokio::spawn(async move {
            while let Some(location) = acknowledged.recv().await {
                all.lock().unwrap().push(location);
                count.send_modify(|count| *count += 1);
            }
        })
    };
    drop(send);
    within("some orders", counted.wait_for(|count| *count >= 50)).await.unwrap();
    let before: BTreeSet<String> = all.lock().unwrap().iter().cloned().collect();
    let mut child = start(&["export", "--store", store]);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    // Once the first line is there, the snapshot has been taken.
    within("the first line", output.read_line(&mut text)).await.unwrap();
    let begun = *counted.borrow_and_update();
    within("orders meanwhile", counted.wait_for(|count| *count >= begun + 100)).await.unwrap();
    within("the state", output.read_to_string(&mut text)).await.unwrap();
    assert_eq!(end(child).await.code, Some(0));
    for client in clients {
        client.abort();
    }
    collector.abort();
    let listed: BTreeSet<String> = list_all(&mut host.connect().await).await.into_keys().collect();
    drop(host);

    let file = folder.at("state.jsonl");
    std::fs::write(&file, text).unwrap();
    let new = folder.sqlite("new.db");
    import(&new, &file, &[]).await.succeeded();
    let host = TestHost::orders(&["--store", &new]).await;
    let mut client = host.connect().await;
    let exported = list_all(&mut client).await;
    let exported_set: BTreeSet<String> = exported.keys().cloned().collect();
    assert!(before.is_subset(&exported_set), "an acknowledged order is missing");
    assert!(exported_set.is_subset(&listed));
    // Each of the four clients may have one order in flight, and one that waits to be sent to the collector.
    assert!(exported.len() <= begun + 12, "{} orders, {begun} before", exported.len());
    // Every order is in every index and has its event.
    for query in ["&status=pending", "&customer=ada"] {
        let indexed: usize =
            pages(&mut client, query).await.iter().map(|page| page["items"].as_array().unwrap().len()).sum();
        assert_eq!(indexed, exported.len(), "{query}");
    }
    for location in exported.keys() {
        let events = client.get(&format!("{location}/events")).await.json();
        assert_eq!(events["items"].as_array().unwrap().len(), 1, "{events}");
    }
}

#[tokio::test]
async fn an_export_under_load_is_one_snapshot_of_sqlite() {
    let folder = Folder::new();
    an_export_under_load_is_one_snapshot(&folder.sqlite("live.db")).await;
}

#[tokio::test]
async fn an_export_under_load_is_one_snapshot_of_postgres() {
    an_export_under_load_is_one_snapshot(&database()).await;
}
