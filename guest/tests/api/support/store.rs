//! The store that the tests use.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use orders_guest::store::{
    Check, Direction, Entry, KeyRange, Outcome, Revision, Store, StoreError, Stored, Write,
};

/// An in-memory store that checks the contract of `orders:state/store`. It can fail on request, and it can simulate another
/// request that commits first.
#[derive(Default)]
pub(crate) struct MemoryStore {
    pub(crate) records: RefCell<BTreeMap<String, Stored>>,
    /// If set, every call fails with this text.
    pub(crate) failure: RefCell<Option<String>>,
    /// The numbers of calls of get, scan and commit.
    pub(crate) calls: Cell<[u32; 3]>,
    /// The bytes of keys and values that get and scan returned.
    pub(crate) bytes_read: Cell<usize>,
    /// The keys that were removed. A database keeps them while a transaction is open that began before.
    removed: RefCell<BTreeSet<String>>,
    /// The removed keys that scans have passed over.
    pub(crate) passed_over: Cell<usize>,
    conflicts: Cell<u32>,
    interference: RefCell<Vec<Interference>>,
    revision: Cell<u64>,
}

/// What another request does immediately before a commit.
type Interference = Box<dyn FnOnce(&MemoryStore)>;

impl MemoryStore {
    /// Runs `interference` immediately before the next commit. Each commit runs one, in the order in which they were added.
    pub(crate) fn before_commit(&self, interference: impl FnOnce(&Self) + 'static) {
        self.interference.borrow_mut().insert(0, Box::new(interference));
    }

    /// Makes one more commit fail with a conflict at its second check.
    pub(crate) fn conflict_once(&self) {
        self.conflicts.set(self.conflicts.get() + 1);
    }

    /// The keys with this prefix.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        self.records.borrow().keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    /// The values of the keys with this prefix.
    pub(crate) fn values(&self, prefix: &str) -> Vec<Vec<u8>> {
        let records = self.records.borrow();
        records
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .map(|(_, stored)| stored.value.clone())
            .collect()
    }

    /// Stores a value, as another version might.
    pub(crate) fn put(&self, key: &str, value: impl Into<Vec<u8>>) {
        self.revision.set(self.revision.get() + 1);
        let stored = Stored { value: value.into(), revision: Revision(self.revision.get()) };
        self.records.borrow_mut().insert(key.to_owned(), stored);
    }

    /// Rewrites the values of the keys with this prefix.
    pub(crate) fn rewrite(&self, prefix: &str, change: impl Fn(&str) -> String) {
        self.revision.set(self.revision.get() + 1);
        for (_, stored) in self.records.borrow_mut().iter_mut().filter(|(key, _)| key.starts_with(prefix)) {
            stored.value = change(std::str::from_utf8(&stored.value).unwrap()).into_bytes();
            stored.revision = Revision(self.revision.get());
        }
    }

    /// Counts a call, and fails if the store is set to fail.
    fn record_call(&self, which: usize) -> Result<(), StoreError> {
        let mut calls = self.calls.get();
        calls[which] += 1;
        self.calls.set(calls);
        self.failure.borrow().clone().map_or(Ok(()), |cause| Err(StoreError::Unavailable(cause)))
    }

    /// Counts the bytes that a call returns.
    fn record_read(&self, bytes: usize) -> Result<(), StoreError> {
        if bytes > 8 << 20 {
            return Err(StoreError::TooLarge("a call transfers at most 8 MiB".to_owned()));
        }
        self.bytes_read.set(self.bytes_read.get() + bytes);
        Ok(())
    }
}

fn check_key(key: &str) {
    assert!((1..=512).contains(&key.len()), "a key has 1…512 bytes: {key}");
}

impl Store for MemoryStore {
    fn get(&self, keys: Vec<String>) -> Result<Vec<Option<Stored>>, StoreError> {
        self.record_call(0)?;
        assert!(keys.len() <= 256, "get accepts at most 256 keys");
        keys.iter().for_each(|key| check_key(key));
        let records = self.records.borrow();
        let found: Vec<_> = keys.iter().map(|key| records.get(key).cloned()).collect();
        self.record_read(found.iter().flatten().map(|stored| stored.value.len()).sum())?;
        Ok(found)
    }

    fn scan(&self, range: &KeyRange, limit: u32, direction: Direction) -> Result<Vec<Entry>, StoreError> {
        self.record_call(1)?;
        assert!((1..=1000).contains(&limit), "scan accepts a limit of 1…1000");
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
        self.record_read(entries.iter().map(|entry| entry.key.len() + entry.stored.value.len()).sum())?;
        let (mut first, mut end) = (range.start.clone(), range.end.clone());
        if let Some(last) = entries.last().filter(|_| entries.len() == limit).map(|entry| entry.key.clone()) {
            match direction {
                Direction::Ascending => end = last,
                Direction::Descending => first = last,
            }
        }
        let passed = self.removed.borrow().range(first..end).count();
        self.passed_over.set(self.passed_over.get() + passed);
        Ok(entries)
    }

    fn commit(&self, checks: Vec<Check>, writes: Vec<Write>) -> Result<Outcome, StoreError> {
        let interference = self.interference.borrow_mut().pop();
        if let Some(interference) = interference {
            interference(self);
        }
        self.record_call(2)?;
        if let Some(left) = self.conflicts.get().checked_sub(1) {
            self.conflicts.set(left);
            return Ok(Outcome::Conflict(1));
        }
        assert!(checks.len() + writes.len() <= 256, "commit accepts at most 256 checks and writes");
        let puts = writes.iter().filter_map(|write| match write {
            Write::Put(_, value) => Some(value.len()),
            Write::Delete(_) => None,
        });
        if puts.max() > Some(1 << 20) {
            return Err(StoreError::TooLarge("a value has at most 1 MiB".to_owned()));
        }
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
                    records.insert(key, Stored { value, revision: Revision(self.revision.get()) });
                }
                Write::Delete(key) => {
                    records.remove(&key);
                    self.removed.borrow_mut().insert(key);
                }
            }
        }
        Ok(Outcome::Committed)
    }
}
