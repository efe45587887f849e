//! Short helpers for these tests.

use std::{path::Path, sync::Arc};

use futures_util::{FutureExt, future::LocalBoxFuture};
use orders_host::{
    config::StoreLocation,
    store::{self, Commit, Key, OpenError, Order, Outcome, Scan, Store, StoreError, Value, Write},
};
use rusqlite::Connection;

pub(crate) async fn open(path: &Path) -> Result<Arc<dyn Store>, OpenError> {
    store::open(&StoreLocation::Sqlite(path.to_owned())).await
}

pub(crate) fn key(text: impl Into<String>) -> Key {
    Key::try_from(text.into()).unwrap()
}

pub(crate) fn put(at: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Write {
    Write::Put(key(at), Value::try_from(bytes.into()).unwrap())
}

pub(crate) async fn commit(store: &dyn Store, writes: Vec<Write>) -> Result<Outcome, StoreError> {
    store.commit(Commit::new(vec![], writes).unwrap()).await
}

/// Ten commits that wait in the queue, for as long as another process holds the [`WriteLock`].
pub(crate) fn queued_commits(store: &dyn Store) -> Vec<LocalBoxFuture<'_, Result<Outcome, StoreError>>> {
    let mut commits: Vec<_> = (0..10).map(|n| commit(store, pair(&n.to_string(), 2)).boxed_local()).collect();
    for commit in &mut commits {
        assert!(commit.now_or_never().is_none());
    }
    commits
}

pub(crate) async fn all_keys(store: &dyn Store) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    loop {
        let start = keys.last().map_or_else(|| "\0".to_owned(), |last| format!("{last}\0"));
        let scan = Scan::new(key(start), key(char::MAX), 1000, Order::Ascending).unwrap();
        let page = store.scan(scan).await.unwrap();
        if page.is_empty() {
            return keys;
        }
        keys.extend(page.into_iter().map(|entry| entry.key.as_str().to_owned()));
    }
}

/// Two writes that must be visible together or not at all.
pub(crate) fn pair(name: &str, bytes: usize) -> Vec<Write> {
    vec![put(format!("left/{name}"), vec![1; bytes / 2]), put(format!("right/{name}"), vec![1; bytes / 2])]
}

/// Returns the names of the pairs in the store; fails if one is incomplete.
pub(crate) async fn pairs(store: &dyn Store) -> Vec<String> {
    let keys = all_keys(store).await;
    let side = |prefix: &str| -> Vec<String> {
        keys.iter().filter_map(|at| at.strip_prefix(prefix)).map(str::to_owned).collect()
    };
    let (left, right) = (side("left/"), side("right/"));
    assert_eq!(left, right, "part of a commit");
    left
}

pub(crate) fn assert_unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Unavailable(why)) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

/// Creates a valid store with many pages and closes it.
pub(crate) async fn make_store(path: &Path) {
    let store = open(path).await.unwrap();
    commit(&*store, (0..64).map(|n| put(format!("k/{n}"), vec![7; 4096])).collect()).await.unwrap();
    store.close().await;
}

/// Runs SQL directly on the store's file.
pub(crate) fn change(path: &Path, script: &str) {
    Connection::open(path).unwrap().execute_batch(script).unwrap();
}

/// Another connection that holds the write lock of the file, as another process might.
pub(crate) struct WriteLock(Connection);

impl WriteLock {
    pub(crate) fn acquire(path: &Path) -> Self {
        let connection = Connection::open(path).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(connection)
    }

    pub(crate) fn release(self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}
