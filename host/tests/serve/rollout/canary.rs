//! A pushed candidate gets a share of the requests, and is then promoted or rolled back.

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
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::harness::{TestHost, TestResponse, fixture, version_of, within};

/// The response of `answers` and of similar fixtures.
pub const HELLO: &[u8] = b"hello\n";
/// Terms of a trial that lasts until a verdict.
const LONG_TRIAL: &str = "canary=10%25&window=10m";

/// Sends one request to the admin API.
pub async fn ask(host: &TestHost, method: &str, path: &str, body: impl Into<Bytes>) -> TestResponse {
    let mut client = host.operator().await;
    let request = Request::builder().method(method).uri(path).body(Full::new(body.into())).unwrap();
    client.send(request).await.expect("a response")
}

/// Pushes a component, and returns its hash.
pub async fn push(host: &TestHost, component: &Path, terms: &str) -> String {
    let bytes = std::fs::read(component).unwrap();
    let response = ask(host, "PUT", &format!("/v1/modules?{terms}"), bytes).await;
    assert_eq!(response.status(), 202, "{:?}", response.body);
    response.json()["module"].as_str().unwrap().to_owned()
}

/// The record of a module.
pub async fn record_of(host: &TestHost, module: &str) -> Value {
    let response = ask(host, "GET", &format!("/v1/modules/{module}"), "").await;
    assert_eq!(response.status(), 200, "{:?}", response.body);
    response.json()
}

/// The hash of the serving module.
pub async fn serving(host: &TestHost) -> String {
    let overview = ask(host, "GET", "/v1/modules", "").await.json();
    overview["serving"]["module"].as_str().unwrap().to_owned()
}

/// Waits for the log line of an event of this module.
pub async fn event(host: &TestHost, module: &str, event: &str) -> Value {
    host.log().wait_for(event, |line| line["event"] == event && line["module"] == module).await
}

/// Waits for the outcome of a push.
async fn outcome(host: &TestHost, module: &str) -> Value {
    let outcomes = ["rollout.promoted", "rollout.rolled_back", "rollout.refused"];
    let is_outcome =
        |line: &Value| outcomes.iter().any(|event| line["event"] == *event) && line["module"] == module;
    host.log().wait_for("the outcome of a push", is_outcome).await
}

/// Waits for the outcome of a push, and asserts that the module was promoted.
pub async fn promoted(host: &TestHost, module: &str) -> Value {
    let line = outcome(host, module).await;
    assert_eq!(line["event"], "rollout.promoted", "{line}");
    line
}

/// Waits for the outcome of a push, and asserts that the module was rolled back.
pub async fn rolled_back(host: &TestHost, module: &str) -> Value {
    let line = outcome(host, module).await;
    assert_eq!(line["event"], "rollout.rolled_back", "{line}");
    line
}

/// Clients that send requests without a pause.
struct Load {
    done: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Response>>>,
}

/// A response, as a client received it.
struct Response {
    status: u16,
    body: Bytes,
    duration: Duration,
}

impl Load {
    async fn begin(host: &TestHost, clients: usize) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let mut running = Vec::new();
        for _ in 0..clients {
            let (mut client, done) = (host.connect().await, Arc::clone(&done));
            running.push(tokio::spawn(async move {
                let mut responses = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let response = client.get("/").await;
                    let duration = began.elapsed();
                    responses.push(Response { status: response.status(), body: response.body, duration });
                }
                responses
            }));
        }
        Self { done, clients: running }
    }

    /// Stops the clients and returns all responses. Asserts that each is the fixture's, or an error of 500 or above.
    async fn stop(self) -> Vec<Response> {
        self.done.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for client in self.clients {
            all.extend(within("a client to finish", client).await.unwrap());
        }
        for Response { status, body, .. } in &all {
            assert!(*status >= 500 || (*status == 200 && body == HELLO), "{status}");
        }
        all
    }
}

fn failed(responses: &[Response]) -> usize {
    responses.iter().filter(|response| response.status >= 500).count()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_candidate_is_promoted() {
    let host = TestHost::fixture("answers", &["--watch", "300ms"]).await;
    let before = serving(&host).await;
    let load = Load::begin(&host, 4).await;
    let folder = tempfile::tempdir().unwrap();
    let module =
        push(&host, &version_of(&fixture("answers"), 2, folder.path()), "canary=25&window=300").await;
    let promotion = promoted(&host, &module).await;
    assert_eq!(promotion["replaced"], before.as_str());
    assert_eq!(serving(&host).await, module);
    event(&host, &module, "rollout.settled").await;
    assert_eq!(failed(&load.stop().await), 0);
    let (new, old) = (record_of(&host, &module).await, record_of(&host, &before).await);
    assert_eq!((&new["state"], &old["state"]), (&"serving".into(), &"replaced".into()));
    let (candidate, control) = (number(&promotion["requests"]), number(&promotion["control_requests"]));
    assert!(candidate >= 300, "{promotion}");
    // A quarter of all requests, give or take those in flight when the trial began and ended.
    let share = 100 * candidate / (candidate + control);
    assert!((20..=30).contains(&share), "{promotion}");
    assert_eq!((number(&promotion["failures"]), &promotion["watch"]), (0, &"300ms".into()));
    assert_eq!(new["unproven"], Value::Null);
}

/// Without a trial, and with a trial that gets no requests: nothing speaks for or against it.
#[tokio::test]
async fn a_candidate_of_an_idle_service_is_unproven() {
    let host = TestHost::fixture("answers", &[]).await;
    let module = push(&host, &fixture("leaks"), "canary=0").await;
    assert_eq!(promoted(&host, &module).await["requests"], Value::Null);
    let terms = "canary=50&window=50ms&max-window=200ms";
    let module = push(&host, &fixture("dawdles"), terms).await;
    promoted(&host, &module).await;
    event(&host, &module, "rollout.unproven").await;
    event(&host, &module, "rollout.trial_extended").await;
    let why = record_of(&host, &module).await["unproven"].clone();
    assert_eq!(why, "it had 0 requests and its control 0; a verdict needs 30 of each");
    let module = push(&host, &fixture("remembers"), &format!("{terms}&on-unproven=rollback")).await;
    let rollback = rolled_back(&host, &module).await;
    assert!(rollback["why"].as_str().unwrap().starts_with("unproven: it had 0 requests"), "{rollback}");
}

/// One request in five fails: the candidate is rolled back long before its window is over, and fails no more requests than
/// its share.
#[tokio::test(flavor = "multi_thread")]
async fn a_failing_candidate_is_rolled_back() {
    let host = TestHost::fixture("answers", &[]).await;
    let before = serving(&host).await;
    let load = Load::begin(&host, 8).await;
    let module = push(&host, &fixture("fails_some"), LONG_TRIAL).await;
    let rollback = rolled_back(&host, &module).await;
    let responses = load.stop().await;
    let (failed, all) = (failed(&responses), responses.len());
    assert!(failed >= 3, "{rollback}");
    assert!(failed * 5 <= all, "{failed} of {all} requests failed");
    assert_eq!(serving(&host).await, before);
    let record = record_of(&host, &module).await;
    assert_eq!(record["state"], "rolled-back");
    let why = record["why"].as_str().unwrap();
    assert!(why.contains("requests failed (") && why.contains("answered with 5xx"), "{why}");
    let trial = &record["trial"];
    assert_eq!(number(&trial["module"]["failures"]), number(&trial["module"]["server_errors"]));
    assert_eq!(number(&trial["other"]["failures"]), 0);
    // Each of the 8 clients may have had a request in flight at the verdict.
    let counted = usize::try_from(number(&trial["module"]["failures"])).unwrap();
    assert!((counted..=counted + 8).contains(&failed), "{failed} failed, {counted} were counted");
}

/// Only the candidate's share of the requests is slow.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_candidate_is_rolled_back() {
    let host = TestHost::fixture("answers", &[]).await;
    let load = Load::begin(&host, 8).await;
    let module = push(&host, &fixture("dawdles"), LONG_TRIAL).await;
    rolled_back(&host, &module).await;
    let responses = load.stop().await;
    assert_eq!(failed(&responses), 0);
    let is_slow = |response: &&Response| response.duration >= Duration::from_millis(250);
    let (slow, all) = (responses.iter().filter(is_slow).count(), responses.len());
    assert!(slow * 5 <= all, "{slow} of {all} responses were slow");
    let record = record_of(&host, &module).await;
    let why = record["why"].as_str().unwrap();
    assert!(why.contains("responses took longer than"), "{why}");
    let trial = &record["trial"];
    assert!(number(&trial["module"]["p50_us"]) >= 250_000, "{trial}");
    assert!(number(&trial["other"]["p99_us"]) < 125_000, "{trial}");
}

/// Requests that end after the window count too.
#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_candidate_is_rolled_back() {
    let host = TestHost::fixture("answers", &["--request-timeout", "2s"]).await;
    let load = Load::begin(&host, 8).await;
    let module = push(&host, &fixture("blocks"), "canary=10&window=200ms").await;
    rolled_back(&host, &module).await;
    let responses = load.stop().await;
    let record = record_of(&host, &module).await;
    assert!(record["why"].as_str().unwrap().contains("timed out"), "{record}");
    let timeouts = responses.iter().filter(|response| response.status == 504).count();
    assert!(timeouts >= usize::try_from(number(&record["trial"]["module"]["timeouts"])).unwrap());
    // Each client has waited for one, and may have begun another one before the verdict.
    assert!(
        failed(&responses) <= 16,
        "{} requests failed, {timeouts} of them by a timeout",
        failed(&responses)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_exhausts_its_memory_is_rolled_back() {
    let host = TestHost::fixture("answers", &["--max-memory", "16MiB"]).await;
    let load = Load::begin(&host, 4).await;
    let module = push(&host, &fixture("exhausts_memory"), LONG_TRIAL).await;
    rolled_back(&host, &module).await;
    let responses = load.stop().await;
    assert!(failed(&responses) * 5 <= responses.len());
    let record = record_of(&host, &module).await;
    assert!(record["why"].as_str().unwrap().contains("trapped"), "{record}");
}

/// Even with instance reuse, an instance whose memory has grown is discarded. So the module serves, and the memory of the
/// host does not grow.
#[tokio::test(flavor = "multi_thread")]
async fn a_leaking_module_does_not_grow_the_host() {
    const REQUESTS: usize = 400;
    let options = ["--instance-reuse", "1000000", "--max-memory", "8MiB"];
    let host = TestHost::fixture("answers", &options).await;
    let load = Load::begin(&host, 2).await;
    let module = push(&host, &fixture("leaks"), "canary=0").await;
    promoted(&host, &module).await;
    assert_eq!(failed(&load.stop().await), 0);
    let before = host.resident_memory_kib();
    let mut client = host.connect().await;
    for _ in 0..REQUESTS {
        assert_eq!(client.get("/").await.body, HELLO);
    }
    let after = host.resident_memory_kib();
    // The module has leaked 200 MiB.
    assert!(after < before + 16 * 1024, "{before} KiB before, {after} after");
}
