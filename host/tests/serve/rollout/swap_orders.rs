//! The orders component is replaced a hundred times while clients create and read orders.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::watch;

use crate::{
    harness::{Client, TestHost, orders, version_of, within},
    rollout::{
        canary::{promoted, push},
        swap::is_promotion,
    },
};

const SWAPS: usize = 100;
const CLIENTS: usize = 32;

/// Creates an order, reads it, and lists orders. Returns the ids of the requests.
async fn create_and_read(client: &mut Client) -> Vec<String> {
    let mut ids = Vec::new();
    let mut checked = |response: &crate::harness::TestResponse, status: u16| {
        assert_eq!(response.status(), status, "{:?}", response.body);
        ids.push(response.field("x-request-id").to_owned());
    };
    let created = client.create().await.expect("a response");
    checked(&created, 201);
    let order = created.json();
    assert_eq!((&order["status"], &order["total"]), (&"pending".into(), &900.into()));
    assert_eq!(created.field("location"), format!("/api/v1/orders/{}", order["id"].as_str().unwrap()));
    let read = client.get(created.field("location")).await;
    checked(&read, 200);
    assert_eq!(read.json(), order);
    // Other clients create orders too, so it may not be on the first page any more, but every listed order is complete.
    let list = client.get("/api/v1/orders?limit=5").await;
    checked(&list, 200);
    for listed in list.json()["items"].as_array().unwrap() {
        assert_eq!((&listed["customer"], &listed["total"]), (&"ada".into(), &900.into()));
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_during_a_hundred_swaps_of_the_orders_component() {
    let folder = tempfile::tempdir().unwrap();
    let module_dir = folder.path().join("modules").display().to_string();
    let versions = [1, 2].map(|version| version_of(&orders(), version, folder.path()));
    let host = TestHost::start(&versions[0], &["--module-dir", &module_dir]).await;
    let start = host.log().wait_for("the start", |line| line["message"] == "serving").await;
    // Compiles the second version once, so that every swap finds stored code.
    let second = push(&host, &versions[1], "canary=0").await;
    promoted(&host, &second).await;

    let done = Arc::new(AtomicBool::new(false));
    let (answered, mut counted) = watch::channel(0);
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let (mut client, done, answered) = (host.connect().await, Arc::clone(&done), answered.clone());
        clients.push(tokio::spawn(async move {
            let mut ids = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let three = create_and_read(&mut client).await;
                answered.send_modify(|count| *count += three.len());
                ids.extend(three);
            }
            ids
        }));
    }
    for swap in 0..SWAPS {
        push(&host, &versions[swap % 2], "canary=0").await;
        host.log().wait_for_count("a swap", swap + 2, is_promotion).await;
        let then = *counted.borrow();
        within("requests", counted.wait_for(|count| *count >= then + CLIENTS)).await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    let mut ids = Vec::new();
    for client in clients {
        ids.extend(within("a client to finish", client).await.unwrap());
    }

    // One version has served each request, and both versions have served many.
    host.log().access(ids.last().unwrap()).await;
    let lines = host.log().lines();
    let access = lines.iter().filter(|line| line["target"] == "access");
    let mut requests_by_module: BTreeMap<&str, usize> = BTreeMap::new();
    let mut request_ids = BTreeMap::new();
    for line in access {
        *requests_by_module.entry(line["module"].as_str().unwrap()).or_default() += 1;
        assert_eq!(request_ids.insert(line["request_id"].as_str().unwrap(), ()), None, "{line}");
    }
    let mut modules: Vec<_> = requests_by_module.keys().copied().collect();
    modules.sort_unstable();
    let first = start["module"].as_str().unwrap().to_owned();
    let mut expected = [first.split_at(12).0, second.split_at(12).0];
    expected.sort_unstable();
    assert_eq!(modules, expected);
    assert!(requests_by_module.values().all(|requests| *requests > SWAPS), "{requests_by_module:?}");
    assert!(ids.len() >= CLIENTS * SWAPS, "{} requests", ids.len());
    assert!(!lines.iter().any(|line| line["level"] == "ERROR"), "an error was logged");
}
