//! The state store: one ordered map from keys to values with atomic conditional commits.
//!
//! [`Store`] is the contract of `wit/state/store.wit` in Rust. Bounds are checked once, when a [`Key`], [`Value`],
//! [`Scan`] or [`Commit`] is made (`contract`), so that no backend ever sees a bad one. Backends:
//!
//! - `memory`: a map in this process, for tests and benchmarks;
//! - `sqlite`: one file, the default;
//! - `postgres`: a database on a server, which several processes on several machines may share.
//!
//! `host/tests/store_conformance/` runs one suite against each of them.

mod contract;
mod memory;
mod postgres;
mod snapshot;
mod sqlite;

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use contract::check_transfer;
pub use contract::{
    Check, Commit, Entry, Key, MAX_COMMIT_ITEMS, MAX_GET_KEYS, MAX_KEY_BYTES, MAX_SCAN_LIMIT,
    MAX_TRANSFER_BYTES, MAX_VALUE_BYTES, Order, Outcome, Revision, Scan, StoreError, Stored, Value, Write,
    check_item_count, check_key_count,
};
pub use snapshot::{MAX_PAGE_ENTRIES, PAGE_BYTES, Snapshot};

use crate::config::StoreLocation;

/// Opens the store at `location`, creating it if nothing is there yet.
///
/// # Errors
///
/// [`OpenError`] if it cannot be created, read or written, or if something else is there. A failed open
/// leaves what was there as it was.
pub async fn open(location: &StoreLocation) -> Result<Arc<dyn Store>, OpenError> {
    open_or(location, Missing::Make).await
}

/// Opens the store at `location`, if there is one.
///
/// # Errors
///
/// [`OpenError`] as for [`open`], and if nothing is there yet; nothing is made then.
pub async fn open_existing(location: &StoreLocation) -> Result<Arc<dyn Store>, OpenError> {
    open_or(location, Missing::Refuse).await
}

/// What is done where there is no store yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    Make,
    Refuse,
}

async fn open_or(location: &StoreLocation, missing: Missing) -> Result<Arc<dyn Store>, OpenError> {
    match location {
        StoreLocation::Memory => Ok(Arc::new(memory::MemoryStore::default())),
        StoreLocation::Sqlite(path) => Ok(Arc::new(sqlite::SqliteStore::open(path, missing).await?)),
        StoreLocation::Postgres(server) => {
            Ok(Arc::new(postgres::PostgresStore::open(server, missing).await?))
        }
    }
}

/// A place that keeps entries: the contract of `orders:state/store`.
///
/// Cancelling a call (dropping its future) never leaves a commit half made: it takes place whole, or not
/// at all, whether or not anyone still waits for its outcome.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// For each key, in the order given, what is stored under it. One consistent snapshot of what was
    /// committed before the call.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], or [`StoreError::TooLarge`] for more than [`MAX_GET_KEYS`] keys or if
    /// the values found exceed [`MAX_TRANSFER_BYTES`].
    async fn get(&self, keys: Vec<Key>) -> Result<Vec<Option<Stored>>, StoreError>;

    /// The first entries of a range. One consistent snapshot of what was committed before the call.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], or [`StoreError::TooLarge`] if the entries found exceed
    /// [`MAX_TRANSFER_BYTES`].
    async fn scan(&self, scan: Scan) -> Result<Vec<Entry>, StoreError>;

    /// Makes all writes if all checks hold; durable once it returns [`Outcome::Committed`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: it is then not known whether the writes took place.
    async fn commit(&self, commit: Commit) -> Result<Outcome, StoreError>;

    /// All entries that come after this key (all at all without one), as they are now: what was committed before the call,
    /// and nothing that is committed later.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn snapshot(&self, after: Option<Key>) -> Result<Box<dyn Snapshot>, StoreError>;

    /// Whether the store takes reads and commits right now.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] with what is wrong.
    async fn health(&self) -> Result<(), StoreError>;

    /// Finishes the commits under way and releases what the store holds. Later calls are unavailable.
    async fn close(&self);
}

/// Why a store could not be opened: one line that names the store and says what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenError(pub String);

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OpenError {}
