//! The trait that every backend implements, and why opening one can fail.

use std::fmt;

use async_trait::async_trait;

use super::{
    contract::{Commit, Entry, Key, Outcome, Scan, StoreError, Stored},
    snapshot::Snapshot,
};

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

/// What is done where there is no store yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    Make,
    Refuse,
}
