//! How SQLite batches commits, and what may delay a commit or a close.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::Path,
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
    subscriber::NoSubscriber,
};

use crate::support::{
    WriteLock, all_keys, assert_unavailable, change, commit, key, make_store, open, pairs, put,
    queued_commits,
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

#[tokio::test]
async fn waiting_commits_share_a_transaction() {
    const COMMITS: u64 = 100;
    let log = CloseLog::default();
    // tracing asks only the current thread's subscriber about a new callsite while just one subscriber exists. With a
    // second one, a callsite that another test's thread registers first asks this one too.
    let _second = tracing::Dispatch::new(NoSubscriber::default());
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
    drop(queued_commits(&*store));
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
    let commits = queued_commits(&*store);
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

/// A reader of another process, such as a backup, holds the log for long. Once it ends, the log is cut, whether or not
/// anything else is committed.
#[tokio::test]
async fn the_log_is_cut_after_a_long_read_of_another_process() {
    for commits_go_on in [true, false] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("orders.db");
        let store = open(&path).await.unwrap();
        let large = |n: usize| (0..4).map(|k| put(format!("{n}/{k}"), vec![7; 1 << 20])).collect();
        commit(&*store, large(0)).await.unwrap();
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM entries").unwrap();
        for n in 1..16 {
            commit(&*store, large(n)).await.unwrap();
        }
        let log = || fs::metadata(folder.path().join("orders.db-wal")).unwrap().len();
        assert!(log() > 40 << 20, "{} bytes", log());
        reader.execute_batch("COMMIT").unwrap();
        let began = std::time::Instant::now();
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
        while log() > 1 << 20 {
            tick.tick().await;
            if commits_go_on {
                commit(&*store, vec![put("small", "1")]).await.unwrap();
            }
            assert!(began.elapsed() < std::time::Duration::from_secs(30), "{} bytes are left", log());
        }
        store.health().await.unwrap();
        drop(reader);
        store.close().await;
        assert_eq!(names(folder.path()), ["orders.db"]);
    }
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
