//! From a path to the connection that writes.
//!
//! An existing file is inspected first through a connection that takes no locks, makes no files and writes
//! nothing (`immutable`), so that a file that is refused stays as it was, byte for byte. Such a connection
//! sees the file without its log. That is enough to tell whose file it is, because a new file gets its
//! application id and schema before it gets a log; a later schema version must be brought into the file
//! (by a checkpoint) as part of its migration to keep it so. Everything is judged a second time with locks and
//! log, before the first write.
//!
//! The file is only ever read through SQLite: closing any other descriptor of it would drop the locks that
//! this process holds on it (POSIX).

use std::{
    fmt::Write as _,
    fs, io,
    path::{self, Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, config::DbConfig};

use super::{
    refusal::{NO_DATABASE, explain, refuse},
    schema::{Found, create, judge, judge_header, judge_tables, refuse_foreign},
    sql::BUSY_TIMEOUT,
};
use crate::store::backend::OpenError;

/// How often the switch to the write-ahead log is tried. It fails at once, without waiting, when another
/// process makes the same switch; each further try first waits for that process's transaction.
const JOURNAL_TRIES: usize = 16;

/// The absolute path of a place where a store is or may be made.
///
/// Absolute, because SQLite reads names such as `:memory:` and `file:…` as something else than paths.
pub(super) fn locate(given: &Path) -> Result<PathBuf, OpenError> {
    let path = path::absolute(given).map_err(|error| refuse(given, &format!("{error}; name a file")))?;
    let (Some(directory), Some(_)) = (path.parent(), path.file_name()) else {
        return Err(refuse(given, "it is not the name of a file"));
    };
    match fs::metadata(directory) {
        Ok(found) if found.is_dir() => Ok(path),
        Ok(_) => Err(refuse(given, &format!("{directory:?} is not a directory"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(refuse(
            given,
            &format!(
                "the directory {directory:?} does not exist; create it or mount it, it is never made here"
            ),
        )),
        Err(error) => Err(refuse(given, &format!("the directory {directory:?} cannot be read: {error}"))),
    }
}

/// The one connection that writes, on a file that is certainly ours.
pub(super) fn open_for_writing(path: &Path) -> Result<Connection, OpenError> {
    if is_there(path)? {
        inspect(path)?;
    }
    let connect = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // Until it is certain whose file this is, not even the end of this connection may write to it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        Ok(connection)
    };
    let mut connection = connect().map_err(|error| explain(path, &error))?;
    if connection.is_readonly("main").map_err(|error| explain(path, &error))? {
        return Err(refuse(path, "this process may read it but not write it"));
    }
    let found = {
        // One transaction, lest half of the answers be from before another process made the tables.
        let transaction = connection.unchecked_transaction().map_err(|error| explain(path, &error))?;
        judge(&transaction, path)?
    };
    if found == Found::Nothing {
        create(&mut connection, path)?;
    }
    switch_to_log(&mut connection, path)?;
    Ok(connection)
}

/// Whether something lies at `path` whose content has to be looked at.
pub(super) fn is_there(path: &Path) -> Result<bool, OpenError> {
    let found = match fs::metadata(path) {
        Ok(found) => Some(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(refuse(path, &format!("it cannot be read: {error}"))),
    };
    match found {
        Some(found) if found.is_dir() => Err(refuse(
            path,
            &format!("it is a directory; name a file in it, such as {:?}", path.join("orders.db")),
        )),
        Some(found) if !found.is_file() => Err(refuse(path, "it is not a regular file; name one")),
        Some(found) if found.len() > 0 => Ok(true),
        // SQLite would delete a log without its file, and with it commits that lie only there.
        _ if fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0) => Err(refuse(
            path,
            &format!(
                "it is missing or empty, but its log {:?} is not; put its file back",
                beside(path, "-wal")
            ),
        )),
        _ => Ok(false),
    }
}

/// Looks at a file without touching it.
fn inspect(path: &Path) -> Result<(), OpenError> {
    // Beside a log or a journal, a process that died or another that is at work may have left the file itself
    // behind: whether it is whole can only be told with locks, which `judge` does next.
    let unsettled = ["-wal", "-journal"].iter().any(|suffix| beside(path, suffix).exists());
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(immutable_uri(path), flags).map_err(|error| explain(path, &error))?;
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    // The first read is also what finds a file that is no database or shorter than its header says.
    let pages = match number("page_count") {
        Err(error) if unsettled && error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
            return Ok(());
        }
        // Smaller than a page and without a header: SQLite takes that for an empty database.
        Ok(0) => return Err(refuse(path, NO_DATABASE)),
        other => other.map_err(|error| explain(path, &error))?,
    };
    if judge_header(&connection, path)? == Found::Nothing {
        return Err(refuse_foreign(path, 0));
    }
    if unsettled {
        return Ok(());
    }
    judge_tables(&connection, path)?;
    let page_bytes = number("page_size").map_err(|error| explain(path, &error))?;
    let length = fs::metadata(path).map_err(|error| refuse(path, &error.to_string()))?.len();
    // SQLite rounds a last page that was cut short up to a whole one.
    let expected = u64::try_from(pages.saturating_mul(page_bytes)).unwrap_or(u64::MAX);
    if length < expected {
        let why = format!("it is cut short: {length} bytes of {expected}; restore it from a copy");
        return Err(refuse(path, &why));
    }
    Ok(())
}

/// The name of a file that SQLite keeps beside the store's: beside the file itself, if `path` is a link to it.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).into_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

/// The path as a URI that asks SQLite to take the file as one that nobody changes: no locks, no log.
fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() {
            uri.push(char::from(*byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri.push_str("?immutable=1");
    uri
}

/// From here on the connection writes to the log, and its end moves the log into the file.
fn switch_to_log(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let explain = |error| explain(path, &error);
    let mut tries = 1..JOURNAL_TRIES;
    let mode: String = loop {
        match connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)) {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && tries.next().is_some() =>
            {
                connection
                    .transaction_with_behavior(TransactionBehavior::Immediate)
                    .map_err(explain)?
                    .rollback()
                    .map_err(explain)?;
            }
            other => break other.map_err(explain)?,
        }
    };
    if mode != "wal" {
        let why = format!("its file system cannot keep a write-ahead log (mode {mode}); use a local disk");
        return Err(refuse(path, &why));
    }
    connection.pragma_update(None, "synchronous", "FULL").map_err(explain)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(explain)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::open_for_writing;

    /// What stands between an acknowledged commit and a power failure. No test can cut the power; this one
    /// sees to it that SQLite is told what to do.
    #[test]
    fn a_commit_waits_for_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.db");
        for _ in ["a new file", "an old one"] {
            let connection = open_for_writing(&path).unwrap();
            let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
            let synchronous: i64 =
                connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
            assert_eq!((mode.as_str(), synchronous), ("wal", 2), "2 is FULL");
        }
    }
}
