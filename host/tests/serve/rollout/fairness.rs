//! A good module is promoted and stays, whatever happens around it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::Request;
use http_body_util::Full;
use tokio::task::JoinHandle;

use crate::{
    harness::{Client, ORDER, TestHost, behaving, orders, version_of, within},
    rollout::canary::{event, push, record_of},
    wire::Wire,
};

/// Clients that create orders, one after the other.
struct Creates {
    done: Arc<AtomicBool>,
    clients: Vec<JoinHandle<u32>>,
}

impl Creates {
    async fn begin(host: &TestHost) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let mut clients = Vec::new();
        for _ in 0..4 {
            let (mut client, done) = (host.connect().await, Arc::clone(&done));
            clients.push(tokio::spawn(async move {
                let mut created = 0;
                while !done.load(Ordering::Relaxed) {
                    created += u32::from(create(&mut client).await == 201);
                }
                created
            }));
        }
        Self { done, clients }
    }

    async fn end(self) -> u32 {
        self.done.store(true, Ordering::Relaxed);
        let mut created = 0;
        for client in self.clients {
            created += within("a client to end", client).await.unwrap();
        }
        created
    }
}

async fn create(client: &mut Client) -> u16 {
    let request = Request::post("/api/v1/orders").header("content-type", "application/json");
    let request = request.body(Full::from(ORDER)).unwrap();
    client.send(request).await.map_or(0, |response| response.status())
}

/// Another process locks the database, once in the trial and once in the watch: commits take a second, and none fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stalls_rolls_nothing_back() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("orders.db");
    let store = format!("sqlite:{}", database.display());
    let host = TestHost::start(&orders(), &["--store", &store]).await;
    let load = Creates::begin(&host).await;
    let component = version_of(&orders(), 2, folder.path());
    let module = push(&host, &component, "canary=20&window=3s&watch=4s&control=20").await;
    for phase in ["rollout.trial_started", "rollout.promoted"] {
        event(&host, &module, phase).await;
        lock(&database);
    }
    event(&host, &module, "rollout.settled").await;
    assert!(load.end().await > 100);
    let record = record_of(&host, &module).await;
    assert_eq!((&record["state"], &record["unproven"]), (&"serving".into(), &serde_json::Value::Null));
}

/// Locks a database for a second.
#[allow(
    clippy::disallowed_methods,
    reason = "the length of the disturbance: the test waits for nothing here"
)]
fn lock(database: &std::path::Path) {
    let connection = rusqlite::Connection::open(database).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::sleep(Duration::from_secs(1));
    connection.execute_batch("ROLLBACK").unwrap();
}

/// A component as JavaScript's are: it traps on a `Host` that is no host, and on a body that it cannot read.
#[tokio::test(flavor = "multi_thread")]
async fn a_good_release_is_kept_while_clients_send_invalid_requests() {
    const EACH: usize = 120;
    let folder = tempfile::tempdir().unwrap();
    let host = Arc::new(TestHost::start(&behaving("version=1", folder.path()), &[]).await);
    let terms = "canary=50%25&window=6s&watch=1s&control=20%25";
    let module = push(&host, &behaving("version=2 strict", folder.path()), terms).await;
    event(&host, &module, "rollout.trial_started").await;
    let others = tokio::spawn({
        let host = Arc::clone(&host);
        async move {
            let mut client = host.connect().await;
            for _ in 0..4 * EACH {
                assert_eq!(client.get("/").await.status(), 200);
            }
        }
    });
    for _ in 0..EACH {
        for bytes in [
            "GET / HTTP/1.1\r\nHost: a:b:c\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2000000\r\n\r\n",
        ] {
            // The component that is replaced responds without reading.
            let mut wire = Wire::open(&host).await;
            wire.send(bytes).await;
            wire.response("GET").await.expect("a response");
        }
    }
    within("the other clients", others).await.unwrap();
    let ends = ["rollout.rolled_back", "rollout.settled"];
    let is_end =
        |line: &serde_json::Value| ends.iter().any(|end| line["event"] == *end) && line["module"] == *module;
    let end = host.log().wait_for("the end of the rollout", is_end).await;
    let record = record_of(&host, &module).await;
    assert_eq!(end["event"], "rollout.settled", "{end} {record}");
    assert_eq!(record["state"], "serving", "{record}");
    assert_eq!(record["trial"]["module"]["failures"], 0, "{record}");
}
