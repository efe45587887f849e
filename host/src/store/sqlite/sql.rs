//! Shared by all statements: the lock timeout, transactions, the revision column, error conversion.

use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::permanence::persists;
use crate::store::contract::{Reason, Revision, StoreError};

/// How long a statement waits for a lock held by another process. Such a lock lasts for one write transaction or one
/// checkpoint: even a full batch with its checkpoint takes well under this on a slow disk.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Selects the last assigned revision.
pub(super) const SELECT_LAST_REVISION: &str = "SELECT revision FROM last_revision";

/// How often other connections have committed, as SQLite counts it for this one; `None` if that cannot be read. Within a
/// transaction it costs no lock.
pub(super) fn foreign_commits(connection: &Connection) -> Option<i64> {
    connection
        .prepare_cached("PRAGMA data_version")
        .and_then(|mut read| read.query_one([], |row| row.get(0)))
        .ok()
}

/// How a transaction begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Begin {
    /// It reads: its first statement determines what it sees.
    Read,
    /// It writes, and waits for the lock first.
    Write,
}

/// A transaction whose own statements are prepared once per connection, unlike those of [`rusqlite::Transaction`]. Dropping it
/// rolls it back, also after a failed commit.
pub(super) struct Transaction<'a>(&'a Connection);

impl<'a> Transaction<'a> {
    pub(super) fn begin(connection: &'a Connection, kind: Begin) -> rusqlite::Result<Self> {
        // The last one could not be rolled back, such as after an error of the disk. That passes.
        if !connection.is_autocommit() {
            connection.prepare_cached("ROLLBACK")?.execute([])?;
        }
        let sql = match kind {
            Begin::Read => "BEGIN",
            Begin::Write => "BEGIN IMMEDIATE",
        };
        connection.prepare_cached(sql)?.execute([])?;
        Ok(Self(connection))
    }

    pub(super) fn commit(self) -> rusqlite::Result<()> {
        self.0.prepare_cached("COMMIT")?.execute([]).map(drop)
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            // If this fails, the next transaction tries again before it begins.
            let _ = self.0.prepare_cached("ROLLBACK").and_then(|mut rollback| rollback.execute([]));
        }
    }
}

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
        let reason = if persists(&error) { Reason::persisting(public) } else { Reason::new(public) };
        reason.with_detail(format_args!("SQLite: {error}")).into()
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
        .map_err(|_| Reason::persisting("its file contains a negative revision").with_detail(column).into())
}
