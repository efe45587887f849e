//! The orders in a map of this process.

use std::sync::{PoisonError, RwLock};

use orders_guest::store::{
    Check, Direction, Entry, KeyRange, Outcome, Store, StoreError, Stored, Write, memory::Records,
};

/// One map behind one lock. The lock is held briefly: keys and values are allocated before and freed after.
#[derive(Default)]
pub(crate) struct MemoryStore(RwLock<Records>);

// A poisoned lock is used all the same: after a panic the measurement is void, but the run ends normally.
impl Store for MemoryStore {
    fn get(&self, keys: Vec<String>) -> Result<Vec<Option<Stored>>, StoreError> {
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).get(&keys))
    }

    fn scan(&self, range: &KeyRange, limit: u32, direction: Direction) -> Result<Vec<Entry>, StoreError> {
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).scan(range, limit, direction))
    }

    fn commit(&self, checks: Vec<Check>, writes: Vec<Write>) -> Result<Outcome, StoreError> {
        Ok(self.0.write().unwrap_or_else(PoisonError::into_inner).commit(&checks, writes))
    }
}
