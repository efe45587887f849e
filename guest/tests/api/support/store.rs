//! The store that the tests run the component with.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use orders_guest::store::{
    Check, Direction, Entry, KeyRange, Outcome, Revision, Store, StoreError, Stored, Write,
};

/// Keeps to the contract of `orders:state/store`, in memory. Can be told to fail, and to let another request be
/// first.
#[derive(Default)]
pub(crate) struct MemoryStore {
    pub(crate) records: RefCell<BTreeMap<String, Stored>>,
    /// Why every call fails, if it does.
    pub(crate) failure: RefCell<Option<String>>,
    /// Counts the calls: get, scan, commit.
    pub(crate) calls: Cell<[u32; 3]>,
    conflicts: Cell<u32>,
    interference: RefCell<Vec<Interference>>,
    revision: Cell<u64>,
}

/// What another request does just before a commit.
type Interference = Box<dyn FnOnce(&MemoryStore)>;

impl MemoryStore {
    /// Has something happen just before a commit: the first of those noted before the next one, and so on.
    pub(crate) fn before_commit(&self, interference: impl FnOnce(&Self) + 'static) {
        self.interference.borrow_mut().insert(0, Box::new(interference));
    }

    /// Has a commit fail its second check.
    pub(crate) fn conflict_once(&self) {
        self.conflicts.set(self.conflicts.get() + 1);
    }

    /// The keys that begin so.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        self.records.borrow().keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    /// The values under the keys that begin so.
    pub(crate) fn values(&self, prefix: &str) -> Vec<Vec<u8>> {
        let records = self.records.borrow();
        records
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .map(|(_, stored)| stored.value.clone())
            .collect()
    }

    /// Rewrites the values under the keys that begin so.
    pub(crate) fn rewrite(&self, prefix: &str, change: impl Fn(&str) -> String) {
        self.revision.set(self.revision.get() + 1);
        for (_, stored) in self.records.borrow_mut().iter_mut().filter(|(key, _)| key.starts_with(prefix)) {
            stored.value = change(std::str::from_utf8(&stored.value).unwrap()).into_bytes();
            stored.revision = Revision(self.revision.get());
        }
    }

    fn called(&self, which: usize) -> Result<(), StoreError> {
        let mut calls = self.calls.get();
        calls[which] += 1;
        self.calls.set(calls);
        self.failure.borrow().clone().map_or(Ok(()), |why| Err(StoreError(why)))
    }
}

fn check_key(key: &str) {
    assert!((1..=512).contains(&key.len()), "a key has 1…512 bytes: {key}");
}

fn check_transfer(bytes: usize) {
    assert!(bytes <= 8 << 20, "a call carries at most 8 MiB");
}

impl Store for MemoryStore {
    fn get(&self, keys: Vec<String>) -> Result<Vec<Option<Stored>>, StoreError> {
        self.called(0)?;
        assert!(keys.len() <= 256, "get takes at most 256 keys");
        keys.iter().for_each(|key| check_key(key));
        let records = self.records.borrow();
        let found: Vec<_> = keys.iter().map(|key| records.get(key).cloned()).collect();
        check_transfer(found.iter().flatten().map(|stored| stored.value.len()).sum());
        Ok(found)
    }

    fn scan(&self, range: &KeyRange, limit: u32, direction: Direction) -> Result<Vec<Entry>, StoreError> {
        self.called(1)?;
        assert!((1..=1000).contains(&limit), "scan takes a limit of 1…1000");
        check_key(&range.start);
        check_key(&range.end);
        if range.start >= range.end {
            return Ok(Vec::new());
        }
        let records = self.records.borrow();
        let entries = records.range(range.start.clone()..range.end.clone());
        let entry = |(key, stored): (&String, &Stored)| Entry { key: key.clone(), stored: stored.clone() };
        let limit = usize::try_from(limit).unwrap();
        let entries: Vec<_> = match direction {
            Direction::Ascending => entries.take(limit).map(entry).collect(),
            Direction::Descending => entries.rev().take(limit).map(entry).collect(),
        };
        check_transfer(entries.iter().map(|entry| entry.key.len() + entry.stored.value.len()).sum());
        Ok(entries)
    }

    fn commit(&self, checks: Vec<Check>, writes: Vec<Write>) -> Result<Outcome, StoreError> {
        let interference = self.interference.borrow_mut().pop();
        if let Some(interference) = interference {
            interference(self);
        }
        self.called(2)?;
        if let Some(left) = self.conflicts.get().checked_sub(1) {
            self.conflicts.set(left);
            return Ok(Outcome::Conflict(1));
        }
        assert!(checks.len() + writes.len() <= 256, "commit takes at most 256 checks and writes");
        let mut records = self.records.borrow_mut();
        for (index, check) in checks.iter().enumerate() {
            let holds = match check {
                Check::Absent(key) => !records.contains_key(key),
                Check::AtRevision(key, revision) => {
                    records.get(key).is_some_and(|stored| stored.revision == *revision)
                }
            };
            if !holds {
                return Ok(Outcome::Conflict(index));
            }
        }
        self.revision.set(self.revision.get() + 1);
        for write in writes {
            match write {
                Write::Put(key, value) => {
                    check_key(&key);
                    assert!(value.len() <= 1 << 20, "a value has at most 1 MiB");
                    records.insert(key, Stored { value, revision: Revision(self.revision.get()) });
                }
                Write::Delete(key) => _ = records.remove(&key),
            }
        }
        Ok(Outcome::Committed)
    }
}
