//! Several copies of the service on one database behave as one service, whatever happens to one of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use http::Request;
use http_body_util::Full;
use rustix::process::Signal;
use tokio::sync::watch;

use crate::{
    harness::{Client, ORDER, TestHost, TestResponse, list_all, orders, post, run, within},
    postgres,
};

/// The number of rounds. In each, one of the two copies ends: killed in one round, drained in the next.
const ROUNDS: usize = 20;
/// The number of concurrent clients, half of them on each copy.
const CLIENTS: usize = 8;

/// The orders and versions that were acknowledged to any of the clients.
#[derive(Default)]
struct Known {
    /// Acknowledged orders by location, with the last acknowledged version.
    orders: BTreeMap<String, u64>,
    /// The location acknowledged for each key.
    keys: BTreeMap<String, String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_order_is_lost_or_created_twice() {
    let server = postgres::shared();
    let url = server.url(&server.database());
    let known = Arc::new(Mutex::new(Known::default()));
    // The component is compiled once, not at each start.
    let folder = tempfile::tempdir().unwrap();
    let compiled = folder.path().join("orders.cwasm");
    let made =
        run(["compile".as_ref(), orders().as_os_str(), "--output".as_ref(), compiled.as_os_str()]).await;
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let options = ["--trust-compiled", "--store", &url];
    let start = || TestHost::start(&compiled, &options);
    let mut survivor = start().await;
    for round in 0..ROUNDS {
        let mut other = start().await;
        let load = Load::start(&known, round, survivor.address, other.address);
        let mut made = load.made.subscribe();
        // The moment differs in each round, so that the end hits every stage of a request.
        within("some requests", made.wait_for(|made| *made >= 40 + 7 * round)).await.unwrap();
        let killed = round % 2 == 0;
        other.signal(if killed { Signal::KILL } else { Signal::TERM });
        let ended = other.exit().await;
        assert_eq!(ended.success(), !killed, "round {round}: {ended:?}");
        let after = *made.borrow_and_update();
        // Clients that got no response have sent their requests again, to the survivor.
        within("the survivor to serve more requests", made.wait_for(|made| *made >= after + 40))
            .await
            .unwrap();
        load.end().await;
        // The next round ends the survivor of this one.
        let next = start().await;
        check(&known, &next, round).await;
        survivor.signal(Signal::TERM);
        assert!(survivor.exit().await.success());
        survivor = next;
    }
    let known = known.lock().unwrap();
    assert!(known.orders.len() > ROUNDS * 40, "{} orders", known.orders.len());
}

/// Checks that each acknowledged order exists in at least the acknowledged version, and that there is one order for
/// each key.
async fn check(known: &Mutex<Known>, host: &TestHost, round: usize) {
    let mut client = host.connect().await;
    let listed = list_all(&mut client).await;
    let mut by_key: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (location, order) in &listed {
        by_key.entry(order["customer"].as_str().unwrap()).or_default().insert(location);
    }
    let known = known.lock().unwrap();
    for (location, version) in &known.orders {
        let found = listed.get(location).unwrap_or_else(|| panic!("round {round}: {location} is lost"));
        assert!(
            found["version"].as_u64().unwrap() >= *version,
            "round {round}: {location} has an older version"
        );
    }
    for (key, locations) in &by_key {
        assert_eq!(locations.len(), 1, "round {round}: {key} was created more than once: {locations:?}");
    }
    for (key, location) in &known.keys {
        assert!(by_key[key.as_str()].contains(location.as_str()), "round {round}: {key} is another order");
    }
}

/// Clients that create, read and change orders on both copies.
struct Load {
    made: watch::Sender<usize>,
    done: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(known: &Arc<Mutex<Known>>, round: usize, survivor: SocketAddr, other: SocketAddr) -> Self {
        let (made, done) = (watch::Sender::new(0), Arc::new(AtomicBool::new(false)));
        let clients = (0..CLIENTS).map(|number| {
            let mut loader = Loader {
                name: format!("r{round}-c{number}"),
                // Half of them start on the copy that will end.
                target: if number % 2 == 0 { survivor } else { other },
                survivor,
                connection: None,
                known: Arc::clone(known),
            };
            let (made, done) = (made.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let mut step = 0;
                while !done.load(Ordering::SeqCst) {
                    loader.step(step).await;
                    step += 1;
                    made.send_modify(|made| *made += 1);
                }
            })
        });
        let clients = clients.collect();
        Self { made, done, clients }
    }

    async fn end(self) {
        self.done.store(true, Ordering::SeqCst);
        for client in self.clients {
            within("a client to finish", client).await.unwrap();
        }
    }
}

struct Loader {
    name: String,
    target: SocketAddr,
    survivor: SocketAddr,
    connection: Option<Client>,
    known: Arc<Mutex<Known>>,
}

impl Loader {
    /// Creates an order, changes it and reads it. Each customer has one order, so a second one under the same key is
    /// noticed.
    async fn step(&mut self, step: usize) {
        let key = format!("{}-{step}", self.name);
        let create = || {
            let mut request = post("/api/v1/orders", ORDER.replace("ada", &key));
            request.headers_mut().insert("idempotency-key", format!("\"{key}\"").parse().unwrap());
            request
        };
        let created = self.send(create).await;
        assert_eq!(created.status(), 201, "{created:?}");
        let location = created.field("location").to_owned();
        {
            let mut known = self.known.lock().unwrap();
            known.orders.insert(location.clone(), created.json()["version"].as_u64().unwrap());
            let before = known.keys.insert(key, location.clone());
            assert_eq!(before, None);
        }
        if step.is_multiple_of(3) {
            let changed = self
                .send(|| {
                    let body = Full::new(r#"{"notes":"seen"}"#.into());
                    let request =
                        Request::patch(&location).header("content-type", "application/merge-patch+json");
                    request.body(body).unwrap()
                })
                .await;
            assert_eq!(changed.status(), 200, "{changed:?}");
            let version = changed.json()["version"].as_u64().unwrap();
            self.known.lock().unwrap().orders.insert(location.clone(), version);
        }
        let read = self.send(|| Request::get(&location).body(Full::default()).unwrap()).await;
        assert_eq!(read.status(), 200, "{read:?}");
        assert!(read.json()["version"].as_u64() >= self.known.lock().unwrap().orders.get(&location).copied());
    }

    /// Repeats the request until it gets a response. A client whose copy has ended sends the request again to the
    /// survivor, which must always respond, and never with 5xx.
    async fn send(&mut self, request: impl Fn() -> Request<Full<bytes::Bytes>>) -> TestResponse {
        loop {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => match Client::connect(self.target).await {
                    Ok(connection) => connection,
                    Err(error) => {
                        self.switch_to_survivor(&error);
                        continue;
                    }
                },
            };
            match connection.send(request()).await {
                Ok(response) => {
                    assert!(response.status() < 500, "{response:?}");
                    let closes =
                        response.head.headers.get("connection").is_some_and(|value| value == "close");
                    if closes {
                        // The copy is draining.
                        self.target = self.survivor;
                    } else {
                        self.connection = Some(connection);
                    }
                    return response;
                }
                Err(error) => self.switch_to_survivor(&error),
            }
        }
    }

    fn switch_to_survivor(&mut self, why: &dyn std::fmt::Display) {
        assert_ne!(self.target, self.survivor, "the survivor did not respond: {why}");
        self.target = self.survivor;
    }
}
