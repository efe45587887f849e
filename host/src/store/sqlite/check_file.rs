//! Checks a file by hand, without changing it.

use std::path::Path;

use rusqlite::{Connection, Error, ErrorCode, OpenFlags};

use super::{
    check::{begins_like_a_log, findings, log_bytes, total_bytes},
    identity::sidecar,
    open::{has_content, immutable_uri, resolve},
    open_error::{begins_like_a_database, open_error, sqlite_open_error},
    schema::classify,
};
use crate::store::backend::OpenError;

/// The most findings of the check of a file by hand.
const MAX_FINDINGS: u32 = 10;

/// What the check of a file has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// The file and its log are whole.
    Whole {
        /// The number of entries.
        entries: u64,
        /// The bytes of both.
        bytes: u64,
    },
    /// They are damaged, or do not belong together. Contains SQLite's findings.
    Damaged(Vec<String>),
}

/// Checks a file and its log, and changes neither. A service may use them meanwhile.
///
/// # Errors
///
/// [`OpenError`] if the file is not a store, or cannot be read.
pub fn check_file(given: &Path) -> Result<Checked, OpenError> {
    let path = resolve(given)?;
    if !has_content(&path)? {
        return Err(open_error(&path, "it does not exist, or is empty; name an existing store file"));
    }
    let log = log_bytes(&path);
    if !begins_like_a_log(&sidecar(&path, "-wal"), log) {
        return Ok(Checked::Damaged(vec!["its write-ahead log was emptied or overwritten".into()]));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // Without a log nobody has the file open, and reading it must not create one.
    let opened = if log == 0 && !sidecar(&path, "-shm").exists() {
        Connection::open_with_flags(immutable_uri(&path), flags | OpenFlags::SQLITE_OPEN_URI)
    } else {
        Connection::open_with_flags(&path, flags)
    };
    let failed = |error: Error| sqlite_open_error(&path, &error);
    let connection = opened.map_err(failed)?;
    let found = match findings(&connection, MAX_FINDINGS) {
        // Its first page is damaged: SQLite says the same of a file that never was a database.
        Err(error)
            if error.sqlite_error_code() == Some(ErrorCode::NotADatabase)
                && begins_like_a_database(&path) =>
        {
            vec![error.to_string()]
        }
        found => found.map_err(failed)?,
    };
    if !found.is_empty() {
        return Ok(Checked::Damaged(found));
    }
    classify(&connection, &path)?;
    let entries: i64 =
        connection.query_one("SELECT count(*) FROM entries", [], |row| row.get(0)).map_err(failed)?;
    let bytes = total_bytes(&path, log_bytes(&path));
    Ok(Checked::Whole { entries: u64::try_from(entries).unwrap_or_default(), bytes })
}
