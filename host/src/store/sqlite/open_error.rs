//! The error messages of a failed open: one line that names the path and says how to correct the problem.

use std::{fmt, fs::File, io::Read as _, path::Path};

use rusqlite::{Error, ErrorCode};

use super::sql::BUSY_TIMEOUT;
use crate::store::backend::OpenError;

/// The message for a file that is not a SQLite database.
pub(super) const NOT_A_DATABASE: &str =
    "it is not a SQLite database; name a store file, or a file that does not exist yet";

/// The error as one line: the path is quoted and escaped, and control characters in SQLite's messages (which contain
/// table names) are replaced.
pub(super) fn open_error(path: &Path, why: &str) -> OpenError {
    let why = why.replace(char::is_control, " ");
    OpenError::permanent(format!("cannot open the store {path:?}: {why}"))
}

/// The error for a file that this process may not change.
pub(super) fn not_writable(path: &Path, error: &dyn fmt::Display) -> OpenError {
    open_error(path, &format!("this process must be able to read and write it and its directory ({error})"))
}

/// The error for a SQLite error during the open.
pub(super) fn sqlite_open_error(path: &Path, error: &Error) -> OpenError {
    let why = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) if begins_like_a_database(path) => {
            format!("its first page is damaged ({error}); restore it from a backup")
        }
        Some(ErrorCode::NotADatabase) => NOT_A_DATABASE.into(),
        Some(ErrorCode::DatabaseCorrupt) => {
            format!("it is damaged or truncated ({error}); restore it from a backup")
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            return not_writable(path, error);
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("another process held its lock for {BUSY_TIMEOUT:?}; stop that process")
        }
        Some(ErrorCode::DiskFull) => "its disk is full; free some space".into(),
        _ => format!("SQLite: {error}"),
    };
    open_error(path, &why)
}

/// Whether a file begins like every SQLite database, for which SQLite has no error of its own if the rest of the first page is
/// damaged. Nobody has such a file open, so that closing it releases no locks.
pub(super) fn begins_like_a_database(path: &Path) -> bool {
    const MAGIC: &[u8; 16] = b"SQLite format 3\0";
    let mut begins = [0; MAGIC.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut begins)).is_ok() && begins == *MAGIC
}
