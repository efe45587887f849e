//! Another module takes the place of the one that serves, and no request is hurt.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::Request;
use http_body_util::{BodyExt, Full};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::{
    harness::{Client, TestHost, fixture, orders, within},
    module::ahead_of_time::compile,
};

/// What `answers` says to whatever it is asked.
const HELLO: &[u8] = b"hello\n";
/// What the first request of an instance of `remembers` is told.
const REQUEST_1: &[u8] = b"request 1 of this instance";

/// A host, and the file of its component, which can be replaced.
pub struct Swapped {
    pub host: TestHost,
    pub component: PathBuf,
    #[allow(dead_code, reason = "held for its drop")]
    folder: TempDir,
}

impl Swapped {
    pub async fn start(from: &Path, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let component = folder.path().join("component");
        put(from, &component);
        let host = TestHost::start(&component, options).await;
        Self { host, component, folder }
    }

    /// Puts another file in the component's place, and has the host read it.
    pub fn reload(&self, from: &Path) {
        put(from, &self.component);
        self.host.signal(Signal::HUP);
    }

    /// How often a line was logged.
    pub fn count(&self, message: &str) -> usize {
        self.host.log().lines().iter().filter(|line| line["message"] == message).count()
    }

    /// Swaps, and waits until the other one serves. Gives the line that says so.
    pub async fn swap(&self, to: &Path) -> Value {
        let swaps = self.count("promoted");
        self.reload(to);
        self.host.log().wait_for_count("a swap", swaps + 1, |line| line["message"] == "promoted").await;
        let lines = self.host.log().lines();
        lines.into_iter().rfind(|line| line["message"] == "promoted").unwrap()
    }

    /// Has the host read a file that it must refuse, and checks why it does; it then serves on as before.
    pub async fn check_refused(&self, from: &Path, says: &[&str]) {
        let refused = |line: &Value| line["message"] == "refused: nothing has changed";
        let refusals = self.host.log().lines().iter().filter(|line| refused(line)).count();
        let swaps = self.count("promoted");
        let mut client = self.host.connect().await;
        let before = client.get("/").await;
        if from.exists() {
            self.reload(from);
        } else {
            fs::remove_file(&self.component).unwrap();
            self.host.signal(Signal::HUP);
        }
        self.host.log().wait_for_count("a refusal", refusals + 1, refused).await;
        let line = self.host.log().lines().into_iter().rfind(refused).unwrap();
        assert_eq!(line["level"], "ERROR");
        for part in says.iter().copied().chain([self.component.to_str().unwrap()]) {
            assert!(line["why"].as_str().unwrap().contains(part), "no {part:?} in {line}");
        }
        let after = client.get("/").await;
        assert_eq!((after.status(), &after.body), (before.status(), &before.body), "{line}");
        assert_eq!(self.count("promoted"), swaps);
    }
}

/// In one step, as whoever deploys should.
fn put(from: &Path, to: &Path) {
    let unfinished = to.with_extension("unfinished");
    fs::copy(from, &unfinished).unwrap();
    fs::rename(unfinished, to).unwrap();
}

/// Both fixtures, compiled ahead of time, so that a swap takes milliseconds.
pub async fn compiled() -> (PathBuf, PathBuf) {
    static COMPILED: OnceCell<TempDir> = OnceCell::const_new();
    let folder = COMPILED.get_or_init(async || {
        let folder = tempfile::tempdir().unwrap();
        for name in ["answers", "remembers"] {
            let output = folder.path().join(name).display().to_string();
            let ran = compile(&fixture(name), &output, &[]).await;
            assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        }
        folder
    });
    let folder = folder.await.path();
    (folder.join("answers"), folder.join("remembers"))
}

/// The first digits of a module's hash, as the access log has them.
fn short(hash: &Value) -> &str {
    hash.as_str().unwrap().get(..12).unwrap()
}

async fn body(client: &mut Client) -> Vec<u8> {
    let answer = client.get("/").await;
    assert_eq!(answer.status(), 200);
    answer.body.to_vec()
}

#[tokio::test]
async fn another_component_serves_after_a_hangup() {
    let swapped = Swapped::start(&fixture("answers"), &[]).await;
    let serving = swapped.host.log().wait_for("the start", |line| line["message"] == "serving").await;
    let mut client = swapped.host.connect().await;
    assert_eq!(body(&mut client).await, HELLO);
    let line = swapped.swap(&fixture("remembers")).await;
    // On the same connection: it outlives the module.
    assert_eq!(body(&mut client).await, REQUEST_1);
    assert_eq!(line["replaced"], serving["module"]);
    assert_ne!(line["module"], serving["module"]);
    for step in ["reload begun", "component received", "component compiled", "component loaded and tried"] {
        assert!(swapped.count(step) >= 1, "{step}");
    }
    let line = swapped.swap(&fixture("answers")).await;
    assert_eq!(line["module"], serving["module"]);
    assert_eq!(body(&mut client).await, HELLO);
}

/// Every answer is whole, from one module, and the log names that one.
#[tokio::test(flavor = "multi_thread")]
async fn swaps_under_load_hurt_no_request() {
    const SWAPS: usize = 20;
    let (answers, remembers) = compiled().await;
    let options = ["--trust-compiled", "--max-concurrent", "64"];
    let swapped = Swapped::start(&answers, &options).await;
    let serving = swapped.host.log().wait_for("the start", |line| line["message"] == "serving").await;
    let done = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for _ in 0..32 {
        let (mut client, done) = (swapped.host.connect().await, Arc::clone(&done));
        clients.push(tokio::spawn(async move {
            let mut seen = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let answer = client.get("/").await;
                assert_eq!(answer.status(), 200);
                seen.push((answer.field("x-request-id").to_owned(), answer.body));
            }
            seen
        }));
    }
    let mut other = Value::Null;
    for number in 0..SWAPS {
        let line = swapped.swap(if number % 2 == 0 { &remembers } else { &answers }).await;
        if number == 0 {
            other = line["module"].clone();
        }
    }
    done.store(true, Ordering::Relaxed);
    let mut seen = Vec::new();
    for client in clients {
        seen.extend(within("a client to finish", client).await.unwrap());
    }
    let last = &seen.last().unwrap().0;
    swapped.host.log().access(last).await;
    let logged: std::collections::BTreeMap<_, _> = swapped
        .host
        .log()
        .lines()
        .into_iter()
        .filter(|line| line["target"] == "access")
        .map(|line| (line["request_id"].as_str().unwrap().to_owned(), line["module"].clone()))
        .collect();
    let mut by_each = [0; 2];
    for (id, body) in &seen {
        let (which, module) = if body == HELLO { (0, &serving["module"]) } else { (1, &other) };
        assert!(which == 0 || body == REQUEST_1, "{body:?}");
        by_each[which] += 1;
        // A log that is not read fast enough loses lines.
        if let Some(logged) = logged.get(id) {
            assert_eq!(logged, short(module), "{body:?}");
        }
    }
    assert!(by_each.iter().all(|count| *count > SWAPS), "{by_each:?}");
    assert!(logged.len() > seen.len() / 2, "{} of {} are in the log", logged.len(), seen.len());
}

/// What has been replaced is given back: code, pool slots, whatever a swap makes. Modules are some 0.2 MB here.
#[tokio::test]
async fn memory_stays_flat_over_200_swaps() {
    /// Of what 150 more swaps may leave. Each kept module would leave more than 0.1 MiB.
    const MAX_GROWTH_KIB: u64 = 4 * 1024;
    let (answers, remembers) = compiled().await;
    let options = ["--trust-compiled", "--instance-reuse", "100"];
    let options = [&options[..], &["--log", "info,orders_host::rollout::slot=debug"]].concat();
    let swapped = Swapped::start(&answers, &options).await;
    let mut client = swapped.host.connect().await;
    let mut after_50 = 0;
    for number in 0..200 {
        let (to, says) = if number % 2 == 0 { (&remembers, REQUEST_1) } else { (&answers, HELLO) };
        swapped.swap(to).await;
        // So that there is an idle instance to be let go.
        assert_eq!(body(&mut client).await, says, "after {number} swaps");
        if number == 49 {
            after_50 = swapped.host.resident_memory_kib();
        }
    }
    let after_200 = swapped.host.resident_memory_kib();
    assert!(after_200 < after_50 + MAX_GROWTH_KIB, "{after_50} KiB after 50 swaps, {after_200} after 200");
    // All but the one that serves and the one before it.
    let freed = |line: &Value| line["message"] == "module freed";
    swapped.host.log().wait_for_count("modules to be freed", 199, freed).await;
}

/// With room for two requests, and two instances idle in the module that is replaced.
#[tokio::test]
async fn idle_instances_leave_their_room_to_the_next_module() {
    let options = ["--instance-reuse", "100", "--max-concurrent", "2"];
    let swapped = Swapped::start(&fixture("remembers"), &options).await;
    for _ in 0..5 {
        let (mut one, mut other) = (swapped.host.connect().await, swapped.host.connect().await);
        tokio::join!(one.get("/"), other.get("/"));
        swapped.swap(&fixture("answers")).await;
        let (one, other) = tokio::join!(one.get("/"), other.get("/"));
        for answer in [one, other] {
            assert_eq!((answer.status(), &answer.body[..]), (200, HELLO));
        }
        swapped.swap(&fixture("remembers")).await;
    }
}

#[tokio::test]
async fn a_long_answer_ends_on_the_module_it_began_on() {
    let options = ["--request-timeout", "5m", "--log", "info,orders_host::rollout::slot=debug"];
    let swapped = Swapped::start(&fixture("answers_gigabyte"), &options).await;
    let serving = swapped.host.log().wait_for("the start", |line| line["message"] == "serving").await;
    let mut client = swapped.host.connect().await;
    let request = Request::get("/").header("x-request-id", "long").body(Full::default()).unwrap();
    let mut answer = client.head(request).await.unwrap().into_body();
    // Two swaps, so that it is not kept for being the one before.
    swapped.swap(&fixture("answers")).await;
    swapped.swap(&fixture("remembers")).await;
    let freed = |line: &Value| line["message"] == "module freed" && line["module"] == serving["module"];
    assert!(!swapped.host.log().lines().iter().any(freed), "freed while it was answering");
    assert_eq!(body(&mut swapped.host.connect().await).await, REQUEST_1);
    let mut length = 0;
    while let Some(frame) = within("more of the answer", answer.frame()).await {
        let frame = frame.unwrap();
        let data = frame.data_ref().unwrap();
        assert!(data.iter().all(|byte| *byte == b'x'));
        length += data.len();
    }
    assert_eq!(length, 1 << 30);
    let access = swapped.host.log().access("long").await;
    assert_eq!((&access["module"], &access["end"]), (&short(&serving["module"]).into(), &"whole".into()));
    swapped.host.log().wait_for("the module to be freed", freed).await;
}

/// Told twice while it compiles, it reads the file once more, and serves what lies there last.
#[tokio::test]
async fn hangups_during_a_reload_are_one() {
    let swapped = Swapped::start(&fixture("answers"), &[]).await;
    swapped.reload(&orders());
    let read = |line: &Value| line["message"] == "component received";
    // The first was at the start.
    swapped.host.log().wait_for_count("the orders to be read", 2, read).await;
    put(&fixture("remembers"), &swapped.component);
    for _ in 0..5 {
        swapped.host.signal(Signal::HUP);
    }
    let swaps = |line: &Value| line["message"] == "promoted";
    swapped.host.log().wait_for_count("both swaps", 2, swaps).await;
    assert_eq!(body(&mut swapped.host.connect().await).await, REQUEST_1);
    // One more would have been begun by now, for the one after this is answered.
    swapped.swap(&fixture("answers")).await;
    assert_eq!(swapped.count("reload begun"), 3);
}

#[tokio::test]
async fn a_hangup_during_the_drain_is_ignored() {
    let mut swapped = Swapped::start(&fixture("answers"), &["--drain-delay", "10m"]).await;
    let mut client = swapped.host.connect().await;
    swapped.host.signal(Signal::TERM);
    swapped.host.log().wait_for("the drain", |line| line["message"] == "draining").await;
    swapped.reload(&fixture("remembers"));
    for _ in 0..20 {
        assert_eq!(body(&mut swapped.host.connect().await).await, HELLO);
    }
    drop(client.get("/").await);
    assert_eq!(swapped.count("reload begun"), 0);
    swapped.host.signal(Signal::TERM);
    assert_eq!(swapped.host.exit().await.code(), Some(1));
}
