//! What all statements share: the lock timeout, the revision column, errors.

use std::time::Duration;

use crate::store::contract::{Revision, StoreError};

/// How long a statement waits for a lock that another process holds. Such locks last as long as one write
/// transaction or one checkpoint: a full batch with its checkpoint takes well under this on a slow disk.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The last revision handed out.
pub(super) const SELECT_LAST_REVISION: &str = "SELECT revision FROM last_revision";

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(format!("SQLite: {error}"))
    }
}

/// A revision as SQLite keeps it.
pub(super) fn revision_to_column(revision: Revision) -> Result<i64, StoreError> {
    i64::try_from(revision.0).map_err(|_| StoreError::out_of_revisions())
}

/// A revision as it was read.
pub(super) fn revision_from_column(column: i64) -> Result<Revision, StoreError> {
    u64::try_from(column)
        .map(Revision)
        .map_err(|_| StoreError::Unavailable(format!("the file holds the negative revision {column}")))
}
