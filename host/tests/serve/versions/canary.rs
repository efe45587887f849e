//! A real canary between two versions under load, with a rollback in its middle.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{lost, newer_order, order, patch, send};
use crate::{
    harness::{Client, TestHost, component, orders, within},
    rollout::canary::{ask, event, push, rolled_back},
};

const CLIENTS: usize = 8;

/// Creates, changes and reads orders. Returns what was acknowledged last of each.
async fn work(
    mut client: Client,
    done: Arc<AtomicBool>,
    answered: watch::Sender<usize>,
) -> BTreeMap<String, Value> {
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    let mut round = 0_usize;
    while !done.load(Ordering::Relaxed) {
        round += 1;
        let mut created = send(&mut client, "/api/v1/orders", &newer_order("ada")).await;
        if created.status() == 422 {
            // The other version does not know all members.
            created = send(&mut client, "/api/v1/orders", &order("ada")).await;
        }
        assert_eq!(created.status(), 201, "{created:?}");
        let path = created.field("location").to_owned();
        let mut before = created.json();
        for (action, body) in [
            ("", json!({"metadata": {"round": round.to_string()}})),
            ("/confirm", json!({})),
            ("/ship", json!({"tracking": "T"})),
        ] {
            let changed = match action {
                "" => patch(&mut client, &path, &body).await,
                action => send(&mut client, &format!("{path}{action}"), &body).await,
            };
            assert_eq!(changed.status(), 200, "{changed:?}");
            assert_eq!(lost(&before, &changed.json()), Vec::<String>::new());
            before = changed.json();
        }
        for path in ["/api/v1/orders?limit=5", "/api/v1/orders?customer=ada&status=shipped&limit=5"] {
            assert_eq!(client.get(path).await.status(), 200);
        }
        known.insert(path, before);
        answered.send_modify(|count| *count += 1);
    }
    known
}

/// Serves one version, tries the other with half of the requests, rolls back, and compares all that was acknowledged.
async fn check(serving: PathBuf, tried: PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let location = format!("sqlite:{}", folder.path().join("orders.db").display());
    let module_dir = folder.path().join("modules").display().to_string();
    let host = TestHost::start(&serving, &["--store", &location, "--module-dir", &module_dir]).await;
    let (done, (answered, mut counted)) = (Arc::new(AtomicBool::new(false)), watch::channel(0));
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(tokio::spawn(work(host.connect().await, Arc::clone(&done), answered.clone())));
    }
    let mut rounds = async |what: &str, more: usize| {
        let then = *counted.borrow();
        within(what, counted.wait_for(|count| *count >= then + more)).await.unwrap();
    };
    rounds("orders before the canary", 40).await;
    let module =
        push(&host, &tried, "canary=50%25&window=10m&max-window=20m&ignore-client-errors=true").await;
    event(&host, &module, "rollout.trial_started").await;
    rounds("orders during the canary", 200).await;
    let response = ask(&host, "POST", "/v1/rollback", "").await;
    assert_eq!(response.status(), 200, "{:?}", response.body);
    rolled_back(&host, &module).await;
    rounds("orders after the rollback", 100).await;
    done.store(true, Ordering::Relaxed);
    let mut known = BTreeMap::new();
    for client in clients {
        known.extend(within("a client to finish", client).await.unwrap());
    }

    let mut client = host.connect().await;
    let (mut with_priority, mut with_tracking) = (0, 0);
    for (path, acknowledged) in &known {
        let found = client.get(path).await;
        assert_eq!((found.status(), &found.json()), (200, acknowledged), "{path}");
        with_priority +=
            usize::from(acknowledged["priority"] == "express" && acknowledged["items"][1]["gift"] == "red");
        with_tracking += usize::from(acknowledged["tracking"] == "T");
    }
    assert!(with_priority > 20 && with_tracking == known.len(), "{with_priority} of {}", known.len());
    // Both versions have served.
    let mut modules: BTreeMap<String, usize> = BTreeMap::new();
    for line in host.log().lines().iter().filter(|line| line["target"] == "access") {
        assert!(line["status"].as_u64().unwrap() < 500, "{line}");
        *modules.entry(line["module"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert!(modules.len() == 2 && modules.values().all(|requests| *requests > 200), "{modules:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_in_a_canary_of_a_newer_version_that_is_rolled_back() {
    check(orders(), component("versions/next.wasm")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_in_a_canary_of_an_older_version_that_is_rolled_back() {
    check(component("versions/next.wasm"), orders()).await;
}
