//! Acknowledged orders survive a crash of the host.

use std::{collections::BTreeMap, os::unix::process::ExitStatusExt, sync::Arc};

use rustix::process::Signal;
use serde_json::Value;
use tokio::sync::{Mutex, watch};

use crate::harness::{TestHost, list_all, orders, within};

/// The number of times the host is killed.
const KILLS: usize = 50;
/// The number of clients that create orders as fast as they can.
const CLIENTS: usize = 8;

#[tokio::test]
async fn every_acknowledged_order_survives_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let location = format!("sqlite:{}", folder.path().join("orders.db").display());
    let acknowledged: Arc<Mutex<BTreeMap<String, Value>>> = Arc::default();
    for round in 0..=KILLS {
        let mut host = TestHost::orders(&["--store", &location]).await;
        check_all_present(&host, &*acknowledged.lock().await).await;
        if round == KILLS {
            break;
        }

        let (created, mut counted) = watch::channel(0);
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let mut client = host.connect().await;
            let (acknowledged, created) = (Arc::clone(&acknowledged), created.clone());
            clients.push(tokio::spawn(async move {
                while let Ok(response) = client.create().await {
                    assert_eq!(response.status(), 201, "{response:?}");
                    acknowledged.lock().await.insert(response.field("location").to_owned(), response.json());
                    created.send_modify(|count| *count += 1);
                }
            }));
        }
        // The moment differs in each round, so that the kill hits every stage of a commit.
        within("some orders to be created", counted.wait_for(|count| *count >= 20 + round)).await.unwrap();
        host.signal(Signal::KILL);
        host.exit().await;
        for client in clients {
            within("a client to notice the end of the host", client).await.unwrap();
        }
    }
    assert!(acknowledged.lock().await.len() > KILLS * 20);
}

/// The log of the process that was killed belongs to the file, and it is checked before anything is served.
#[tokio::test]
async fn a_store_that_was_not_closed_is_checked_before_the_service_is_ready() {
    let folder = tempfile::tempdir().unwrap();
    let location = format!("sqlite:{}", folder.path().join("orders.db").display());
    let mut host = TestHost::orders(&["--store", &location]).await;
    let created = host.connect().await.create().await.unwrap();
    host.signal(Signal::KILL);
    host.exit().await;

    let held = folder.path().join("held");
    std::fs::write(&held, "").unwrap();
    let fault = format!("hold:store.check:{}", held.display());
    let options = ["--store", location.as_str()];
    let mut host = TestHost::launch_with(&orders(), &options, &[("ORDERS_FAULT", &fault)]).await;
    host.log().wait_for("the check to begin", |line| line["event"] == "store.check_started").await;
    assert_eq!(host.get("/health").await.status(), 200);
    let detail = host.ready(503).await.host_problem(503);
    assert_eq!(detail, "The service is not ready: it checks its store, which was not closed.");
    std::fs::remove_file(&held).unwrap();
    host.wait_until_serving().await;
    host.log().wait_for("the end of the check", |line| line["event"] == "store.check_passed").await;
    host.ready(200).await;
    assert_eq!(host.get(created.field("location")).await.json(), created.json());
}

/// A new copy starts while the former one still serves: its log is no sign of a crash, and the check disturbs nobody.
#[tokio::test]
async fn a_successor_starts_beside_a_process_that_still_commits() {
    let folder = tempfile::tempdir().unwrap();
    let location = format!("sqlite:{}", folder.path().join("orders.db").display());
    let mut host = TestHost::orders(&["--store", &location]).await;
    let (created, mut counted) = watch::channel(0);
    let mut client = host.connect().await;
    let creating = tokio::spawn(async move {
        let mut orders = BTreeMap::new();
        while let Ok(response) = client.create().await {
            assert_eq!(response.status(), 201, "{response:?}");
            orders.insert(response.field("location").to_owned(), response.json());
            created.send_modify(|count| *count += 1);
        }
        orders
    });
    within("some orders", counted.wait_for(|count| *count >= 100)).await.unwrap();
    let successor = TestHost::orders(&["--store", &location]).await;
    successor.log().wait_for("the end of the check", |line| line["event"] == "store.check_passed").await;
    assert_eq!(successor.connect().await.create().await.unwrap().status(), 201);
    let then = *counted.borrow();
    within("more orders", counted.wait_for(|count| *count >= then + 100)).await.unwrap();
    host.signal(Signal::TERM);
    host.exit().await;
    let orders = within("the client to notice the end of the host", creating).await.unwrap();
    check_all_present(&successor, &orders).await;
}

/// Without the thread that commits, the service would be unready for ever: the process ends, so that it is started again.
#[tokio::test]
async fn a_panic_of_the_thread_that_commits_ends_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let location = format!("sqlite:{}", folder.path().join("orders.db").display());
    let mut host = TestHost::orders(&["--store", &location]).await;
    let created = host.connect().await.create().await.unwrap();
    assert_eq!(created.status(), 201, "{created:?}");
    host.signal(Signal::TERM);
    host.exit().await;

    let fault = [("ORDERS_FAULT", "panic:commit")];
    let mut host = TestHost::start_with(&orders(), &["--store", &location], &fault).await;
    // The connection usually ends with the process.
    if let Ok(response) = host.connect().await.create().await {
        assert_eq!(response.status(), 503, "{response:?}");
    }
    assert_eq!(host.exit().await.signal(), Some(Signal::ABORT.as_raw()));

    let host = TestHost::orders(&["--store", &location]).await;
    let acknowledged = [(created.field("location").to_owned(), created.json())].into();
    check_all_present(&host, &acknowledged).await;
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
}

/// Checks that each order reads as it was acknowledged, in the list and at its location.
async fn check_all_present(host: &TestHost, acknowledged: &BTreeMap<String, Value>) {
    let mut client = host.connect().await;
    let listed = list_all(&mut client).await;
    for (location, order) in acknowledged {
        assert_eq!(listed.get(location), Some(order), "{location} in the list");
    }
    if let Some((location, order)) = acknowledged.last_key_value() {
        assert_eq!(&client.get(location).await.json(), order);
    }
}
