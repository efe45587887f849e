//! Applies commits in one transaction.

use rusqlite::{Connection, OptionalExtension, params};

use super::sql::{
    Begin, SELECT_LAST_REVISION, Transaction, foreign_commits, revision_from_column, revision_to_column,
};
use crate::store::contract::{Check, Commit, Outcome, Revision, StoreError, Write};

const SELECT_REVISION: &str = "SELECT revision FROM entries WHERE key = ?1";
const PUT: &str = "INSERT INTO entries (key, value, revision) VALUES (?1, ?2, ?3) \
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision";
const DELETE: &str = "DELETE FROM entries WHERE key = ?1";
const UPDATE_LAST_REVISION: &str = "UPDATE last_revision SET revision = ?1";

/// Applies all commits, in order, in one transaction, and sets `foreign` to the [`foreign_commits`] before it. Any error rolls back
/// all of them.
pub(super) fn commit_all<'a>(
    connection: &Connection,
    commits: impl Iterator<Item = &'a Commit>,
    foreign: &mut Option<i64>,
) -> Result<Vec<Outcome>, StoreError> {
    let transaction = Transaction::begin(connection, Begin::Write)?;
    *foreign = foreign_commits(connection);
    let before: i64 = connection.prepare_cached(SELECT_LAST_REVISION)?.query_one([], |row| row.get(0))?;
    let before = revision_from_column(before)?;
    let mut last = before;
    let outcomes =
        commits.map(|commit| apply(connection, commit, &mut last)).collect::<Result<Vec<_>, _>>()?;
    if last != before {
        connection.prepare_cached(UPDATE_LAST_REVISION)?.execute([revision_to_column(last)?])?;
    }
    transaction.commit()?;
    Ok(outcomes)
}

/// Applies one commit on top of the earlier ones in the connection's transaction.
fn apply(connection: &Connection, commit: &Commit, last: &mut Revision) -> Result<Outcome, StoreError> {
    for (index, check) in commit.checks.iter().enumerate() {
        if !holds(connection, check)? {
            return Ok(Outcome::Conflict(index));
        }
    }
    let revision = Revision(last.0.checked_add(1).ok_or_else(StoreError::out_of_revisions)?);
    let column = revision_to_column(revision)?;
    for write in &commit.writes {
        match write {
            Write::Put(key, value) => {
                connection.prepare_cached(PUT)?.execute(params![key.as_str(), value.as_bytes(), column])?
            }
            Write::Delete(key) => connection.prepare_cached(DELETE)?.execute([key.as_str()])?,
        };
    }
    *last = revision;
    Ok(Outcome::Committed(revision))
}

fn holds(connection: &Connection, check: &Check) -> Result<bool, StoreError> {
    let found: Option<i64> = connection
        .prepare_cached(SELECT_REVISION)?
        .query_one([check.key().as_str()], |row| row.get(0))
        .optional()?;
    Ok(check.holds(found.map(revision_from_column).transpose()?))
}

/// Checks that there is room for `bytes` on the disk, and returns them: a store whose last commits were refused may still have
/// room for less than the next ones need. The table exists only meanwhile, or until the next check if this one fails half way.
pub(super) fn check_room(connection: &Connection, bytes: usize) -> rusqlite::Result<()> {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let transaction = Transaction::begin(connection, Begin::Write)?;
    connection.execute_batch("DROP TABLE IF EXISTS room; CREATE TABLE room (filler BLOB) STRICT")?;
    connection.execute("INSERT INTO room VALUES (zeroblob(?1))", [bytes])?;
    transaction.commit()?;
    // A transaction of its own: SQLite does not write pages that the same transaction releases again.
    connection.execute_batch("DROP TABLE room")
}
