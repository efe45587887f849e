//! A module replaces the serving one, and no request fails.

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
    harness::{Client, TestHost, fixture, within},
    module::ahead_of_time::compile,
};

/// The response of `answers` to every request.
pub const HELLO: &[u8] = b"hello\n";
/// The response of `remembers` to the first request of an instance.
pub const REQUEST_1: &[u8] = b"request 1 of this instance";

/// A host, and the file of its component, which tests replace.
pub struct SwapHost {
    pub host: TestHost,
    pub component: PathBuf,
    #[allow(dead_code, reason = "held for its drop")]
    folder: TempDir,
}

impl SwapHost {
    pub async fn start(from: &Path, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let component = folder.path().join("component");
        replace_file(from, &component);
        let host = TestHost::start(&component, options).await;
        Self { host, component, folder }
    }

    /// Replaces the component's file, and makes the host reload it.
    pub fn reload(&self, from: &Path) {
        replace_file(from, &self.component);
        self.host.signal(Signal::HUP);
    }

    /// How often an event was logged.
    pub fn count(&self, event: &str) -> usize {
        self.host.log().lines().iter().filter(|line| line["event"] == event).count()
    }

    /// Reloads another component, and waits until it serves. Returns the log line of its promotion.
    pub async fn swap(&self, to: &Path) -> Value {
        let swaps = self.count("rollout.promoted");
        self.reload(to);
        self.host.log().wait_for_count("a swap", swaps + 1, is_promotion).await;
        let lines = self.host.log().lines();
        lines.into_iter().rfind(is_promotion).unwrap()
    }

    /// Reloads a file that the host must refuse, and checks the reason, and that the serving module is unchanged.
    pub async fn check_refused(&self, from: &Path, expected: &[&str]) {
        let refused = |line: &Value| line["event"] == "rollout.refused";
        let refusals = self.count("rollout.refused");
        let swaps = self.count("rollout.promoted");
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
        for part in expected.iter().copied().chain([self.component.to_str().unwrap()]) {
            assert!(line["why"].as_str().unwrap().contains(part), "no {part:?} in {line}");
        }
        let after = client.get("/").await;
        assert_eq!((after.status(), &after.body), (before.status(), &before.body), "{line}");
        assert_eq!(self.count("rollout.promoted"), swaps);
    }
}

/// Whether a log line says that a module was promoted.
pub fn is_promotion(line: &Value) -> bool {
    line["event"] == "rollout.promoted"
}

/// Replaces a file in one step, as a deployment should.
pub fn replace_file(from: &Path, to: &Path) {
    let temporary = to.with_extension("temporary");
    fs::copy(from, &temporary).unwrap();
    fs::rename(temporary, to).unwrap();
}

/// The fixtures `answers` and `remembers`, compiled ahead of time, so that a swap takes milliseconds.
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

/// Sends a request, and returns the body of the response.
pub async fn body(client: &mut Client) -> Vec<u8> {
    let response = client.get("/").await;
    assert_eq!(response.status(), 200);
    response.body.to_vec()
}

#[tokio::test]
async fn another_component_serves_after_a_hangup() {
    let swap_host = SwapHost::start(&fixture("answers"), &[]).await;
    let serving = swap_host.host.log().wait_for("the start", |line| line["message"] == "serving").await;
    let mut client = swap_host.host.connect().await;
    assert_eq!(body(&mut client).await, HELLO);
    let line = swap_host.swap(&fixture("remembers")).await;
    // The connection outlives the module.
    assert_eq!(body(&mut client).await, REQUEST_1);
    assert_eq!(line["replaced"], serving["module"]);
    assert_ne!(line["module"], serving["module"]);
    for step in ["rollout.reload_started", "module.received", "module.compiled", "module.loaded"] {
        assert!(swap_host.count(step) >= 1, "{step}");
    }
    let line = swap_host.swap(&fixture("answers")).await;
    assert_eq!(line["module"], serving["module"]);
    assert_eq!(body(&mut client).await, HELLO);
}

/// Every response is complete and comes from one module, which the access log names.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_during_swaps_under_load() {
    const SWAPS: usize = 20;
    let (answers, remembers) = compiled().await;
    let options = ["--trust-compiled", "--max-concurrent", "64"];
    let swap_host = SwapHost::start(&answers, &options).await;
    let serving = swap_host.host.log().wait_for("the start", |line| line["message"] == "serving").await;
    let done = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for _ in 0..32 {
        let (mut client, done) = (swap_host.host.connect().await, Arc::clone(&done));
        clients.push(tokio::spawn(async move {
            let mut seen = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let response = client.get("/").await;
                assert_eq!(response.status(), 200);
                seen.push((response.field("x-request-id").to_owned(), response.body));
            }
            seen
        }));
    }
    let mut other = Value::Null;
    for number in 0..SWAPS {
        let line = swap_host.swap(if number % 2 == 0 { &remembers } else { &answers }).await;
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
    swap_host.host.log().access(last).await;
    let logged: std::collections::BTreeMap<_, _> = swap_host
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
        // The host drops log lines if the test does not read them fast enough.
        if let Some(logged) = logged.get(id) {
            assert_eq!(logged, short(module), "{body:?}");
        }
    }
    assert!(by_each.iter().all(|count| *count > SWAPS), "{by_each:?}");
    assert!(logged.len() > seen.len() / 2, "{} of {} are in the log", logged.len(), seen.len());
}

/// Replaced modules are freed: their code, pool slots and everything else. A module takes some 0.2 MB here.
#[tokio::test]
async fn memory_stays_flat_over_200_swaps() {
    /// How much the host may grow in 150 more swaps. Each module that is not freed would add more than 0.1 MiB.
    const MAX_GROWTH_KIB: u64 = 4 * 1024;
    let (answers, remembers) = compiled().await;
    let options = ["--trust-compiled", "--instance-reuse", "100"];
    let options = [&options[..], &["--log", "info,orders_host::rollout::slot=debug"]].concat();
    let swap_host = SwapHost::start(&answers, &options).await;
    let mut client = swap_host.host.connect().await;
    let mut after_50 = 0;
    for number in 0..200 {
        let (to, expected) = if number % 2 == 0 { (&remembers, REQUEST_1) } else { (&answers, HELLO) };
        swap_host.swap(to).await;
        // Leaves an idle instance, which the next swap drops.
        assert_eq!(body(&mut client).await, expected, "after {number} swaps");
        if number == 49 {
            after_50 = swap_host.host.resident_memory_kib();
        }
    }
    let after_200 = swap_host.host.resident_memory_kib();
    assert!(after_200 < after_50 + MAX_GROWTH_KIB, "{after_50} KiB after 50 swaps, {after_200} after 200");
    // All modules but the serving one and the previous one.
    let freed = |line: &Value| line["event"] == "module.freed";
    swap_host.host.log().wait_for_count("modules to be freed", 199, freed).await;
}

/// The pool has room for two requests, and the replaced module has two idle instances.
#[tokio::test]
async fn idle_instances_make_room_for_the_next_module() {
    let options = ["--instance-reuse", "100", "--max-concurrent", "2"];
    let swap_host = SwapHost::start(&fixture("remembers"), &options).await;
    for _ in 0..5 {
        let (mut one, mut other) = (swap_host.host.connect().await, swap_host.host.connect().await);
        tokio::join!(one.get("/"), other.get("/"));
        swap_host.swap(&fixture("answers")).await;
        let (one, other) = tokio::join!(one.get("/"), other.get("/"));
        for response in [one, other] {
            assert_eq!((response.status(), &response.body[..]), (200, HELLO));
        }
        swap_host.swap(&fixture("remembers")).await;
    }
}

#[tokio::test]
async fn a_long_response_ends_on_the_module_that_began_it() {
    let options =
        ["--request-timeout", "5m", "--max-cpu", "5m", "--log", "info,orders_host::rollout::slot=debug"];
    let swap_host = SwapHost::start(&fixture("answers_gigabyte"), &options).await;
    let serving = swap_host.host.log().wait_for("the start", |line| line["message"] == "serving").await;
    let mut client = swap_host.host.connect().await;
    let request = Request::get("/").header("x-request-id", "long").body(Full::default()).unwrap();
    let mut response = client.head(request).await.unwrap().into_body();
    // After two swaps it is not the previous module any more, which stays loaded.
    swap_host.swap(&fixture("answers")).await;
    swap_host.swap(&fixture("remembers")).await;
    let freed = |line: &Value| line["event"] == "module.freed" && line["module"] == serving["module"];
    assert!(!swap_host.host.log().lines().iter().any(freed), "freed before its response ended");
    assert_eq!(body(&mut swap_host.host.connect().await).await, REQUEST_1);
    let mut length = 0;
    while let Some(frame) = within("more of the response", response.frame()).await {
        let frame = frame.unwrap();
        let data = frame.data_ref().unwrap();
        assert!(data.iter().all(|byte| *byte == b'x'));
        length += data.len();
    }
    assert_eq!(length, 1 << 30);
    let access = swap_host.host.log().access("long").await;
    assert_eq!((&access["module"], &access["end"]), (&short(&serving["module"]).into(), &"whole".into()));
    swap_host.host.log().wait_for("the module to be freed", freed).await;
}
