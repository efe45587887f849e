//! [`Store`] as the host provides it: the only file that touches `orders:state`.

use crate::{
    bindings::orders::state::store as host,
    store::{Check, Direction, Entry, KeyRange, Outcome, Revision, Store, StoreError, Stored, Write},
};

/// The imported store.
pub(crate) struct HostStore;

impl Store for HostStore {
    fn get(&self, keys: Vec<String>) -> Result<Vec<Option<Stored>>, StoreError> {
        let found = host::get(&keys)?;
        Ok(found.into_iter().map(|found| found.map(|found| stored(found.value, found.revision))).collect())
    }

    fn scan(&self, range: &KeyRange, limit: u32, direction: Direction) -> Result<Vec<Entry>, StoreError> {
        let order = match direction {
            Direction::Ascending => host::Order::Ascending,
            Direction::Descending => host::Order::Descending,
        };
        let entries = host::scan(&range.start, &range.end, limit, order)?;
        let entry =
            |entry: host::Entry| Entry { key: entry.key, stored: stored(entry.value, entry.revision) };
        Ok(entries.into_iter().map(entry).collect())
    }

    fn commit(&self, checks: Vec<Check>, writes: Vec<Write>) -> Result<Outcome, StoreError> {
        let checks: Vec<_> = checks
            .into_iter()
            .map(|check| match check {
                Check::Absent(key) => host::Check::Absent(key),
                Check::AtRevision(key, revision) => host::Check::AtRevision((key, revision.0)),
            })
            .collect();
        let writes: Vec<_> = writes
            .into_iter()
            .map(|write| match write {
                Write::Put(key, value) => host::Write::Put((key, value)),
                Write::Delete(key) => host::Write::Delete(key),
            })
            .collect();
        Ok(match host::commit(&checks, &writes)? {
            host::Outcome::Committed(_) => Outcome::Committed,
            host::Outcome::Conflict(index) => Outcome::Conflict(usize::try_from(index).unwrap_or(usize::MAX)),
        })
    }
}

fn stored(value: Vec<u8>, revision: u64) -> Stored {
    Stored { value, revision: Revision(revision) }
}

impl From<host::Error> for StoreError {
    /// What the rules ask of the store lies within its bounds, so that any refusal is a failure.
    fn from(error: host::Error) -> Self {
        match error {
            host::Error::Unavailable(why) | host::Error::TooLarge(why) | host::Error::InvalidKey(why) => {
                Self(why)
            }
        }
    }
}
