//! A client that follows new orders with the loop of `docs/api.md` misses none, although the clocks of the hosts differ and
//! orders become visible in another order than that of their times.

use std::{
    collections::BTreeSet,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::process::Signal;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
};

use crate::{
    harness::{Client, TestHost, orders, within},
    postgres,
};

/// The concurrent clients, half of them on each host.
const CLIENTS: usize = 8;
/// How far the clock of one host is behind.
const BEHIND_MS: i64 = 2000;
/// The deadline of a request.
const REQUEST_TIMEOUT_S: u64 = 2;
/// The deadline of a request, the difference of the clocks, and a margin, in seconds.
const OVERLAP: &str = "5";
/// How long orders are created: for more than twice the overlap, so that its start passes many of them.
const FOLLOWED_MS: u64 = 12_000;

/// `examples/follow-orders.py`, while it follows a host.
struct Follower {
    _process: Child,
    /// The ids that it has printed, in their order.
    printed: watch::Receiver<Vec<String>>,
}

impl Follower {
    fn start(host: &TestHost, overlap: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/follow-orders.py");
        let mut process = Command::new("python3")
            .args([script, &format!("http://{}", host.address), overlap, "2000-01-01T00:00:00Z"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("python3 is installed");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (sender, printed) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let order: serde_json::Value = serde_json::from_str(&line).unwrap();
                sender.send_modify(|printed| printed.push(id(&order)));
            }
        });
        Self { _process: process, printed }
    }

    /// Waits until it has printed all these orders, and returns everything that it has printed.
    async fn wait_for(&mut self, what: &str, ids: &BTreeSet<String>) -> Vec<String> {
        let all = self.printed.wait_for(|printed| {
            let enough = printed.len() >= ids.len();
            enough && ids.is_subset(&printed.iter().cloned().collect())
        });
        within(what, all).await.expect("the follower runs").clone()
    }
}

fn id(order: &serde_json::Value) -> String {
    order["id"].as_str().unwrap().to_owned()
}

/// Clients that create orders until they are told to stop, and the ids of what was acknowledged.
struct Load {
    acknowledged: Arc<Mutex<BTreeSet<String>>>,
    done: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(hosts: [&TestHost; 2]) -> Self {
        let load = (Arc::<Mutex<BTreeSet<String>>>::default(), Arc::new(AtomicBool::new(false)));
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let address = hosts[number % hosts.len()].address;
            let (acknowledged, done) = load.clone();
            clients.push(tokio::spawn(async move {
                let mut client = Client::connect(address).await.unwrap();
                while !done.load(Ordering::SeqCst) {
                    match client.create().await {
                        Ok(created) if created.status() == 201 => {
                            acknowledged.lock().unwrap().insert(id(&created.json()));
                        }
                        // Whether the order exists is not known, so it is not counted.
                        Ok(_) => {}
                        Err(_) => client = Client::connect(address).await.unwrap(),
                    }
                }
            }));
        }
        Self { acknowledged: load.0, done: load.1, clients }
    }

    async fn end(self) -> BTreeSet<String> {
        self.done.store(true, Ordering::SeqCst);
        for client in self.clients {
            within("a client to finish", client).await.unwrap();
        }
        Arc::into_inner(self.acknowledged).unwrap().into_inner().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_with_an_overlap_misses_no_order_although_one_clock_is_behind() {
    let server = postgres::shared();
    let url = server.url(&server.database());
    let timeout = format!("{REQUEST_TIMEOUT_S}s");
    let options = ["--store", &url, "--request-timeout", &timeout, "--threads", "2"];
    let right = TestHost::start(&orders(), &options).await;
    let offset = (-BEHIND_MS).to_string();
    let behind = TestHost::start_with(&orders(), &options, &[("ORDERS_CLOCK_OFFSET_MS", &offset)]).await;

    let mut careful = Follower::start(&right, OVERLAP);
    let mut careless = Follower::start(&right, "0");
    let load = Load::start([&right, &behind]);
    let long_after = |printed: &Vec<String>| {
        let ends = printed.first().zip(printed.last());
        ends.is_some_and(|(first, last)| created_ms(last).saturating_sub(created_ms(first)) > FOLLOWED_MS)
    };
    within("orders of a long time", careful.printed.wait_for(long_after)).await.unwrap();
    let acknowledged = load.end().await;

    let printed = careful.wait_for("the follower to print all orders", &acknowledged).await;
    let distinct: BTreeSet<_> = printed.iter().collect();
    assert_eq!(distinct.len(), printed.len(), "some orders were printed twice");

    // The same loop without an overlap has read past the orders of the host whose clock is behind.
    let last = right.connect().await.create().await.unwrap().json();
    let printed =
        careless.wait_for("the follower to print the last order", &BTreeSet::from([id(&last)])).await;
    let printed: BTreeSet<_> = printed.into_iter().collect();
    let missed = acknowledged.difference(&printed).count();
    println!("{} orders, {missed} of them missed without an overlap", acknowledged.len());
    assert!(missed > 0, "this load cannot show that the overlap is needed");
    for mut host in [right, behind] {
        host.signal(Signal::TERM);
        assert!(host.exit().await.success());
    }
}

/// The time at the beginning of an id (UUIDv7).
fn created_ms(id: &str) -> u64 {
    u64::from_str_radix(id.replace('-', "").get(..12).unwrap(), 16).unwrap()
}
