//! The contents of a store file: how a new one is created, and how others are recognised.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::{
    open_error::{open_error, sqlite_open_error},
    sql::SELECT_LAST_REVISION,
};
use crate::store::backend::OpenError;

/// Marks a file as a store: "ORDS" in ASCII, which `file` shows. SQLite stores it at byte 68.
const APPLICATION_ID: i32 = 0x4F52_4453;

/// The version of the layout below. SQLite stores it at byte 60 (`user_version`).
const SCHEMA_VERSION: i32 = 1;

/// Keys compare by BINARY, the default: bytewise on UTF-8, the default encoding.
const CREATE_ENTRIES: &str = "CREATE TABLE entries (\
    key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL, revision INTEGER NOT NULL) WITHOUT ROWID, STRICT";

/// A table with exactly one row.
const CREATE_LAST_REVISION: &str = "CREATE TABLE last_revision (\
    only INTEGER PRIMARY KEY CHECK (only = 1), revision INTEGER NOT NULL) STRICT";

/// The content of a database file.
#[derive(PartialEq, Eq)]
pub(super) enum Content {
    /// A database in which nothing has been created yet.
    Empty,
    /// A store of the schema version that this binary supports.
    Store,
}

/// Tells a store from an empty database and rejects everything else. Reads only.
pub(super) fn classify(connection: &Connection, path: &Path) -> Result<Content, OpenError> {
    let content = classify_header(connection, path)?;
    if content == Content::Store {
        check_tables(connection, path)?;
    }
    Ok(content)
}

/// Checks the first page: which application owns the database, and its schema version.
pub(super) fn classify_header(connection: &Connection, path: &Path) -> Result<Content, OpenError> {
    let number = |pragma: &str| {
        connection
            .pragma_query_value(None, pragma, |row| row.get::<_, i32>(0))
            .map_err(|error| sqlite_open_error(path, &error))
    };
    let application = number("application_id")?;
    // In a write transaction, such as the one in `create`, an empty file has one page.
    if application == 0 && number("page_count")? <= 1 && number("schema_version")? == 0 {
        return Ok(Content::Empty);
    }
    if application != APPLICATION_ID {
        return Err(foreign_database(path, application));
    }
    let version = number("user_version")?;
    if version != SCHEMA_VERSION {
        let why = format!(
            "it has schema version {version}, but this binary supports version {SCHEMA_VERSION}; run a binary \
             that supports version {version}"
        );
        return Err(open_error(path, &why));
    }
    Ok(Content::Store)
}

/// Checks the other pages: whether the tables match the schema version.
pub(super) fn check_tables(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    if has_tables(connection).map_err(|error| sqlite_open_error(path, &error))? {
        return Ok(());
    }
    let why = format!("its tables do not match schema version {SCHEMA_VERSION}; restore it from a backup");
    Err(open_error(path, &why))
}

/// Whether both tables have their original definition and the last revision exists.
fn has_tables(connection: &Connection) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare("SELECT sql FROM sqlite_schema WHERE type = 'table'")?;
    let tables = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    if ![CREATE_ENTRIES, CREATE_LAST_REVISION]
        .iter()
        .all(|definition| tables.iter().any(|sql| sql == definition))
    {
        return Ok(false);
    }
    let revisions = connection
        .prepare(SELECT_LAST_REVISION)?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    Ok(revisions.len() == 1)
}

/// Creates the tables in one transaction, unless another process did so first.
pub(super) fn create(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let open_failed = |error| sqlite_open_error(path, &error);
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(open_failed)?;
    if classify(&transaction, path)? == Content::Store {
        return Ok(());
    }
    let script = format!(
        "{CREATE_ENTRIES}; {CREATE_LAST_REVISION}; INSERT INTO last_revision VALUES (1, 0); \
         PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
    );
    transaction.execute_batch(&script).map_err(open_failed)?;
    transaction.commit().map_err(open_failed)
}

/// The error for a database with another application's id.
pub(super) fn foreign_database(path: &Path, application: i32) -> OpenError {
    let why = format!(
        "it is a SQLite database of another application (id {application:#x}; a store has \
         {APPLICATION_ID:#x}); name a store file, or a file that does not exist yet"
    );
    open_error(path, &why)
}
