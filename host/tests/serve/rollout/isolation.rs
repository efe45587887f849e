//! A candidate pays for itself: what it does wrong reaches no more than its share of the requests.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::task::JoinSet;

use crate::{
    harness::{TestHost, behaving, within},
    rollout::canary::{HELLO, ask, event, push, record_of, rolled_back, serving},
};

/// A trial that lasts until a verdict.
const LONG_TRIAL: &str = "canary=10&window=10m";

/// Clients that send requests one after the other, each on connections of its own. Returns how many responses had each status
/// when `done` is set.
async fn send_until(host: &TestHost, clients: usize, done: &Arc<AtomicBool>) -> JoinSet<Vec<u16>> {
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (mut client, done) = (host.connect().await, Arc::clone(done));
        tasks.spawn(async move {
            let mut statuses = Vec::new();
            while !done.load(Ordering::Relaxed) {
                statuses.push(client.get("/").await.status());
            }
            statuses
        });
    }
    tasks
}

/// Pushes a module under load, waits for the verdict against it, and returns the statuses of all responses and the reason.
async fn try_under_load(host: &TestHost, behaviour: &str, clients: usize) -> (Vec<u16>, String) {
    let folder = tempfile::tempdir().unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let load = send_until(host, clients, &done).await;
    let module = push(host, &behaving(behaviour, folder.path()), LONG_TRIAL).await;
    rolled_back(host, &module).await;
    done.store(true, Ordering::Relaxed);
    let statuses = within("the clients to end", load.join_all()).await.concat();
    let why = record_of(host, &module).await["why"].as_str().unwrap().to_owned();
    (statuses, why)
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|seen| **seen == status).count()
}

/// It has two of twenty permits. What does not fit goes to the serving module, and after the verdict the hanging requests are
/// cut, long before their deadline.
#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_candidate_holds_no_more_than_its_share_of_the_permits() {
    let options = ["--max-concurrent", "20", "--request-timeout", "10m"];
    let host = TestHost::start(&behaving_at("version=1"), &options).await;
    let (statuses, why) = try_under_load(&host, "version=2 hang", 8).await;
    assert!(why.contains("requests are still under way"), "{why}");
    let cut = count(&statuses, 503);
    assert!((1..=2).contains(&cut), "{cut} requests were cut");
    assert_eq!(count(&statuses, 200), statuses.len() - cut);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_looping_candidate_holds_up_no_other_request() {
    let options = ["--max-concurrent", "20", "--max-cpu", "10m", "--request-timeout", "10m"];
    let host = TestHost::start(&behaving_at("version=1"), &options).await;
    let (statuses, why) = try_under_load(&host, "version=2 spin", 8).await;
    assert!(why.contains("requests are still under way"), "{why}");
    let cut = count(&statuses, 503);
    assert!((1..=2).contains(&cut), "{cut} requests were cut");
    assert_eq!(count(&statuses, 200), statuses.len() - cut);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_exceeds_its_processor_time_is_rolled_back() {
    let options = ["--max-cpu", "50ms", "--request-timeout", "10m"];
    let host = TestHost::start(&behaving_at("version=1"), &options).await;
    let (statuses, why) = try_under_load(&host, "version=2 spin", 4).await;
    assert!(why.contains("exceeded their processor time"), "{why}");
    let failed = count(&statuses, 504);
    assert!(failed >= 2 && failed * 5 <= statuses.len(), "{failed} of {}", statuses.len());
}

/// The limit of memory of each instance, filled by all of them together.
#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_fills_its_memory_takes_no_more_than_its_share() {
    const MAX_GROWTH_KIB: u64 = 3 * 64 * 1024;
    let limits = ["--max-concurrent", "20", "--max-memory", "64MiB"];
    let options = [&limits[..], &["--max-cpu", "500ms", "--request-timeout", "10m"]].concat();
    let host = TestHost::start(&behaving_at("version=1"), &options).await;
    let before = host.resident_memory_kib();
    let (statuses, _) = try_under_load(&host, "version=2 eat=60", 8).await;
    let failed = count(&statuses, 504);
    assert!(failed >= 2 && failed * 5 <= statuses.len(), "{failed} of {}", statuses.len());
    assert!(count(&statuses, 200) + failed + 2 >= statuses.len(), "{statuses:?}");
    let grown = host.peak_memory_kib() - before;
    assert!(grown < MAX_GROWTH_KIB, "{grown} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_answers_404_to_everything_is_rolled_back() {
    let host = TestHost::start(&behaving_at("version=1"), &[]).await;
    let (statuses, why) = try_under_load(&host, "version=2 status=404", 4).await;
    assert!(why.contains("responses were 4xx") && why.contains("--ignore-client-errors"), "{why}");
    assert!(count(&statuses, 404) * 5 <= statuses.len());
    let folder = tempfile::tempdir().unwrap();
    let lenient = "canary=10&window=100&ignore-client-errors=true";
    let done = Arc::new(AtomicBool::new(false));
    let load = send_until(&host, 4, &done).await;
    let module = push(&host, &behaving("version=3 status=404", folder.path()), lenient).await;
    event(&host, &module, "rollout.promoted").await;
    done.store(true, Ordering::Relaxed);
    within("the clients to end", load.join_all()).await;
}

/// An operator's rollback takes new requests away, and lets those in flight end.
#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_cuts_no_request() {
    const WAVE: usize = 25;
    let host = TestHost::fixture("answers", &["--request-timeout", "1m"]).await;
    let before = serving(&host).await;
    let folder = tempfile::tempdir().unwrap();
    let slow = behaving("version=2 wait=3000", folder.path());
    let module = push(&host, &slow, "canary=99&window=10m").await;
    event(&host, &module, "rollout.trial_started").await;
    // Two waves. When all of the first have been answered, after 3 s, those of the second are in flight.
    let mut requests = JoinSet::new();
    let answered = |line: &serde_json::Value| line["target"] == "access" && line["status"] == 200;
    for wanted in [1, WAVE] {
        for _ in 0..WAVE {
            let mut client = host.connect().await;
            requests.spawn(async move { client.get("/").await });
        }
        host.log().wait_for_count("responses of the first wave", wanted, answered).await;
    }
    assert_eq!(ask(&host, "POST", "/v1/rollback", "").await.status(), 200);
    assert_eq!(serving(&host).await, before);
    assert_eq!(host.get("/").await.body, HELLO);
    let responses = within("all responses", requests.join_all()).await;
    assert!(responses.iter().all(|response| response.status() == 200));
    assert!(responses.iter().filter(|response| response.body == "version 2\n").count() >= WAVE);
}

/// The fixture with this behaviour, in a folder that outlives the test.
fn behaving_at(behaviour: &str) -> std::path::PathBuf {
    behaving(behaviour, &tempfile::tempdir().unwrap().keep())
}
