//! The [`Store`] trait, and the error of a failed open.

use std::fmt;

use async_trait::async_trait;

use super::{
    contract::{Commit, Entry, Key, Outcome, Scan, StoreError, Stored},
    snapshot::Snapshot,
};

/// A transactional key-value store: the contract of `orders:state/store`.
///
/// Cancelling a call (dropping its future) never leaves a partial commit: the commit takes effect as a whole or not
/// at all, whether or not a caller still waits for its outcome.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Returns what is stored under each key, in the order of `keys`. The result is one consistent snapshot of
    /// everything that was committed before the call.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]; [`StoreError::TooLarge`] for more than [`MAX_GET_KEYS`] keys, or if the values
    /// exceed [`MAX_TRANSFER_BYTES`].
    ///
    /// [`MAX_GET_KEYS`]: super::MAX_GET_KEYS
    /// [`MAX_TRANSFER_BYTES`]: super::MAX_TRANSFER_BYTES
    async fn get(&self, keys: Vec<Key>) -> Result<Vec<Option<Stored>>, StoreError>;

    /// Returns the first entries of a range. The result is one consistent snapshot of everything that was committed
    /// before the call.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]; [`StoreError::TooLarge`] if the entries exceed [`MAX_TRANSFER_BYTES`].
    ///
    /// [`MAX_TRANSFER_BYTES`]: super::MAX_TRANSFER_BYTES
    async fn scan(&self, scan: Scan) -> Result<Vec<Entry>, StoreError>;

    /// Applies all writes if all checks hold. The commit is durable when this returns [`Outcome::Committed`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: it is then unknown whether the writes took effect.
    async fn commit(&self, commit: Commit) -> Result<Outcome, StoreError>;

    /// Returns a snapshot of all entries after the key `after`, or of all entries without it: everything that was
    /// committed before the call, and nothing that is committed later.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    async fn snapshot(&self, after: Option<Key>) -> Result<Box<dyn Snapshot>, StoreError>;

    /// Checks that the store currently accepts reads and commits.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] with the reason.
    async fn health(&self) -> Result<(), StoreError>;

    /// Finishes the commits in flight and releases the store's resources. Later calls return
    /// [`StoreError::Unavailable`].
    async fn close(&self);
}

/// Why a store could not be opened: one line that names the store and says how to correct the problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenError {
    text: String,
    kind: OpenErrorKind,
}

/// Whether a later attempt to open the store may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OpenErrorKind {
    /// The store cannot be reached: its server is away, or about to be.
    Unreachable,
    /// Somebody must correct something first.
    Final,
}

impl OpenError {
    /// The store cannot be reached now, for this reason.
    pub fn unreachable(text: String) -> Self {
        Self { text, kind: OpenErrorKind::Unreachable }
    }

    /// Another attempt would fail for the same reason.
    pub(super) fn permanent(text: String) -> Self {
        Self { text, kind: OpenErrorKind::Final }
    }

    /// Whether another attempt would fail for the same reason.
    pub fn is_final(&self) -> bool {
        self.kind == OpenErrorKind::Final
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for OpenError {}

/// What opening does if the store does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IfMissing {
    Create,
    Fail,
}
