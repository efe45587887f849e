//! A damaged store: the host says that an operator has to act, and blames no module.

use std::{fs::OpenOptions, os::unix::fs::FileExt, path::Path};

use rustix::process::Signal;

use crate::{
    harness::{TestHost, orders, version_of, within},
    rollout::canary::{promoted, push},
};

/// Creates orders, and damages the second half of the file. Returns where the orders are.
async fn damaged(folder: &Path) -> (String, Vec<String>) {
    const ORDERS: usize = 400;
    let path = folder.join("orders.db");
    let location = format!("sqlite:{}", path.display());
    let mut host = TestHost::orders(&["--store", &location]).await;
    let mut client = host.connect().await;
    let mut orders = Vec::new();
    for _ in 0..ORDERS {
        orders.push(client.create().await.unwrap().field("location").to_owned());
    }
    host.signal(Signal::TERM);
    host.exit().await;
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let half = file.metadata().unwrap().len() / 8192 * 4096;
    file.write_all_at(&vec![0xff; usize::try_from(half).unwrap()], half).unwrap();
    (location, orders)
}

#[tokio::test]
async fn a_damaged_file_is_reported_as_permanent_and_takes_no_more_orders() {
    let folder = tempfile::tempdir().unwrap();
    let (location, orders) = damaged(folder.path()).await;
    let host = TestHost::orders(&["--store", &location]).await;
    let mut client = host.connect().await;
    let (mut found, mut failed) = (0, 0);
    for order in &orders {
        let response = client.get(order).await;
        match response.status() {
            200 => found += 1,
            _ => {
                let detail = response.host_problem(503);
                assert!(detail.contains("until an operator has acted"), "{detail}");
                failed += 1;
            }
        }
    }
    assert!(found > 0 && failed > 0, "{found} found, {failed} failed");
    let refused = client.create().await.unwrap().host_problem(503);
    assert!(refused.contains("until an operator has acted"), "{refused}");
    let not_ready = host.ready(503).await.host_problem(503);
    assert!(not_ready.contains("the store has failed: its file is damaged"), "{not_ready}");

    let errors: Vec<_> = host.log().lines().into_iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert_eq!(errors[0]["event"], "store.failed");
    let modules = host.operator().await.get("/v1/modules").await.json();
    assert_eq!(modules["modules"][0]["done"]["failures"], 0, "{modules:#}");
}

/// A version is tried while every second request meets the damage: that says nothing about the version.
#[tokio::test]
async fn a_version_is_not_rolled_back_for_a_store_that_has_failed() {
    let folder = tempfile::tempdir().unwrap();
    let (location, orders_at) = damaged(folder.path()).await;
    let module_dir = folder.path().join("modules").display().to_string();
    let options = ["--store", &location, "--module-dir", &module_dir];
    let host = TestHost::start(&orders(), &options).await;
    let mut client = host.connect().await;
    let next = push(&host, &version_of(&orders(), 1, folder.path()), "canary=50%25&window=3s").await;
    let mut failed = 0;
    let read = async {
        loop {
            for order in &orders_at {
                failed += usize::from(client.get(order).await.status() == 503);
            }
        }
    };
    let decided = async {
        tokio::select! {
            _ = promoted(&host, &next) => {}
            () = read => {}
        }
    };
    within("a decision", decided).await;
    assert!(failed > 100, "{failed}");
}
