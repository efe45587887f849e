//! The orders component is replaced a hundred times while orders are made and read.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;

use crate::{
    harness::{Client, TestHost, orders, version_of, within},
    rollout::canary::{promoted, push},
};

const SWAPS: usize = 100;
const CLIENTS: usize = 32;

/// Creates an order, reads it back, and finds it in the list; gives the ids of the requests.
async fn make_and_read(client: &mut Client) -> Vec<String> {
    let mut ids = Vec::new();
    let mut checked = |answer: &crate::harness::TestResponse, status: u16| {
        assert_eq!(answer.status(), status, "{:?}", answer.body);
        ids.push(answer.field("x-request-id").to_owned());
    };
    let created = client.create().await.expect("an answer");
    checked(&created, 201);
    let order = created.json();
    assert_eq!((&order["status"], &order["total"]), (&"pending".into(), &900.into()));
    assert_eq!(created.field("location"), format!("/api/v1/orders/{}", order["id"].as_str().unwrap()));
    let read = client.get(created.field("location")).await;
    checked(&read, 200);
    assert_eq!(read.json(), order);
    // Others make orders too: it may not be on the first page any more, but whatever is there is whole.
    let list = client.get("/api/v1/orders?limit=5").await;
    checked(&list, 200);
    for listed in list.json()["items"].as_array().unwrap() {
        assert_eq!((&listed["customer"], &listed["total"]), (&"ada".into(), &900.into()));
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_swaps_of_the_orders_hurt_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let modules = folder.path().join("modules").display().to_string();
    let versions = [1, 2].map(|version| version_of(&orders(), version, folder.path()));
    let host = TestHost::start(&versions[0], &["--module-dir", &modules]).await;
    let start = host.log().wait_for("the start", |line| line["message"] == "serving").await;
    // Compiled once before, as it is when a version comes back.
    let second = push(&host, &versions[1], "canary=0").await;
    promoted(&host, &second).await;

    let done = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let (mut client, done) = (host.connect().await, Arc::clone(&done));
        clients.push(tokio::spawn(async move {
            let mut ids = Vec::new();
            while !done.load(Ordering::Relaxed) {
                ids.extend(make_and_read(&mut client).await);
            }
            ids
        }));
    }
    let swapped = |line: &Value| line["message"] == "promoted";
    for swap in 0..SWAPS {
        push(&host, &versions[swap % 2], "canary=0").await;
        host.log().wait_for_count("a swap", swap + 2, swapped).await;
    }
    done.store(true, Ordering::Relaxed);
    let mut ids = Vec::new();
    for client in clients {
        ids.extend(within("a client to finish", client).await.unwrap());
    }

    // Each request was served by one version, and both have served many.
    host.log().access(ids.last().unwrap()).await;
    let lines = host.log().lines();
    let access = lines.iter().filter(|line| line["target"] == "access");
    let mut by: BTreeMap<&str, usize> = BTreeMap::new();
    let mut once = BTreeMap::new();
    for line in access {
        *by.entry(line["module"].as_str().unwrap()).or_default() += 1;
        assert_eq!(once.insert(line["request_id"].as_str().unwrap(), ()), None, "{line}");
    }
    let mut named: Vec<_> = by.keys().copied().collect();
    named.sort_unstable();
    let first = start["module"].as_str().unwrap().to_owned();
    let mut expected = [first.split_at(12).0, second.split_at(12).0];
    expected.sort_unstable();
    assert_eq!(named, expected);
    assert!(by.values().all(|requests| *requests > SWAPS), "{by:?}");
    assert!(ids.len() > CLIENTS * SWAPS, "{} requests", ids.len());
    assert!(!lines.iter().any(|line| line["level"] == "ERROR"), "something has failed");
}
