//! A shortage of threads, as the limit of processes of a container makes it.

use crate::harness::{TestHost, limit_threads};

/// A user that has no other process.
const NOBODY_ELSE: u32 = 61_234;

#[tokio::test]
async fn a_short_shortage_of_threads_stops_no_reads() {
    if !rustix::process::getuid().is_root() {
        eprintln!(
            "skipped: the limit does not apply to root, and only root can start the service as another user"
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let location = format!("sqlite:{}", folder.path().join("orders.db").display());
    let host = TestHost::orders_as(NOBODY_ELSE, folder.path(), &["--store", &location]).await;
    let created = host.connect().await.create().await.unwrap();
    assert_eq!(created.status(), 201, "{created:?}");
    // No thread can be made from now on.
    limit_threads(NOBODY_ELSE, host.pid(), Some(1)).await;
    for _ in 0..16 {
        let read = host.get(created.field("location")).await;
        assert_eq!(read.json(), created.json(), "during the shortage");
    }
    limit_threads(NOBODY_ELSE, host.pid(), None).await;
    host.ready(200).await;
    assert_eq!(host.get("/api/v1/orders").await.status(), 200, "after the shortage");
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
}
