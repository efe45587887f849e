//! Which errors of SQLite pass by themselves.
//!
//! | error | passes | because |
//! |---|---|---|
//! | `CORRUPT`, `NOTADB` | no | the file is damaged |
//! | `IOERR_SHORT_READ`, `IOERR_DATA`, `IOERR_CORRUPTFS` | no | the file was cut short, or its disk returns wrong data |
//! | `READONLY_DBMOVED` | no | the connection has a file open that is no longer at the path |
//! | `ERROR`, `SCHEMA`, `MISMATCH` | no | the tables were changed: the statements are always the same |
//! | a column of another type, a key that is not UTF-8 | no | somebody else has written it |
//! | `BUSY`, `LOCKED`, `PROTOCOL` | yes | another process holds a lock |
//! | `FULL`, `NOMEM` | yes | there was no room, and may be again |
//! | other `IOERR` | yes | nothing of a failed commit is visible, and the next one writes anew |
//! | `CANTOPEN`, `PERM`, other `READONLY`, `INTERRUPT` and the rest | yes | it concerns this call |

use rusqlite::{Error, ErrorCode, ffi};

/// Whether the error does not pass by itself.
pub(super) fn persists(error: &Error) -> bool {
    match error {
        Error::SqliteFailure(failure, _) => is_lasting_code(failure.code, failure.extended_code),
        Error::SqlInputError { .. }
        | Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::Utf8Error(..)
        | Error::InvalidColumnType(..)
        | Error::InvalidColumnName(_)
        | Error::InvalidColumnIndex(_)
        | Error::QueryReturnedNoRows
        | Error::QueryReturnedMoreThanOneRow => true,
        _ => false,
    }
}

fn is_lasting_code(code: ErrorCode, extended: i32) -> bool {
    match code {
        ErrorCode::DatabaseCorrupt
        | ErrorCode::NotADatabase
        | ErrorCode::SchemaChanged
        | ErrorCode::TypeMismatch => true,
        // `ERROR` has no variant of its own.
        ErrorCode::Unknown => extended & 0xff == ffi::SQLITE_ERROR,
        ErrorCode::SystemIoFailure => matches!(
            extended,
            ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_DATA | ffi::SQLITE_IOERR_CORRUPTFS
        ),
        ErrorCode::ReadOnly => extended == ffi::SQLITE_READONLY_DBMOVED,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_in_the_table() {
        let persists = |code| persists(&Error::SqliteFailure(ffi::Error::new(code), None));
        for lasting in [
            ffi::SQLITE_CORRUPT,
            ffi::SQLITE_CORRUPT_INDEX,
            ffi::SQLITE_NOTADB,
            ffi::SQLITE_IOERR_SHORT_READ,
            ffi::SQLITE_IOERR_DATA,
            ffi::SQLITE_IOERR_CORRUPTFS,
            ffi::SQLITE_READONLY_DBMOVED,
            ffi::SQLITE_ERROR,
            ffi::SQLITE_SCHEMA,
            ffi::SQLITE_MISMATCH,
        ] {
            assert!(persists(lasting), "{lasting}");
        }
        for passing in [
            ffi::SQLITE_BUSY,
            ffi::SQLITE_BUSY_SNAPSHOT,
            ffi::SQLITE_LOCKED,
            ffi::SQLITE_PROTOCOL,
            ffi::SQLITE_FULL,
            ffi::SQLITE_NOMEM,
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_PERM,
            ffi::SQLITE_READONLY,
            ffi::SQLITE_INTERRUPT,
            ffi::SQLITE_TOOBIG,
            ffi::SQLITE_CONSTRAINT,
            ffi::SQLITE_MISUSE,
        ] {
            assert!(!persists(passing), "{passing}");
        }
    }
}
