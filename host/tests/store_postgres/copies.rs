//! Several copies of the service on one database are one service, whatever becomes of one of them.

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

/// How often one of the two ends: killed in one round, drained in the next.
const ROUNDS: usize = 20;
/// Clients at a time, half of them on each copy.
const CLIENTS: usize = 8;

/// What all clients know together.
#[derive(Default)]
struct Known {
    /// Orders that were acknowledged, by their location, with the version last acknowledged.
    orders: BTreeMap<String, u64>,
    /// Under which key an order was acknowledged.
    keys: BTreeMap<String, String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_order_is_lost_or_made_twice() {
    let server = postgres::shared();
    let url = server.url(&server.database());
    let known = Arc::new(Mutex::new(Known::default()));
    // Compiled once, not for each start.
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
        // Another moment in each round, so that the end falls into every part of a request.
        within("some requests", made.wait_for(|made| *made >= 40 + 7 * round)).await.unwrap();
        let killed = round % 2 == 0;
        other.signal(if killed { Signal::KILL } else { Signal::TERM });
        let ended = other.exit().await;
        assert_eq!(ended.success(), !killed, "round {round}: {ended:?}");
        let after = *made.borrow_and_update();
        // Those of its clients that got no answer have asked the survivor again.
        within("the survivor to go on", made.wait_for(|made| *made >= after + 40)).await.unwrap();
        load.end().await;
        // The next round ends the one that has survived this one.
        let next = start().await;
        check(&known, &next, round).await;
        survivor.signal(Signal::TERM);
        assert!(survivor.exit().await.success());
        survivor = next;
    }
    let known = known.lock().unwrap();
    assert!(known.orders.len() > ROUNDS * 40, "{} orders", known.orders.len());
}

/// Each order that was acknowledged is there, as new as it was acknowledged at least; and there is one for each key.
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
        assert!(found["version"].as_u64().unwrap() >= *version, "round {round}: {location} has gone back");
    }
    for (key, locations) in &by_key {
        assert_eq!(locations.len(), 1, "round {round}: {key} was made more than once: {locations:?}");
    }
    for (key, location) in &known.keys {
        assert!(by_key[key.as_str()].contains(location.as_str()), "round {round}: {key} is another order");
    }
}

/// Clients that create, read, change and list on both copies.
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
                // Half of them begin where the end is near.
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
            within("a client to end", client).await.unwrap();
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
    /// Creates an order, changes it, reads it. Each customer has one order, so that two under one key show.
    async fn step(&mut self, step: usize) {
        let key = format!("{}-{step}", self.name);
        let create = || {
            let mut request = post("/api/v1/orders", ORDER.replace("ada", &key));
            request.headers_mut().insert("idempotency-key", format!("\"{key}\"").parse().unwrap());
            request
        };
        let created = self.ask(create).await;
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
                .ask(|| {
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
        let read = self.ask(|| Request::get(&location).body(Full::default()).unwrap()).await;
        assert_eq!(read.status(), 200, "{read:?}");
        assert!(read.json()["version"].as_u64() >= self.known.lock().unwrap().orders.get(&location).copied());
    }

    /// Asks until there is an answer. Whoever has none, because the copy it asked has ended, asks the survivor the same
    /// again; the survivor answers always, and never with 5xx.
    async fn ask(&mut self, request: impl Fn() -> Request<Full<bytes::Bytes>>) -> TestResponse {
        loop {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => match Client::connect(self.target).await {
                    Ok(connection) => connection,
                    Err(error) => {
                        self.move_on(&error);
                        continue;
                    }
                },
            };
            match connection.send(request()).await {
                Ok(answer) => {
                    assert!(answer.status() < 500, "{answer:?}");
                    let closes = answer.head.headers.get("connection").is_some_and(|value| value == "close");
                    if closes {
                        // It drains.
                        self.target = self.survivor;
                    } else {
                        self.connection = Some(connection);
                    }
                    return answer;
                }
                Err(error) => self.move_on(&error),
            }
        }
    }

    fn move_on(&mut self, why: &dyn std::fmt::Display) {
        assert_ne!(self.target, self.survivor, "the survivor gave no answer: {why}");
        self.target = self.survivor;
    }
}
