//! Calls the procedure that commits.

use std::collections::HashSet;

use tokio_postgres::types::ToSql;

use super::{errors, reads::key_bytes, session::Session};
use crate::store::contract::{Check, Commit, Key, Outcome, Revision, StoreError, Write};

/// The commits as arguments of the procedure: each item with the number of its commit, from 1.
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
    fn from_commits(commits: &[&'a Commit]) -> Self {
        let mut arguments = Self::default();
        for (number, commit) in (1..).zip(commits) {
            for check in &commit.checks {
                arguments.check_of.push(number);
                arguments.check_key.push(key_bytes(check.key()));
                arguments.check_revision.push(match check {
                    Check::Absent(_) => None,
                    // No revision is negative, so −1 stands for one that no column can contain.
                    Check::AtRevision(_, revision) => Some(i64::try_from(revision.0).unwrap_or(-1)),
                });
            }
            // The last write to a key wins; earlier ones are omitted.
            let mut written = HashSet::with_capacity(commit.writes.len());
            for write in commit.writes.iter().rev().filter(|write| written.insert(written_key(write))) {
                match write {
                    Write::Put(key, value) => {
                        arguments.put_of.push(number);
                        arguments.put_key.push(key_bytes(key));
                        arguments.put_value.push(value.as_bytes());
                    }
                    Write::Delete(key) => {
                        arguments.delete_of.push(number);
                        arguments.delete_key.push(key_bytes(key));
                    }
                }
            }
        }
        arguments
    }
}

/// Commits on the server, in one round trip. The commits must touch different keys.
///
/// # Errors
///
/// [`StoreError::Unavailable`]: the fate of the commits is unknown, also if the server warned about them. A server whose wait
/// for its standbys was cancelled reports success, and warns that it might be alone with the commit.
pub(super) async fn commit_all(session: &Session, commits: &[&Commit]) -> Result<Vec<Outcome>, StoreError> {
    let count = i32::try_from(commits.len()).unwrap_or(i32::MAX);
    let arguments = Arguments::from_commits(commits);
    let Arguments { check_of, check_key, check_revision, put_of, put_key, put_value, delete_of, delete_key } =
        &arguments;
    let parameters: [&(dyn ToSql + Sync); 9] =
        [&count, check_of, check_key, check_revision, put_of, put_key, put_value, delete_of, delete_key];
    let doubts = session.doubts();
    let result = session.client.query_one(&session.statements.commit, &parameters).await;
    let row = result.inspect_err(|error| {
        if errors::is_read_only(error) {
            session.abandon();
        }
    })?;
    if session.doubts() != doubts {
        return Err(StoreError::unavailable("the server cannot say that the commit is replicated"));
    }
    let outcomes: Vec<i64> = row.try_get(0)?;
    let unexpected = || StoreError::unavailable("the server returned an unexpected commit outcome");
    if outcomes.len() != commits.len() {
        return Err(unexpected());
    }
    let mut checks_before = 0;
    let mut parsed = Vec::with_capacity(commits.len());
    for (commit, outcome) in commits.iter().zip(outcomes) {
        parsed.push(if outcome > 0 {
            Outcome::Committed(Revision(outcome.unsigned_abs()))
        } else {
            // The position, from 1, of the first check that failed, among the checks of all commits.
            let position = usize::try_from(outcome.unsigned_abs()).map_err(|_| unexpected())?;
            let index = position.checked_sub(checks_before + 1).filter(|index| *index < commit.checks.len());
            Outcome::Conflict(index.ok_or_else(unexpected)?)
        });
        checks_before += commit.checks.len();
    }
    Ok(parsed)
}

/// Returns the key that a write changes.
pub(super) fn written_key(write: &Write) -> &Key {
    match write {
        Write::Put(key, _) | Write::Delete(key) => key,
    }
}
