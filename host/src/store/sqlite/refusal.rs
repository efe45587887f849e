//! How a refusal to open is worded: one line that names the path and says what would be right.

use std::path::Path;

use rusqlite::{Error, ErrorCode};

use super::sql::BUSY_TIMEOUT;
use crate::store::backend::OpenError;

/// What is said of a file of some other kind.
pub(super) const NO_DATABASE: &str =
    "it is not a SQLite database; name a store's file, or one that does not exist yet";

/// One line, whatever the path (quoted and escaped) or SQLite's words (which name tables) contain.
pub(super) fn refuse(path: &Path, why: &str) -> OpenError {
    let why = why.replace(char::is_control, " ");
    OpenError(format!("cannot open the store {path:?}: {why}"))
}

/// Words an error of SQLite's during the open.
pub(super) fn explain(path: &Path, error: &Error) -> OpenError {
    let why = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => NO_DATABASE.into(),
        Some(ErrorCode::DatabaseCorrupt) => {
            format!("it is damaged or cut short ({error}); restore it from a copy")
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            format!("this process must be able to read and write it and its directory ({error})")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("another process kept it locked for {BUSY_TIMEOUT:?}; end that process")
        }
        Some(ErrorCode::DiskFull) => "its disk is full; make room there".into(),
        _ => format!("SQLite: {error}"),
    };
    refuse(path, &why)
}
