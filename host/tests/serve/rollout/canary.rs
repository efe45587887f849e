//! A module that is pushed gets a share of the requests, and comes to serve all of them or none.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use rustix::process::Signal;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::harness::{Client, TestHost, TestResponse, fixture, version_of, within};

/// What `answers` and those like it say.
const HELLO: &[u8] = b"hello\n";
/// A trial that does not end by itself.
const LONG: &str = "canary=10%25&window=10m";

/// One request to the operators' port.
pub async fn ask(host: &TestHost, method: &str, path: &str, body: impl Into<Bytes>) -> TestResponse {
    let mut client = Client::connect(host.admin.expect("operators are heard")).await.unwrap();
    let request = Request::builder().method(method).uri(path).body(Full::new(body.into())).unwrap();
    client.send(request).await.expect("an answer")
}

/// Pushes a component; gives the hash that names it.
pub async fn push(host: &TestHost, component: &Path, terms: &str) -> String {
    let bytes = std::fs::read(component).unwrap();
    let answer = ask(host, "PUT", &format!("/v1/modules?{terms}"), bytes).await;
    assert_eq!(answer.status(), 202, "{:?}", answer.body);
    answer.json()["module"].as_str().unwrap().to_owned()
}

/// What is known of a module.
pub async fn known(host: &TestHost, module: &str) -> Value {
    let answer = ask(host, "GET", &format!("/v1/modules/{module}"), "").await;
    assert_eq!(answer.status(), 200, "{:?}", answer.body);
    answer.json()
}

/// Names the module that serves.
pub async fn serving(host: &TestHost) -> String {
    let overview = ask(host, "GET", "/v1/modules", "").await.json();
    overview["serving"]["module"].as_str().unwrap().to_owned()
}

/// Waits for a line about this module.
pub async fn line(host: &TestHost, module: &str, message: &str) -> Value {
    host.log().wait_for(message, |line| line["message"] == message && line["module"] == module).await
}

/// Waits for what becomes of this module.
pub async fn outcome(host: &TestHost, module: &str) -> Value {
    let ends = ["promoted", "rolled back", "refused: nothing has changed"];
    let is_end = |line: &Value| ends.iter().any(|end| line["message"] == *end) && line["module"] == module;
    host.log().wait_for("the end of a push", is_end).await
}

/// The same, and that it came to serve.
pub async fn promoted(host: &TestHost, module: &str) -> Value {
    let line = outcome(host, module).await;
    assert_eq!(line["message"], "promoted", "{line}");
    line
}

/// The same, and that it had requests and gets none any more.
async fn rolled_back(host: &TestHost, module: &str) -> Value {
    let line = outcome(host, module).await;
    assert_eq!(line["message"], "rolled back", "{line}");
    line
}

/// Clients that ask without a pause.
struct Load {
    done: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Seen>>>,
}

/// What a client saw.
struct Seen {
    status: u16,
    body: Bytes,
    took: Duration,
}

impl Load {
    async fn begin(host: &TestHost, clients: usize) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let mut running = Vec::new();
        for _ in 0..clients {
            let (mut client, done) = (host.connect().await, Arc::clone(&done));
            running.push(tokio::spawn(async move {
                let mut seen = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let answer = client.get("/").await;
                    seen.push(Seen { status: answer.status(), took: began.elapsed(), body: answer.body });
                }
                seen
            }));
        }
        Self { done, clients: running }
    }

    /// All that was seen; every answer was one that a handler or the host gives.
    async fn end(self) -> Vec<Seen> {
        self.done.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for client in self.clients {
            all.extend(within("a client to finish", client).await.unwrap());
        }
        for seen in &all {
            assert!(seen.status >= 500 || (seen.status == 200 && seen.body == HELLO), "{}", seen.status);
        }
        all
    }
}

fn hurt(seen: &[Seen]) -> usize {
    seen.iter().filter(|seen| seen.status >= 500).count()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_candidate_is_promoted() {
    let host = TestHost::fixture("answers", &["--watch", "300ms"]).await;
    let before = serving(&host).await;
    let load = Load::begin(&host, 4).await;
    let folder = tempfile::tempdir().unwrap();
    let module =
        push(&host, &version_of(&fixture("answers"), 2, folder.path()), "canary=25&window=300").await;
    let end = promoted(&host, &module).await;
    assert_eq!(end["replaced"], before.as_str());
    assert_eq!(serving(&host).await, module);
    line(&host, &module, "watched, and kept").await;
    assert_eq!(hurt(&load.end().await), 0);
    let (now, then) = (known(&host, &module).await, known(&host, &before).await);
    assert_eq!((&now["state"], &then["state"]), (&"serving".into(), &"replaced".into()));
    let trial: Value = serde_json::from_str(end["trial"].as_str().unwrap()).unwrap();
    let (its, others) = (number(&trial["module"]["requests"]), number(&trial["other"]["requests"]));
    assert!(its >= 300, "{trial}");
    // A quarter of all; what was under way when it began and ended makes a small difference.
    let share = 100 * its / (its + others);
    assert!((20..=30).contains(&share), "{trial}");
    assert_eq!(number(&trial["module"]["failures"]), 0);
}

/// With no share to compare, and with one of an idle service: nothing speaks against it.
#[tokio::test]
async fn a_candidate_of_an_idle_service_is_promoted() {
    let host = TestHost::fixture("answers", &[]).await;
    let module = push(&host, &fixture("leaks"), "canary=0").await;
    assert_eq!(promoted(&host, &module).await["trial"], Value::Null);
    let module = push(&host, &fixture("dawdles"), "canary=50&window=100ms").await;
    promoted(&host, &module).await;
}

/// One request in five fails: it is found out long before its window is over, and has hurt no more than its share.
#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_fails_goes_back_by_itself() {
    let host = TestHost::fixture("answers", &[]).await;
    let before = serving(&host).await;
    let load = Load::begin(&host, 8).await;
    let module = push(&host, &fixture("fails_some"), LONG).await;
    let end = rolled_back(&host, &module).await;
    let seen = load.end().await;
    let (hurt, all) = (hurt(&seen), seen.len());
    assert!(hurt >= 3, "{end}");
    assert!(hurt * 10 <= all, "{hurt} of {all} requests were hurt");
    assert_eq!(serving(&host).await, before);
    let record = known(&host, &module).await;
    assert_eq!(record["state"], "rolled-back");
    let why = record["why"].as_str().unwrap();
    assert!(why.contains("requests failed (") && why.contains("answered with 5xx"), "{why}");
    let trial = &record["trial"];
    assert_eq!(number(&trial["module"]["failures"]), number(&trial["module"]["server_errors"]));
    assert_eq!(number(&trial["other"]["failures"]), 0);
    assert_eq!(hurt, usize::try_from(number(&trial["module"]["failures"])).unwrap());
}

/// Those that it is too slow for are its share; the others wait no longer than before.
#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_is_slow_goes_back_by_itself() {
    let host = TestHost::fixture("answers", &[]).await;
    let load = Load::begin(&host, 8).await;
    let module = push(&host, &fixture("dawdles"), LONG).await;
    rolled_back(&host, &module).await;
    let seen = load.end().await;
    assert_eq!(hurt(&seen), 0);
    let slow = seen.iter().filter(|seen| seen.took >= Duration::from_millis(250)).count();
    assert!(slow * 10 <= seen.len(), "{slow} of {} were slow", seen.len());
    let record = known(&host, &module).await;
    let why = record["why"].as_str().unwrap();
    assert!(why.contains("answers took longer than"), "{why}");
    let trial = &record["trial"];
    assert!(number(&trial["module"]["p50_us"]) >= 250_000, "{trial}");
    assert!(number(&trial["other"]["p99_us"]) < 125_000, "{trial}");
}

/// Its requests end after its window, and count.
#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_hangs_goes_back_by_itself() {
    let host = TestHost::fixture("answers", &["--request-timeout", "2s"]).await;
    let load = Load::begin(&host, 8).await;
    let module = push(&host, &fixture("blocks"), "canary=10&window=200ms").await;
    rolled_back(&host, &module).await;
    let seen = load.end().await;
    let record = known(&host, &module).await;
    assert!(record["why"].as_str().unwrap().contains("timed out"), "{record}");
    let timeouts = seen.iter().filter(|seen| seen.status == 504).count();
    assert_eq!(timeouts, usize::try_from(number(&record["trial"]["module"]["timeouts"])).unwrap());
    assert!(timeouts <= 8, "each client waits for one of them at most");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_takes_memory_without_end_goes_back_by_itself() {
    let host = TestHost::fixture("answers", &["--max-memory", "16MiB"]).await;
    let load = Load::begin(&host, 4).await;
    let module = push(&host, &fixture("exhausts_memory"), LONG).await;
    rolled_back(&host, &module).await;
    let seen = load.end().await;
    assert!(hurt(&seen) * 10 <= seen.len());
    let record = known(&host, &module).await;
    assert!(record["why"].as_str().unwrap().contains("trapped"), "{record}");
}

/// Even where instances are reused: one that has grown is thrown away. So it serves, and the host does not grow.
#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_leaks_harms_nobody() {
    const REQUESTS: usize = 400;
    let options = ["--instance-reuse", "1000000", "--max-memory", "8MiB"];
    let host = TestHost::fixture("answers", &options).await;
    let load = Load::begin(&host, 2).await;
    let module = push(&host, &fixture("leaks"), "canary=0").await;
    promoted(&host, &module).await;
    assert_eq!(hurt(&load.end().await), 0);
    let before = host.resident_memory_kib();
    let mut client = host.connect().await;
    for _ in 0..REQUESTS {
        assert_eq!(client.get("/").await.body, HELLO);
    }
    let after = host.resident_memory_kib();
    // It has leaked 200 MiB.
    assert!(after < before + 16 * 1024, "{before} KiB before, {after} after");
}

/// It was good on its trial, or had none, and turns bad.
#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_turns_bad_while_it_is_watched_goes_back_by_itself() {
    let host = TestHost::fixture("answers", &["--watch", "10m"]).await;
    let before = serving(&host).await;
    let module = push(&host, &fixture("traps_on_demand"), "canary=0").await;
    promoted(&host, &module).await;
    let mut client = host.connect().await;
    for _ in 0..100 {
        assert_eq!(client.get("/").await.status(), 200);
    }
    let mut traps = 0;
    while serving(&host).await == module {
        assert!(traps < 1_000, "nobody is watching");
        traps += usize::from(client.get("/trap").await.status() == 500);
    }
    assert_eq!(client.get("/trap").await.body, HELLO);
    let rolled = line(&host, &module, "rolled back").await;
    assert!(rolled["why"].as_str().unwrap().contains("trapped"), "{rolled}");
    assert_eq!((rolled["serving"].as_str(), serving(&host).await), (Some(&*before), before.clone()));
    assert_eq!(known(&host, &module).await["state"], "rolled-back");
    assert_eq!(known(&host, &before).await["state"], "serving");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_goes_back_at_once() {
    let host = TestHost::fixture("answers", &[]).await;
    let before = serving(&host).await;
    assert_eq!(ask(&host, "POST", "/v1/rollback", "").await.status(), 409);
    let module = push(&host, &fixture("remembers"), "canary=0").await;
    promoted(&host, &module).await;
    let mut client = host.connect().await;
    assert_eq!(client.get("/").await.body, "request 1 of this instance");
    let answer = ask(&host, "POST", "/v1/rollback", "").await;
    // The very next request.
    assert_eq!(client.get("/").await.body, HELLO);
    assert_eq!((answer.status(), answer.json()["module"].as_str()), (200, Some(&*before)));
    // What was left is not gone back to.
    assert_eq!(ask(&host, "POST", "/v1/rollback", "").await.status(), 409);
    assert_eq!(known(&host, &module).await["state"], "rolled-back");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_takes_back_what_is_on_trial() {
    let host = TestHost::fixture("answers", &[]).await;
    let before = serving(&host).await;
    let module = push(&host, &fixture("remembers"), "canary=100&window=10m").await;
    line(&host, &module, "on trial").await;
    let mut client = host.connect().await;
    assert_eq!(client.get("/").await.body, "request 1 of this instance");
    let bytes = std::fs::read(fixture("leaks")).unwrap();
    let refused = ask(&host, "PUT", "/v1/modules", bytes).await;
    assert_eq!(refused.status(), 409);
    assert!(refused.json()["detail"].as_str().unwrap().contains(module.split_at(12).0), "{:?}", refused.body);
    let answer = ask(&host, "POST", "/v1/rollback", "").await;
    assert_eq!(client.get("/").await.body, HELLO);
    assert_eq!(answer.json()["module"].as_str(), Some(&*before));
    let rolled = rolled_back(&host, &module).await;
    assert_eq!(rolled["why"], "an operator has taken it back");
    // The next one is taken.
    let module = push(&host, &fixture("leaks"), "canary=0").await;
    promoted(&host, &module).await;
}

#[tokio::test]
async fn a_trial_ends_with_the_service() {
    let mut host = TestHost::fixture("answers", &["--drain-delay", "200ms"]).await;
    let module = push(&host, &fixture("remembers"), "canary=100&window=10m").await;
    line(&host, &module, "on trial").await;
    let mut client = host.connect().await;
    assert_eq!(client.get("/").await.body, "request 1 of this instance");
    host.signal(Signal::TERM);
    host.log().wait_for("the drain", |line| line["message"] == "draining").await;
    assert_eq!(client.get("/").await.body, HELLO);
    assert_eq!(host.exit().await.code(), Some(0));
}
