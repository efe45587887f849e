//! [`Store`] in the component's own memory: it lives as long as the instance, which most hosts make for one request.

use std::cell::RefCell;

use crate::store::{
    Check, Direction, Entry, KeyRange, Outcome, Store, StoreError, Stored, Write, memory::Records,
};

thread_local! {
    static RECORDS: RefCell<Records> = const { RefCell::new(Records::new()) };
}

/// The store of this instance.
pub(crate) struct LinearStore;

impl Store for LinearStore {
    fn get(&self, keys: Vec<String>) -> Result<Vec<Option<Stored>>, StoreError> {
        Ok(RECORDS.with_borrow(|records| records.get(&keys)))
    }

    fn scan(&self, range: &KeyRange, limit: u32, direction: Direction) -> Result<Vec<Entry>, StoreError> {
        Ok(RECORDS.with_borrow(|records| records.scan(range, limit, direction)))
    }

    fn commit(&self, checks: Vec<Check>, writes: Vec<Write>) -> Result<Outcome, StoreError> {
        Ok(RECORDS.with_borrow_mut(|records| records.commit(&checks, writes)))
    }
}
