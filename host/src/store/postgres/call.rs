//! The call of the procedure that makes commits.

use std::collections::HashSet;

use tokio_postgres::types::ToSql;

use super::{reads, session::Session, words};
use crate::store::contract::{Check, Commit, Key, Outcome, Revision, StoreError, Write};

/// Commits as the procedure takes them: each item with the number of its commit, from 1.
#[derive(Default)]
struct Arguments<'a> {
    check_of: Vec<i32>,
    check_key: Vec<&'a [u8]>,
    check_revision: Vec<Option<i64>>,
    put_of: Vec<i32>,
    put_key: Vec<&'a [u8]>,
    put_value: Vec<&'a [u8]>,
    delete_of: Vec<i32>,
    delete_key: Vec<&'a [u8]>,
}

impl<'a> Arguments<'a> {
    fn of(commits: &[&'a Commit]) -> Self {
        let mut arguments = Self::default();
        for (number, commit) in (1..).zip(commits) {
            for check in &commit.checks {
                arguments.check_of.push(number);
                arguments.check_key.push(reads::bytes(check.key()));
                arguments.check_revision.push(match check {
                    Check::Absent(_) => None,
                    // Beyond what a column can hold there is no revision, and none is negative.
                    Check::AtRevision(_, revision) => Some(i64::try_from(revision.0).unwrap_or(-1)),
                });
            }
            // The last write to a key wins: the others are left out.
            let mut written = HashSet::with_capacity(commit.writes.len());
            for write in commit.writes.iter().rev().filter(|write| written.insert(written_key(write))) {
                match write {
                    Write::Put(key, value) => {
                        arguments.put_of.push(number);
                        arguments.put_key.push(reads::bytes(key));
                        arguments.put_value.push(value.as_bytes());
                    }
                    Write::Delete(key) => {
                        arguments.delete_of.push(number);
                        arguments.delete_key.push(reads::bytes(key));
                    }
                }
            }
        }
        arguments
    }
}

/// Has the server make commits that touch different keys. One round trip.
pub(super) async fn call(session: &Session, commits: &[&Commit]) -> Result<Vec<Outcome>, StoreError> {
    let count = i32::try_from(commits.len()).unwrap_or(i32::MAX);
    let arguments = Arguments::of(commits);
    let Arguments { check_of, check_key, check_revision, put_of, put_key, put_value, delete_of, delete_key } =
        &arguments;
    let parameters: [&(dyn ToSql + Sync); 9] =
        [&count, check_of, check_key, check_revision, put_of, put_key, put_value, delete_of, delete_key];
    let answered = session.client.query_one(&session.statements.commit, &parameters).await;
    let row = answered.inspect_err(|error| {
        if words::is_lost_primary(error) {
            session.give_up();
        }
    })?;
    let outcomes: Vec<i64> = row.try_get(0)?;
    let unexpected = || StoreError::Unavailable("the commit's outcome cannot be understood".to_owned());
    if outcomes.len() != commits.len() {
        return Err(unexpected());
    }
    let mut checks_before = 0;
    let mut read = Vec::with_capacity(commits.len());
    for (commit, outcome) in commits.iter().zip(outcomes) {
        read.push(if outcome > 0 {
            Outcome::Committed(Revision(outcome.unsigned_abs()))
        } else {
            // The place, from 1, of the first check that failed, among the checks of all commits.
            let place = usize::try_from(outcome.unsigned_abs()).map_err(|_| unexpected())?;
            let index = place.checked_sub(checks_before + 1).filter(|index| *index < commit.checks.len());
            Outcome::Conflict(index.ok_or_else(unexpected)?)
        });
        checks_before += commit.checks.len();
    }
    Ok(read)
}

/// The key that a write changes.
pub(super) fn written_key(write: &Write) -> &Key {
    match write {
        Write::Put(key, _) | Write::Delete(key) => key,
    }
}
