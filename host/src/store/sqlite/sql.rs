//! Shared by all statements: the lock timeout, the revision column, error conversion.

use std::time::Duration;

use rusqlite::ErrorCode;

use crate::store::contract::{Reason, Revision, StoreError};

/// How long a statement waits for a lock held by another process. Such a lock lasts for one write transaction or one
/// checkpoint: even a full batch with its checkpoint takes well under this on a slow disk.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Selects the last assigned revision.
pub(super) const SELECT_LAST_REVISION: &str = "SELECT revision FROM last_revision";

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let public = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => "its disk is full",
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "another process has locked its file"
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => "its file is damaged",
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
                "its file cannot be read and written"
            }
            Some(ErrorCode::SystemIoFailure) => "its disk failed",
            _ => "SQLite failed",
        };
        Reason::new(public).with_detail(format_args!("SQLite: {error}")).into()
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
        .map_err(|_| Reason::new("its file contains a negative revision").with_detail(column).into())
}
