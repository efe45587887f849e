//! Applies commits in one transaction.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::sql::{SELECT_LAST_REVISION, revision_from_column, revision_to_column};
use crate::store::contract::{Check, Commit, Outcome, Revision, StoreError, Write};

const SELECT_REVISION: &str = "SELECT revision FROM entries WHERE key = ?1";
const PUT: &str = "INSERT INTO entries (key, value, revision) VALUES (?1, ?2, ?3) \
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision";
const DELETE: &str = "DELETE FROM entries WHERE key = ?1";
const UPDATE_LAST_REVISION: &str = "UPDATE last_revision SET revision = ?1";

/// Applies all commits, in order, in one transaction. Any error rolls back all of them.
pub(super) fn commit_all<'a>(
    connection: &mut Connection,
    commits: impl Iterator<Item = &'a Commit>,
) -> Result<Vec<Outcome>, StoreError> {
    // Dropping the transaction rolls it back, also after a failed COMMIT.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before: i64 = transaction.prepare_cached(SELECT_LAST_REVISION)?.query_one([], |row| row.get(0))?;
    let before = revision_from_column(before)?;
    let mut last = before;
    let outcomes =
        commits.map(|commit| apply(&transaction, commit, &mut last)).collect::<Result<Vec<_>, _>>()?;
    if last != before {
        transaction.prepare_cached(UPDATE_LAST_REVISION)?.execute([revision_to_column(last)?])?;
    }
    transaction.commit()?;
    Ok(outcomes)
}

/// Applies one commit on top of the earlier ones in the transaction.
fn apply(transaction: &Transaction<'_>, commit: &Commit, last: &mut Revision) -> Result<Outcome, StoreError> {
    for (index, check) in commit.checks.iter().enumerate() {
        if !holds(transaction, check)? {
            return Ok(Outcome::Conflict(index));
        }
    }
    let revision = Revision(last.0.checked_add(1).ok_or_else(StoreError::out_of_revisions)?);
    let column = revision_to_column(revision)?;
    for write in &commit.writes {
        match write {
            Write::Put(key, value) => {
                transaction.prepare_cached(PUT)?.execute(params![key.as_str(), value.as_bytes(), column])?
            }
            Write::Delete(key) => transaction.prepare_cached(DELETE)?.execute([key.as_str()])?,
        };
    }
    *last = revision;
    Ok(Outcome::Committed(revision))
}

fn holds(transaction: &Transaction<'_>, check: &Check) -> Result<bool, StoreError> {
    let found: Option<i64> = transaction
        .prepare_cached(SELECT_REVISION)?
        .query_one([check.key().as_str()], |row| row.get(0))
        .optional()?;
    Ok(check.holds(found.map(revision_from_column).transpose()?))
}
