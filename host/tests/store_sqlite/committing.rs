//! How SQLite batches commits, and how it fails and recovers.

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
    children::{ChildProcess, limited},
    support::{all_keys, assert_unavailable, change, commit, key, make_store, open, pair, pairs, put},
};

/// Records the numbers that `close` logs.
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

/// Another connection that holds the write lock of the file, as another process might.
struct WriteLock(Connection);

impl WriteLock {
    fn acquire(path: &Path) -> Self {
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
    // The writer takes the first commit and waits for the lock; meanwhile, all others are queued.
    let lock = WriteLock::acquire(&path);
    let mut commits: Vec<_> =
        (0..COMMITS).map(|n| commit(&*store, vec![put(format!("k/{n:03}"), "")]).boxed_local()).collect();
    for commit in &mut commits {
        assert!(commit.now_or_never().is_none());
        // Resets the task's cooperative budget: tokio otherwise makes a task wait that does much at once.
        tokio::task::yield_now().await;
    }
    lock.release();
    // Each commit sees those before it: the revisions increase without a gap in queue order.
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
    let lock = WriteLock::acquire(&path);
    let create = || Commit::new(vec![Check::Absent(key("a"))], vec![put("a", "1")]).unwrap();
    let mut commits: Vec<_> = (0..5).map(|_| store.commit(create()).boxed()).collect();
    for commit in &mut commits {
        assert!(commit.now_or_never().is_none());
    }
    lock.release();
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
    let lock = WriteLock::acquire(&path);
    for n in 0..10 {
        assert!(commit(&*store, pair(&n.to_string(), 2)).now_or_never().is_none());
    }
    lock.release();
    commit(&*store, vec![]).await.unwrap();
    assert_eq!(pairs(&*store).await.len(), 10);
    store.close().await;
}

#[tokio::test]
async fn close_finishes_queued_commits() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    let store = open(&path).await.unwrap();
    let lock = WriteLock::acquire(&path);
    let mut commits: Vec<_> =
        (0..10).map(|n| commit(&*store, pair(&n.to_string(), 2)).boxed_local()).collect();
    for commit in &mut commits {
        assert!(commit.now_or_never().is_none());
    }
    // A cancelled close has at least closed the readers, so the next one starts by notifying the writer.
    let _ = store.close().now_or_never();
    let mut close = store.close();
    assert!((&mut close).now_or_never().is_none());
    lock.release();
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
async fn an_exhausted_revision_counter_is_an_error() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    make_store(&path).await;
    change(&path, &format!("UPDATE last_revision SET revision = {}", i64::MAX - 1));
    let store = open(&path).await.unwrap();
    let last = Revision(u64::try_from(i64::MAX).unwrap());
    assert_eq!(commit(&*store, vec![put("a", "1")]).await, Ok(Outcome::Committed(last)));
    let why = assert_unavailable(commit(&*store, vec![put("b", "1")]).await);
    assert!(why.contains("revision counter is exhausted"), "{why}");
    assert!(!all_keys(&*store).await.contains(&"b".to_owned()));
    assert_unavailable(store.health().await);
    store.close().await;
    change(&path, "UPDATE last_revision SET revision = -5");
    let store = open(&path).await.unwrap();
    assert!(assert_unavailable(commit(&*store, vec![]).await).contains("negative"));
    store.close().await;
}

// Failure and recovery.

#[tokio::test]
async fn health_names_a_stuck_writer_and_recovers_without_traffic() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    let store = open(&path).await.unwrap();
    store.health().await.unwrap();
    let lock = WriteLock::acquire(&path);
    // Nothing has to be written, so the lock does not matter.
    store.health().await.unwrap();
    let mut stuck = commit(&*store, pair("stuck", 2)).boxed_local();
    assert!((&mut stuck).now_or_never().is_none());
    let why = assert_unavailable(store.health().await);
    assert!(why.contains("the writer did not process its queue within 1s"), "{why}");
    assert!(assert_unavailable(stuck.await).contains("locked"));
    // The writer is free again, but is not healthy before it has written.
    assert_unavailable(store.health().await);
    lock.release();
    store.health().await.unwrap();
    assert_eq!(pairs(&*store).await, [""; 0]);
    commit(&*store, pair("free", 2)).await.unwrap();
    assert_eq!(pairs(&*store).await, ["free"]);
    store.close().await;
    assert!(assert_unavailable(store.health().await).contains("closed"));
}

/// A limit on file sizes stands in for a full disk: SQLite's writes fail partway at the same points.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_makes_the_store_unavailable_until_there_is_space() {
    const ROOM: usize = 1 << 20;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    let mut child = ChildProcess::start(limited(ROOM), "child_fills_the_disk");
    child.send(path.to_str().unwrap());
    let mut committed = Vec::new();
    loop {
        match child.receive().split_once(' ').unwrap() {
            ("committed", name) => committed.push(name.to_owned()),
            ("full", why) => break assert!(why.contains("SQLite"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(committed.len() > 4, "{committed:?}");
    assert_eq!(child.receive(), "unhealthy");
    child.lift_limit();
    child.send("there is space");
    assert_eq!(child.receive(), "healthy");
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
async fn a_store_on_a_full_disk_can_be_opened_once_there_is_space() {
    // From no space at all, through space for some of the first pages, to space for the file but not its WAL.
    for room in [0, 512, 4096, 5000, 8192, 12288] {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("orders.db");
        let mut child = ChildProcess::start(limited(room), "child_opens");
        child.send(path.to_str().unwrap());
        let reply = child.receive();
        if reply != "opened" {
            assert!(reply.starts_with(&format!("cannot open the store {path:?}: ")), "{room}: {reply}");
            child.lift_limit();
            child.send(path.to_str().unwrap());
            assert_eq!(child.receive(), "opened", "{room}");
        }
        child.finish();
        make_store(&path).await;
    }
}

#[tokio::test]
async fn acknowledged_commits_survive_a_kill() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    // Opened before the kill and used afterwards, this handle represents the process that takes over.
    let beside = open(&path).await.unwrap();
    let mut child = ChildProcess::start(Command::new(env::current_exe().unwrap()), "child_commits_for_ever");
    child.send(path.to_str().unwrap());
    let mut acknowledged: Vec<_> = (0..50).map(|_| child.receive()).collect();
    acknowledged.extend(child.kill());
    for store in [beside, open(&path).await.unwrap()] {
        let found = pairs(&*store).await;
        for name in &acknowledged {
            assert!(found.contains(name), "{name} was acknowledged and is lost");
        }
        commit(&*store, pair("after", 2)).await.unwrap();
        store.close().await;
    }
}

/// A snapshot keeps the WAL from being reset; commits must not wait for its end.
#[tokio::test]
async fn an_open_snapshot_delays_no_commit() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder.path().join("orders.db")).await.unwrap();
    commit(&*store, vec![put("a", "before")]).await.unwrap();
    let mut snapshot = store.snapshot(None).await.unwrap();
    let mut longest = std::time::Duration::ZERO;
    // More than twice the limit of the WAL.
    for n in 0..18 {
        let began = std::time::Instant::now();
        commit(&*store, (0..4).map(|k| put(format!("{n}/{k}"), vec![7; 1 << 20])).collect()).await.unwrap();
        longest = longest.max(began.elapsed());
    }
    // The timeout of a lock is five seconds, which is what a blocked commit would take.
    assert!(longest < std::time::Duration::from_secs(4), "a commit took {longest:?}");
    assert_eq!(snapshot.next().await.unwrap().len(), 1);
    drop(snapshot);
    store.close().await;
    assert_eq!(names(folder.path()), ["orders.db"]);
}

/// Otherwise the connection of the snapshot would be the last one, and a read-only connection does not remove the
/// WAL.
#[tokio::test]
async fn close_waits_for_the_read_of_a_dropped_snapshot() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("orders.db");
    for _ in 0..20 {
        let store = open(&path).await.unwrap();
        commit(&*store, (0..4).map(|k| put(format!("{k}"), vec![7; 1 << 20])).collect()).await.unwrap();
        let mut snapshot = store.snapshot(None).await.unwrap();
        // The read has started, and usually continues when its future is dropped.
        let _ = snapshot.next().now_or_never();
        drop(snapshot);
        store.close().await;
        assert_eq!(names(folder.path()), ["orders.db"]);
    }
}

/// The names of the files in a folder.
fn names(folder: &Path) -> Vec<OsString> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}
