//! The host's own store, called from blocking handlers.

use std::sync::Arc;

use orders_guest::store::{
    Check, Direction, Entry, KeyRange, Outcome, Revision, Store, StoreError, Stored, Write,
};
use orders_host::{
    config::StoreLocation,
    store::{self as host, OpenError},
};
use tokio::runtime::Handle;

/// A store of the host. Call it on blocking threads only.
pub(crate) struct DurableStore {
    store: Arc<dyn host::Store>,
    runtime: Handle,
}

impl DurableStore {
    /// Opens the store. Later calls wait on the current runtime.
    pub(crate) async fn open(location: &StoreLocation) -> Result<Self, OpenError> {
        Ok(Self { store: host::open(location).await?, runtime: Handle::current() })
    }
}

impl Store for DurableStore {
    fn get(&self, keys: Vec<String>) -> Result<Vec<Option<Stored>>, StoreError> {
        let keys = keys.into_iter().map(host::Key::try_from).collect::<Result<_, _>>().map_err(failed)?;
        let found = self.runtime.block_on(self.store.get(keys)).map_err(failed)?;
        Ok(found.into_iter().map(|found| found.map(stored)).collect())
    }

    fn scan(&self, range: &KeyRange, limit: u32, direction: Direction) -> Result<Vec<Entry>, StoreError> {
        let order = match direction {
            Direction::Ascending => host::Order::Ascending,
            Direction::Descending => host::Order::Descending,
        };
        let (start, end) = (key(range.start.clone())?, key(range.end.clone())?);
        let scan = host::Scan::new(start, end, limit, order).map_err(failed)?;
        let entries = self.runtime.block_on(self.store.scan(scan)).map_err(failed)?;
        let entry = |entry: host::Entry| Entry { key: entry.key.into_string(), stored: stored(entry.stored) };
        Ok(entries.into_iter().map(entry).collect())
    }

    fn commit(&self, checks: Vec<Check>, writes: Vec<Write>) -> Result<Outcome, StoreError> {
        let checks = checks.into_iter().map(check).collect::<Result<_, _>>()?;
        let writes = writes.into_iter().map(write).collect::<Result<_, _>>()?;
        let commit = host::Commit::new(checks, writes).map_err(failed)?;
        Ok(match self.runtime.block_on(self.store.commit(commit)).map_err(failed)? {
            host::Outcome::Committed(_) => Outcome::Committed,
            host::Outcome::Conflict(index) => Outcome::Conflict(index),
        })
    }
}

fn key(key: String) -> Result<host::Key, StoreError> {
    key.try_into().map_err(failed)
}

fn check(check: Check) -> Result<host::Check, StoreError> {
    Ok(match check {
        Check::Absent(name) => host::Check::Absent(key(name)?),
        Check::AtRevision(name, revision) => host::Check::AtRevision(key(name)?, host::Revision(revision.0)),
    })
}

fn write(write: Write) -> Result<host::Write, StoreError> {
    Ok(match write {
        Write::Put(name, value) => host::Write::Put(key(name)?, value.try_into().map_err(failed)?),
        Write::Delete(name) => host::Write::Delete(key(name)?),
    })
}

fn stored(stored: host::Stored) -> Stored {
    Stored { value: stored.value.into_bytes(), revision: Revision(stored.revision.0) }
}

fn failed(error: host::StoreError) -> StoreError {
    use host::StoreError::{InvalidKey, TooLarge, Unavailable};
    match error {
        Unavailable(why) => StoreError::Unavailable(why.to_string()),
        TooLarge(why) => StoreError::TooLarge(why),
        InvalidKey(why) => StoreError::Unavailable(why),
    }
}
