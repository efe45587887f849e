//! The [`Store`] that the host provides. This is the only file that uses `orders:state`.

use super::bindings::orders::state::store as host;
use crate::store::{Check, Direction, Entry, KeyRange, Outcome, Revision, Store, StoreError, Stored, Write};

/// The imported store.
pub(super) struct HostStore;

impl Store for HostStore {
    fn get(&self, keys: Vec<String>) -> Result<Vec<Option<Stored>>, StoreError> {
        let values = host::get(&keys)?;
        let stored = |stored: host::Stored| to_stored(stored.value, stored.revision);
        Ok(values.into_iter().map(|value| value.map(stored)).collect())
    }

    fn scan(&self, range: &KeyRange, limit: u32, direction: Direction) -> Result<Vec<Entry>, StoreError> {
        let order = match direction {
            Direction::Ascending => host::Order::Ascending,
            Direction::Descending => host::Order::Descending,
        };
        let entries = host::scan(&range.start, &range.end, limit, order)?;
        let entry =
            |entry: host::Entry| Entry { key: entry.key, stored: to_stored(entry.value, entry.revision) };
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

fn to_stored(value: Vec<u8>, revision: u64) -> Stored {
    Stored { value, revision: Revision(revision) }
}

impl From<host::Error> for StoreError {
    /// The repository makes only valid keys: an error that says otherwise is a failure of the store.
    fn from(error: host::Error) -> Self {
        match error {
            host::Error::TooLarge(cause) => Self::TooLarge(cause),
            host::Error::Unavailable(cause) | host::Error::InvalidKey(cause) => Self::Unavailable(cause),
        }
    }
}
