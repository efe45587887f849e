//! Opens the connection that writes.
//!
//! An existing file is first inspected through a connection that takes no locks, creates no files and writes nothing
//! (`immutable`), so a rejected file stays unchanged, byte for byte. Such a connection sees the file without its WAL.
//! That is enough to tell which application owns the file, because a new file gets its application id and schema
//! before it gets a WAL. To keep that true, the migration to a later schema version must bring that version into the
//! file (by a checkpoint). Everything is checked a second time with locks and the WAL, before the first write.
//!
//! The file is read only through SQLite: closing any other descriptor of it would release the locks that this process
//! holds on it (POSIX).

use std::{
    fmt::Write as _,
    fs, io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{self, Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, config::DbConfig};
use rustix::fs::{Access, access};

use super::{
    check::{check_found_log, log_bytes},
    identity::{Identity, sidecar},
    mount,
    open_error::{NOT_A_DATABASE, not_writable, open_error, sqlite_open_error},
    schema::{Content, check_tables, classify, classify_header, create, foreign_database},
    sql::{BUSY_TIMEOUT, SELECT_LAST_REVISION},
};
use crate::store::backend::OpenError;

/// Maximum number of attempts to switch to the WAL. The switch fails immediately, without waiting, while another
/// process makes the same switch. Each further attempt first waits for that process's transaction.
const MAX_WAL_SWITCH_ATTEMPTS: usize = 16;

/// The mode of the files: its user alone may read and write them.
const PRIVATE: u32 = 0o600;

/// Returns the absolute path of a store that exists or may be created.
///
/// The path is absolute because SQLite gives names such as `:memory:` and `file:…` a special meaning.
pub(super) fn resolve(given: &Path) -> Result<PathBuf, OpenError> {
    let path = path::absolute(given).map_err(|error| open_error(given, &format!("{error}; name a file")))?;
    let (Some(directory), Some(_)) = (path.parent(), path.file_name()) else {
        return Err(open_error(given, "it does not name a file"));
    };
    match fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => mount::check(&path).map(|()| path),
        Ok(_) => Err(open_error(given, &format!("{directory:?} is not a directory"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(open_error(
            given,
            &format!(
                "the directory {directory:?} does not exist; create or mount it, since it is not created automatically"
            ),
        )),
        Err(error) => Err(open_error(given, &format!("the directory {directory:?} cannot be read: {error}"))),
    }
}

/// Checks that the file is a store, or can be created, without changing anything.
pub(super) fn check(given: &Path) -> Result<(), OpenError> {
    let path = resolve(given)?;
    if has_content(&path)? {
        inspect_immutable(&path)?;
    }
    let allowed = |at: &Path, rights| access(at, rights).map_err(|error| not_writable(&path, &error));
    if path.exists() {
        allowed(&path, Access::READ_OK | Access::WRITE_OK)?;
    }
    // The files that SQLite makes beside it may be left from before.
    match path.parent() {
        Some(folder) if !(sidecar(&path, "-wal").exists() && sidecar(&path, "-shm").exists()) => {
            allowed(folder, Access::WRITE_OK | Access::EXEC_OK)
        }
        _ => Ok(()),
    }
}

/// Opens the connection that writes, after checking that the file is a store, and tells which files it has open.
pub(super) fn open_for_writing(path: &Path) -> Result<(Connection, Identity), OpenError> {
    if has_content(path)? {
        inspect_immutable(path)?;
    }
    create_private(path);
    let found_log = log_bytes(path);
    let connect = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // Until the file is known to be a store, even closing this connection must not write to it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        Ok(connection)
    };
    let mut connection = connect().map_err(|error| sqlite_open_error(path, &error))?;
    if connection.is_readonly("main").map_err(|error| sqlite_open_error(path, &error))? {
        return Err(open_error(path, "this process can read it but not write it"));
    }
    // First, because a foreign log may hide even the tables.
    if found_log > 0 {
        check_found_log(&mut connection, path, found_log)?;
    }
    let content = {
        // In one transaction, so that no other process creates the tables between two of the checks.
        let transaction =
            connection.unchecked_transaction().map_err(|error| sqlite_open_error(path, &error))?;
        classify(&transaction, path)?
    };
    if content == Content::Empty {
        create(&mut connection, path)?;
    }
    switch_to_wal(&mut connection, path)?;
    // The first read creates the WAL and its index.
    connection
        .query_one(SELECT_LAST_REVISION, [], |row| row.get::<_, i64>(0))
        .map_err(|error| sqlite_open_error(path, &error))?;
    let identity = Identity::of(&connection, path)?;
    Ok((connection, identity))
}

/// How many links in a row are followed: as many as by the kernel.
const MAX_LINKS: usize = 40;

/// Creates a missing file, empty, so that only this user may read it. SQLite gives its other files the same mode. A failure
/// is not reported: SQLite fails next, and says why.
fn create_private(path: &Path) {
    /// Closing a descriptor releases the locks that this process holds on the file, here or through another store.
    static CREATING: Mutex<()> = Mutex::new(());
    let _one = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
    // The file at the end of links that lead nowhere yet.
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(to) = fs::read_link(&target) else { break };
        target = target.parent().map_or_else(|| to.clone(), |folder| folder.join(&to));
    }
    let created = fs::OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&target);
    if let Ok(file) = created {
        // A stricter mask of the process may have taken a right that SQLite needs.
        let _ = file.set_permissions(fs::Permissions::from_mode(PRIVATE));
    }
}

/// Whether the file at `path` exists and has content.
pub(super) fn has_content(path: &Path) -> Result<bool, OpenError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(open_error(path, &format!("it cannot be read: {error}"))),
    };
    match metadata {
        Some(metadata) if metadata.is_dir() => Err(open_error(
            path,
            &format!("it is a directory; name a file in it, such as {:?}", path.join("orders.db")),
        )),
        Some(metadata) if !metadata.is_file() => {
            Err(open_error(path, "it is not a regular file; name a regular file"))
        }
        Some(metadata) if metadata.len() > 0 => Ok(true),
        // SQLite would delete a WAL without its file, and with it the commits that are only in the WAL.
        _ if fs::metadata(sidecar(path, "-wal")).is_ok_and(|wal| wal.len() > 0) => Err(open_error(
            path,
            &format!(
                "it is missing or empty, but its write-ahead log {:?} is not; put the file back, or remove the log and \
                 restore a backup",
                sidecar(path, "-wal")
            ),
        )),
        _ => Ok(false),
    }
}

/// Inspects a file without changing it.
fn inspect_immutable(path: &Path) -> Result<(), OpenError> {
    // With a WAL or a rollback journal present, a process that died or is still running may have left the file itself
    // incomplete. Only a check with locks can tell, and `classify` makes it next.
    let unsettled = ["-wal", "-journal"].iter().any(|suffix| sidecar(path, suffix).exists());
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(immutable_uri(path), flags)
        .map_err(|error| sqlite_open_error(path, &error))?;
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    // The first read also detects a file that is not a database or is shorter than its header says.
    let pages = match number("page_count") {
        Err(error) if unsettled && error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
            return Ok(());
        }
        // A file smaller than a page and without a header: SQLite treats it as an empty database.
        Ok(0) => return Err(open_error(path, NOT_A_DATABASE)),
        other => other.map_err(|error| sqlite_open_error(path, &error))?,
    };
    if classify_header(&connection, path)? == Content::Empty {
        return Err(foreign_database(path, 0));
    }
    if unsettled {
        return Ok(());
    }
    check_tables(&connection, path)?;
    let page_bytes = number("page_size").map_err(|error| sqlite_open_error(path, &error))?;
    let length = fs::metadata(path).map_err(|error| open_error(path, &error.to_string()))?.len();
    // SQLite rounds a truncated last page up to a whole one.
    let expected = u64::try_from(pages.saturating_mul(page_bytes)).unwrap_or(u64::MAX);
    if length < expected {
        let why = format!("it is truncated: {length} of {expected} bytes; restore it from a backup");
        return Err(open_error(path, &why));
    }
    Ok(())
}

/// The path as a URI that makes SQLite treat the file as immutable: no locks, no WAL.
pub(super) fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() {
            uri.push(char::from(*byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri.push_str("?immutable=1");
    uri
}

/// Switches the connection to the WAL. From then on, it writes to the WAL, and closing it merges the WAL into the
/// file.
fn switch_to_wal(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let open_failed = |error| sqlite_open_error(path, &error);
    let mut attempts = 1..MAX_WAL_SWITCH_ATTEMPTS;
    let mode: String = loop {
        match connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)) {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && attempts.next().is_some() =>
            {
                connection
                    .transaction_with_behavior(TransactionBehavior::Immediate)
                    .map_err(open_failed)?
                    .rollback()
                    .map_err(open_failed)?;
            }
            other => break other.map_err(open_failed)?,
        }
    };
    if mode != "wal" {
        let why = format!(
            "its file system does not support a write-ahead log (journal mode {mode}); use a local disk"
        );
        return Err(open_error(path, &why));
    }
    connection.pragma_update(None, "synchronous", "FULL").map_err(open_failed)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(open_failed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::open_for_writing;

    /// `synchronous=FULL` protects an acknowledged commit from a power failure. A test cannot cut the power; this one
    /// checks the settings that SQLite receives.
    #[test]
    fn a_commit_waits_for_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.db");
        for _ in ["a new file", "an existing file"] {
            let (connection, _) = open_for_writing(&path).unwrap();
            let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
            let synchronous: i64 =
                connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
            assert_eq!((mode.as_str(), synchronous), ("wal", 2), "2 is FULL");
        }
    }
}
