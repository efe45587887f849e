//! What a store's file contains, how a new one gets it, and how any other is told from it.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::{
    refusal::{explain, refuse},
    sql::SELECT_LAST_REVISION,
};
use crate::store::backend::OpenError;

/// Marks a file as one of ours: "ORDS" in ASCII, which `file` shows. SQLite keeps it at byte 68.
const APPLICATION_ID: i32 = 0x4F52_4453;

/// The layout below. SQLite keeps it at byte 60 (`user_version`).
const SCHEMA_VERSION: i32 = 1;

/// Keys compare by BINARY, the default: bytewise on UTF-8, the default encoding.
const CREATE_ENTRIES: &str = "CREATE TABLE entries (\
    key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL, revision INTEGER NOT NULL) WITHOUT ROWID, STRICT";

/// Exactly one row.
const CREATE_LAST_REVISION: &str = "CREATE TABLE last_revision (\
    only INTEGER PRIMARY KEY CHECK (only = 1), revision INTEGER NOT NULL) STRICT";

/// What a connection sees.
#[derive(PartialEq, Eq)]
pub(super) enum Found {
    /// A database in which nobody has made anything yet.
    Nothing,
    /// A store of the version that this binary knows.
    Ours,
}

/// Tells a store of ours from nothing, and refuses everything else. Reads only.
pub(super) fn judge(connection: &Connection, path: &Path) -> Result<Found, OpenError> {
    let found = judge_header(connection, path)?;
    if found == Found::Ours {
        judge_tables(connection, path)?;
    }
    Ok(found)
}

/// What the first page says: whose database it is, and in which version.
pub(super) fn judge_header(connection: &Connection, path: &Path) -> Result<Found, OpenError> {
    let number = |pragma: &str| {
        connection
            .pragma_query_value(None, pragma, |row| row.get::<_, i32>(0))
            .map_err(|error| explain(path, &error))
    };
    let application = number("application_id")?;
    // A write transaction on an empty file sees its first page, as does this one in `create`.
    if application == 0 && number("page_count")? <= 1 && number("schema_version")? == 0 {
        return Ok(Found::Nothing);
    }
    if application != APPLICATION_ID {
        return Err(refuse_foreign(path, application));
    }
    let version = number("user_version")?;
    if version != SCHEMA_VERSION {
        let why = format!(
            "it has schema version {version}, this binary knows version {SCHEMA_VERSION}; run a binary \
             that knows it"
        );
        return Err(refuse(path, &why));
    }
    Ok(Found::Ours)
}

/// What the other pages say: whether the tables are those of the version.
pub(super) fn judge_tables(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    if has_tables(connection).map_err(|error| explain(path, &error))? {
        return Ok(());
    }
    let why = format!("its tables are not those of schema version {SCHEMA_VERSION}; restore it from a copy");
    Err(refuse(path, &why))
}

/// Whether both tables are as they were made and the last revision is there.
fn has_tables(connection: &Connection) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare("SELECT sql FROM sqlite_schema WHERE type = 'table'")?;
    let tables = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    if ![CREATE_ENTRIES, CREATE_LAST_REVISION].iter().all(|wanted| tables.iter().any(|sql| sql == wanted)) {
        return Ok(false);
    }
    let revisions = connection
        .prepare(SELECT_LAST_REVISION)?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    Ok(revisions.len() == 1)
}

/// Makes the tables, in one transaction, unless another process was quicker.
pub(super) fn create(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let explain = |error| explain(path, &error);
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(explain)?;
    if judge(&transaction, path)? == Found::Ours {
        return Ok(());
    }
    let script = format!(
        "{CREATE_ENTRIES}; {CREATE_LAST_REVISION}; INSERT INTO last_revision VALUES (1, 0); \
         PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
    );
    transaction.execute_batch(&script).map_err(explain)?;
    transaction.commit().map_err(explain)
}

/// Refuses a database that has this application id.
pub(super) fn refuse_foreign(path: &Path, application: i32) -> OpenError {
    let why = format!(
        "it is a SQLite database of another application (id {application:#x}, a store has \
         {APPLICATION_ID:#x}); name a store's file, or one that does not exist yet"
    );
    refuse(path, &why)
}
