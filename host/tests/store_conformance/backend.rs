//! The backends under test, and short helpers for the suite.

use std::sync::Arc;

use orders_host::{
    config::StoreLocation,
    store::{
        self, Check, Commit, Entry, Key, Order, Outcome, Revision, Scan, Store, StoreError, Stored, Value,
        Write,
    },
};
use tempfile::TempDir;

use crate::postgres_server;

/// A backend under test, and the resources that must outlive it.
pub(crate) struct Backend {
    location: StoreLocation,
    _directory: Option<TempDir>,
}

impl Backend {
    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        store::open(&self.location).await.expect("the store should open")
    }
}

pub(crate) fn memory() -> Backend {
    Backend { location: StoreLocation::Memory, _directory: None }
}

pub(crate) fn sqlite() -> Backend {
    let directory = TempDir::new().unwrap();
    let location = StoreLocation::Sqlite(directory.path().join("orders.db"));
    Backend { location, _directory: Some(directory) }
}

pub(crate) fn postgres() -> Backend {
    let server = postgres_server::shared();
    let location = server.url(&server.database()).parse().unwrap();
    Backend { location, _directory: None }
}

pub(crate) fn key(text: impl Into<String>) -> Key {
    Key::try_from(text.into()).unwrap()
}

pub(crate) fn value(bytes: impl Into<Vec<u8>>) -> Value {
    Value::try_from(bytes.into()).unwrap()
}

pub(crate) fn put(at: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Write {
    Write::Put(key(at), value(bytes))
}

pub(crate) fn delete(at: &str) -> Write {
    Write::Delete(key(at))
}

pub(crate) async fn commit(store: &dyn Store, checks: Vec<Check>, writes: Vec<Write>) -> Outcome {
    store.commit(Commit::new(checks, writes).unwrap()).await.unwrap()
}

/// Commits the writes without checks.
pub(crate) async fn write(store: &dyn Store, writes: Vec<Write>) -> Revision {
    match commit(store, vec![], writes).await {
        Outcome::Committed(revision) => revision,
        Outcome::Conflict(index) => panic!("a commit without checks conflicted at {index}"),
    }
}

pub(crate) async fn get(store: &dyn Store, keys: &[&str]) -> Vec<Option<Stored>> {
    store.get(keys.iter().map(|text| key(*text)).collect()).await.unwrap()
}

pub(crate) async fn get_one(store: &dyn Store, at: &str) -> Option<Stored> {
    get(store, &[at]).await.remove(0)
}

pub(crate) fn stored(bytes: impl Into<Vec<u8>>, revision: Revision) -> Stored {
    Stored { value: value(bytes), revision }
}

pub(crate) async fn scan(store: &dyn Store, start: &str, end: &str, limit: u32, order: Order) -> Vec<Entry> {
    store.scan(Scan::new(key(start), key(end), limit, order).unwrap()).await.unwrap()
}

pub(crate) async fn scan_keys(
    store: &dyn Store,
    start: &str,
    end: &str,
    limit: u32,
    order: Order,
) -> Vec<String> {
    let entries = scan(store, start, end, limit, order).await;
    entries.iter().map(|entry| entry.key.as_str().to_owned()).collect()
}

pub(crate) fn assert_too_large<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge(_)), "{error:?}");
}

pub(crate) fn assert_unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
}
