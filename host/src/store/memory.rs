//! A map in this process: nothing outlives it.

use std::{
    collections::{BTreeMap, btree_map::IntoIter},
    iter::Peekable,
    ops::Bound,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use async_trait::async_trait;

use super::{
    backend::Store,
    contract::{
        Check, Commit, Entry, Key, Order, Outcome, Revision, Scan, StoreError, Stored, Write,
        check_key_count, check_transfer,
    },
    snapshot::{MAX_PAGE_ENTRIES, Page, Snapshot},
};

/// A store for tests and benchmarks. Every call is done before its future first yields.
#[derive(Default)]
pub(super) struct MemoryStore {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<Key, Stored>,
    /// The last commit's revision; 0 before the first.
    revision: u64,
    closed: bool,
}

impl MemoryStore {
    // A poisoned lock is taken all the same: `State` is only changed by steps that cannot panic half-way.
    fn read(&self) -> Result<RwLockReadGuard<'_, State>, StoreError> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(StoreError::closed()) } else { Ok(state) }
    }

    fn write(&self) -> Result<RwLockWriteGuard<'_, State>, StoreError> {
        let state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(StoreError::closed()) } else { Ok(state) }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, keys: Vec<Key>) -> Result<Vec<Option<Stored>>, StoreError> {
        check_key_count(keys.len())?;
        let state = self.read()?;
        let mut bytes = 0;
        let mut found = Vec::with_capacity(keys.len());
        for key in &keys {
            let stored = state.entries.get(key);
            bytes += stored.map_or(0, |stored| stored.value.as_bytes().len());
            check_transfer(bytes)?;
            found.push(stored.cloned());
        }
        Ok(found)
    }

    async fn scan(&self, scan: Scan) -> Result<Vec<Entry>, StoreError> {
        let state = self.read()?;
        // `BTreeMap::range` panics where the start lies above the end.
        if scan.start >= scan.end {
            return Ok(Vec::new());
        }
        let range = state.entries.range((Bound::Included(&scan.start), Bound::Excluded(&scan.end)));
        match scan.order {
            Order::Ascending => collect(range, scan.limit),
            Order::Descending => collect(range.rev(), scan.limit),
        }
    }

    async fn commit(&self, commit: Commit) -> Result<Outcome, StoreError> {
        self.write()?.commit(commit)
    }

    async fn snapshot(&self, after: Option<Key>) -> Result<Box<dyn Snapshot>, StoreError> {
        let entries = self.read()?.entries.clone();
        let count = u64::try_from(entries.len()).ok();
        Ok(Box::new(Copied { entries: entries.into_iter().peekable(), after, count }))
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.read().map(drop)
    }

    async fn close(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        state.entries.clear();
    }
}

/// A snapshot is a copy: this store is for tests and benchmarks.
struct Copied {
    entries: Peekable<IntoIter<Key, Stored>>,
    after: Option<Key>,
    count: Option<u64>,
}

#[async_trait]
impl Snapshot for Copied {
    async fn count(&mut self) -> Result<Option<u64>, StoreError> {
        Ok(self.count)
    }

    async fn next(&mut self) -> Result<Vec<Entry>, StoreError> {
        let mut page = Page::default();
        while self.entries.next_if(|(key, _)| self.after.as_ref().is_some_and(|after| key <= after)).is_some()
        {
        }
        for _ in 0..MAX_PAGE_ENTRIES {
            let Some((key, stored)) = self.entries.next() else { break };
            if !page.add(Entry { key, stored }) {
                break;
            }
        }
        Ok(page.into_entries())
    }
}

impl State {
    fn commit(&mut self, commit: Commit) -> Result<Outcome, StoreError> {
        let first_failing = commit.checks.iter().position(|check| !self.holds(check));
        if let Some(index) = first_failing {
            return Ok(Outcome::Conflict(index));
        }
        let revision = self.revision.checked_add(1).ok_or_else(StoreError::out_of_revisions)?;
        self.revision = revision;
        let revision = Revision(revision);
        for write in commit.writes {
            match write {
                Write::Put(key, value) => {
                    self.entries.insert(key, Stored { value, revision });
                }
                Write::Delete(key) => {
                    self.entries.remove(&key);
                }
            }
        }
        Ok(Outcome::Committed(revision))
    }

    fn holds(&self, check: &Check) -> bool {
        check.holds(self.entries.get(check.key()).map(|stored| stored.revision))
    }
}

fn collect<'a>(
    range: impl Iterator<Item = (&'a Key, &'a Stored)>,
    limit: u32,
) -> Result<Vec<Entry>, StoreError> {
    let mut bytes = 0;
    let mut entries = Vec::new();
    // `zip` with the limit counts in u32: no conversion to a length.
    for (_, (key, stored)) in (0..limit).zip(range) {
        bytes += key.as_str().len() + stored.value.as_bytes().len();
        check_transfer(bytes)?;
        entries.push(Entry { key: key.clone(), stored: stored.clone() });
    }
    Ok(entries)
}
