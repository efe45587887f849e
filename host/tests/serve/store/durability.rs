//! Nothing acknowledged is ever lost.

use std::{collections::BTreeMap, sync::Arc};

use rustix::process::Signal;
use serde_json::Value;
use tokio::sync::{Mutex, watch};

use crate::harness::{TestHost, list_all, within};

/// How often the host is killed.
const KILLS: usize = 20;
/// Clients that create as fast as they can.
const CLIENTS: usize = 8;

#[tokio::test]
async fn every_acknowledged_order_survives_kill_nine() {
    let folder = tempfile::tempdir().unwrap();
    let location = format!("sqlite:{}", folder.path().join("orders.db").display());
    let acknowledged: Arc<Mutex<BTreeMap<String, Value>>> = Arc::default();
    for round in 0..=KILLS {
        let mut host = TestHost::orders(&["--store", &location]).await;
        check_all_there(&host, &*acknowledged.lock().await).await;
        if round == KILLS {
            break;
        }

        let (created, mut counted) = watch::channel(0);
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let mut client = host.connect().await;
            let (acknowledged, created) = (Arc::clone(&acknowledged), created.clone());
            clients.push(tokio::spawn(async move {
                while let Ok(answer) = client.create().await {
                    assert_eq!(answer.status(), 201, "{answer:?}");
                    acknowledged.lock().await.insert(answer.field("location").to_owned(), answer.json());
                    created.send_modify(|count| *count += 1);
                }
            }));
        }
        // Another moment in each round, so that the kill falls into every part of a commit.
        within("some creates", counted.wait_for(|count| *count >= 20 + 3 * round)).await.unwrap();
        host.signal(Signal::KILL);
        host.exit().await;
        for client in clients {
            within("a client to notice", client).await.unwrap();
        }
    }
    assert!(acknowledged.lock().await.len() > KILLS * 20);
}

/// Each of them, as it was acknowledged, by its location and in the list.
async fn check_all_there(host: &TestHost, acknowledged: &BTreeMap<String, Value>) {
    let mut client = host.connect().await;
    let listed = list_all(&mut client).await;
    for (location, order) in acknowledged {
        assert_eq!(listed.get(location), Some(order), "{location} in the list");
    }
    if let Some((location, order)) = acknowledged.last_key_value() {
        assert_eq!(&client.get(location).await.json(), order);
    }
}
