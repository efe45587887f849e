//! How it folds commits, and how it fails and recovers.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
};

use futures_util::{FutureExt, future::join_all};
use orders_host::store::{Check, Commit, Outcome, Revision};
use rusqlite::Connection;
use tempfile::TempDir;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::{
    children::{Running, limited},
    support::{all_keys, assert_unavailable, change, commit, key, make_store, open, pair, pairs, put},
};

/// What `close` logs.
#[derive(Clone, Default)]
struct CloseLog(Arc<Mutex<BTreeMap<String, u64>>>);

impl Subscriber for CloseLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl Visit for CloseLog {
    fn record_u64(&mut self, field: &Field, number: u64) {
        self.0.lock().unwrap().insert(field.name().to_owned(), number);
    }
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// Another connection that keeps the file locked for writing, as a process beside this one might.
struct Neighbour(Connection);

impl Neighbour {
    fn lock(path: &Path) -> Self {
        let connection = Connection::open(path).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(connection)
    }

    fn release(self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}

#[tokio::test]
async fn waiting_commits_share_a_transaction() {
    const COMMITS: u64 = 100;
    let log = CloseLog::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    let store = open(&path).await.unwrap();
    // The writer takes the first commit and waits for the lock; all others are queued by then.
    let neighbour = Neighbour::lock(&path);
    let mut commits: Vec<_> =
        (0..COMMITS).map(|n| commit(&*store, vec![put(format!("k/{n:03}"), "")]).boxed_local()).collect();
    for commit in &mut commits {
        assert!(commit.now_or_never().is_none());
        // Gives the task its budget back: a task that does much at once is otherwise made to wait.
        tokio::task::yield_now().await;
    }
    neighbour.release();
    // Each counts on those before it: the revisions rise without a gap in the order of the queue.
    for (expected, outcome) in (1..).zip(join_all(commits).await) {
        assert_eq!(outcome, Ok(Outcome::Committed(Revision(expected))));
    }
    let conflict = Commit::new(vec![Check::Absent(key("k/000"))], vec![put("no", "")]).unwrap();
    assert_eq!(store.commit(conflict).await, Ok(Outcome::Conflict(0)));
    store.close().await;
    let logged = log.0.lock().unwrap().clone();
    assert_eq!(logged["commits"], COMMITS);
    assert!((1..=2).contains(&logged["transactions"]), "{logged:?}");
}

#[tokio::test]
async fn commits_of_one_transaction_see_one_another() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    let store = open(&path).await.unwrap();
    let neighbour = Neighbour::lock(&path);
    let create = || Commit::new(vec![Check::Absent(key("a"))], vec![put("a", "1")]).unwrap();
    let mut commits: Vec<_> = (0..5).map(|_| store.commit(create()).boxed()).collect();
    for commit in &mut commits {
        assert!(commit.now_or_never().is_none());
    }
    neighbour.release();
    let outcomes: Vec<_> = join_all(commits).await.into_iter().map(Result::unwrap).collect();
    let conflict = Outcome::Conflict(0);
    assert_eq!(outcomes, [Outcome::Committed(Revision(1)), conflict, conflict, conflict, conflict]);
    store.close().await;
}

#[tokio::test]
async fn a_queued_commit_outlives_its_caller() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    let store = open(&path).await.unwrap();
    let neighbour = Neighbour::lock(&path);
    for n in 0..10 {
        assert!(commit(&*store, pair(&n.to_string(), 2)).now_or_never().is_none());
    }
    neighbour.release();
    commit(&*store, vec![]).await.unwrap();
    assert_eq!(pairs(&*store).await.len(), 10);
    store.close().await;
}

#[tokio::test]
async fn a_close_finishes_what_is_queued() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    let store = open(&path).await.unwrap();
    let neighbour = Neighbour::lock(&path);
    let mut commits: Vec<_> =
        (0..10).map(|n| commit(&*store, pair(&n.to_string(), 2)).boxed_local()).collect();
    for commit in &mut commits {
        assert!(commit.now_or_never().is_none());
    }
    // A close that is given up has at least closed the readers; the next one then begins by telling the writer.
    let _ = store.close().now_or_never();
    let mut close = store.close();
    assert!((&mut close).now_or_never().is_none());
    neighbour.release();
    for outcome in join_all(commits).await {
        assert!(matches!(outcome, Ok(Outcome::Committed(_))), "{outcome:?}");
    }
    close.await;
    assert_unavailable(commit(&*store, vec![]).await);
    let store = open(&path).await.unwrap();
    assert_eq!(pairs(&*store).await.len(), 10);
    store.close().await;
}

#[tokio::test]
async fn a_full_revision_counter_is_an_error() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    make_store(&path).await;
    change(&path, &format!("UPDATE last_revision SET revision = {}", i64::MAX - 1));
    let store = open(&path).await.unwrap();
    let last = Revision(u64::try_from(i64::MAX).unwrap());
    assert_eq!(commit(&*store, vec![put("a", "1")]).await, Ok(Outcome::Committed(last)));
    let why = assert_unavailable(commit(&*store, vec![put("b", "1")]).await);
    assert!(why.contains("revision counter is full"), "{why}");
    assert!(!all_keys(&*store).await.contains(&"b".to_owned()));
    assert_unavailable(store.health().await);
    store.close().await;
    change(&path, "UPDATE last_revision SET revision = -5");
    let store = open(&path).await.unwrap();
    assert!(assert_unavailable(commit(&*store, vec![]).await).contains("negative"));
    store.close().await;
}

// How it fails and recovers.

#[tokio::test]
async fn health_names_a_stuck_writer_and_recovers_without_traffic() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    let store = open(&path).await.unwrap();
    store.health().await.unwrap();
    let neighbour = Neighbour::lock(&path);
    // Nothing is to be written, so nothing is in the way.
    store.health().await.unwrap();
    let mut stuck = commit(&*store, pair("stuck", 2)).boxed_local();
    assert!((&mut stuck).now_or_never().is_none());
    let why = assert_unavailable(store.health().await);
    assert!(why.contains("the writer took nothing off its queue within 1s"), "{why}");
    assert!(assert_unavailable(stuck.await).contains("locked"));
    // The writer is free again, but it must not be called healthy before it has written.
    assert_unavailable(store.health().await);
    neighbour.release();
    store.health().await.unwrap();
    assert_eq!(pairs(&*store).await, [""; 0]);
    commit(&*store, pair("free", 2)).await.unwrap();
    assert_eq!(pairs(&*store).await, ["free"]);
    store.close().await;
    assert!(assert_unavailable(store.health().await).contains("closed"));
}

/// A limit on the size of files stands in for a full disk: SQLite's writes fail half-way in the same places.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_makes_it_unavailable_until_there_is_room() {
    const ROOM: usize = 1 << 20;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    let mut child = Running::start(limited(ROOM), "child_fills_the_disk");
    child.say(path.to_str().unwrap());
    let mut committed = Vec::new();
    loop {
        match child.hear().split_once(' ').unwrap() {
            ("committed", name) => committed.push(name.to_owned()),
            ("full", why) => break assert!(why.contains("SQLite"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(committed.len() > 4, "{committed:?}");
    assert_eq!(child.hear(), "unhealthy");
    child.lift_limit();
    child.say("there is room");
    assert_eq!(child.hear(), "healthy");
    child.finish();
    committed.extend(["after".to_owned()]);
    committed.sort_unstable();
    let store = open(&path).await.unwrap();
    assert_eq!(pairs(&*store).await, committed);
    store.close().await;
    let check: String =
        Connection::open(&path).unwrap().query_one("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_disk_that_is_full_from_the_start_can_be_opened_later() {
    // From no room at all, through room for some of the first pages, to room for the file but not its log.
    for room in [0, 512, 4096, 5000, 8192, 12288] {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("orders.db");
        let mut child = Running::start(limited(room), "child_opens");
        child.say(path.to_str().unwrap());
        let heard = child.hear();
        if heard != "opened" {
            assert!(heard.starts_with(&format!("cannot open the store {path:?}: ")), "{room}: {heard}");
            child.lift_limit();
            child.say(path.to_str().unwrap());
            assert_eq!(child.hear(), "opened", "{room}");
        }
        child.finish();
        make_store(&path).await;
    }
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    // Opened before and used after: it stands for the process that takes over.
    let beside = open(&path).await.unwrap();
    let mut child = Running::start(Command::new(env::current_exe().unwrap()), "child_commits_for_ever");
    child.say(path.to_str().unwrap());
    let mut answered: Vec<_> = (0..50).map(|_| child.hear()).collect();
    answered.extend(child.kill());
    for store in [beside, open(&path).await.unwrap()] {
        let found = pairs(&*store).await;
        for name in &answered {
            assert!(found.contains(name), "{name} was answered and is gone");
        }
        commit(&*store, pair("after", 2)).await.unwrap();
        store.close().await;
    }
}

/// A snapshot keeps the log from being begun anew; that must not make commits wait for its end.
#[tokio::test]
async fn a_snapshot_that_is_held_holds_up_no_commit() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder.path().join("orders.db")).await.unwrap();
    commit(&*store, vec![put("a", "before")]).await.unwrap();
    let mut snapshot = store.snapshot(None).await.unwrap();
    let mut longest = std::time::Duration::ZERO;
    // More than what the log may have twice over.
    for n in 0..18 {
        let began = std::time::Instant::now();
        commit(&*store, (0..4).map(|k| put(format!("{n}/{k}"), vec![7; 1 << 20])).collect()).await.unwrap();
        longest = longest.max(began.elapsed());
    }
    // A lock is waited for five seconds, which is what it took.
    assert!(longest < std::time::Duration::from_secs(4), "a commit took {longest:?}");
    assert_eq!(snapshot.next().await.unwrap().len(), 1);
    drop(snapshot);
    store.close().await;
    assert_eq!(names(folder.path()), ["orders.db"]);
}

/// Its connection would otherwise be the last one, and one that may not write leaves the log where it is.
#[tokio::test]
async fn a_close_waits_for_a_snapshot_whose_reader_has_gone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("orders.db");
    for _ in 0..20 {
        let store = open(&path).await.unwrap();
        commit(&*store, (0..4).map(|k| put(format!("{k}"), vec![7; 1 << 20])).collect()).await.unwrap();
        let mut snapshot = store.snapshot(None).await.unwrap();
        // The read has begun, and mostly goes on, when nobody waits for it any more.
        let _ = snapshot.next().now_or_never();
        drop(snapshot);
        store.close().await;
        assert_eq!(names(folder.path()), ["orders.db"]);
    }
}

/// The files of a folder.
fn names(folder: &Path) -> Vec<OsString> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}
