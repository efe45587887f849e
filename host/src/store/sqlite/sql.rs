//! Shared by all statements: the lock timeout, the revision column, error conversion.

use std::time::Duration;

use crate::store::contract::{Revision, StoreError};

/// How long a statement waits for a lock held by another process. Such a lock lasts for one write transaction or one
/// checkpoint: even a full batch with its checkpoint takes well under this on a slow disk.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Selects the last assigned revision.
pub(super) const SELECT_LAST_REVISION: &str = "SELECT revision FROM last_revision";

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(format!("SQLite: {error}"))
    }
}

/// The revision as a SQLite column value.
pub(super) fn revision_to_column(revision: Revision) -> Result<i64, StoreError> {
    i64::try_from(revision.0).map_err(|_| StoreError::out_of_revisions())
}

/// The revision from a SQLite column value.
pub(super) fn revision_from_column(column: i64) -> Result<Revision, StoreError> {
    u64::try_from(column)
        .map(Revision)
        .map_err(|_| StoreError::Unavailable(format!("the file contains the negative revision {column}")))
}
