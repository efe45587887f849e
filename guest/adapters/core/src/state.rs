//! The stored state in memory: an ordered map and the revision of the last commit.

use std::collections::{BTreeMap, btree_map};

use crate::contract::{
    Check, Entry, Error, Order, Outcome, Scan, Store, Stored, Write, check_commit, check_get, check_scan,
    check_transfer,
};

/// An ordered map with revisions. Used directly as a [`Store`], it lives as long as the instance.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct State {
    entries: BTreeMap<String, Stored>,
    revision: u64,
}

impl State {
    /// Creates an empty state.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: BTreeMap::new(), revision: 0 }
    }

    /// Restores the state of a checkpoint.
    pub(crate) fn from_checkpoint(entries: BTreeMap<String, Stored>, revision: u64) -> Self {
        Self { entries, revision }
    }

    /// The revision of the last commit; 0 before the first.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// All entries, smallest key first.
    pub(crate) fn entries(&self) -> btree_map::Iter<'_, String, Stored> {
        self.entries.iter()
    }

    /// The index of the first check that fails.
    pub(crate) fn first_failed_check(&self, checks: &[Check]) -> Option<u32> {
        let failing = checks.iter().position(|check| match check {
            Check::Absent(key) => self.entries.contains_key(key),
            Check::AtRevision(key, revision) => {
                self.entries.get(key).is_none_or(|stored| stored.revision != *revision)
            }
        });
        failing.map(|index| u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// The revision of the next commit.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the revisions are exhausted.
    pub(crate) fn next_revision(&self) -> Result<u64, Error> {
        self.revision.checked_add(1).ok_or_else(|| Error::Unavailable("the revisions are exhausted".into()))
    }

    /// Applies the writes of the commit with this revision.
    pub(crate) fn apply(&mut self, revision: u64, writes: Vec<Write>) {
        self.revision = revision;
        for write in writes {
            match write {
                Write::Put(key, value) => _ = self.entries.insert(key, Stored { value, revision }),
                Write::Delete(key) => _ = self.entries.remove(&key),
            }
        }
    }
}

impl Store for State {
    fn get(&mut self, keys: &[String]) -> Result<Vec<Option<Stored>>, Error> {
        check_get(keys)?;
        let mut bytes = 0;
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            let stored = self.entries.get(key);
            bytes += stored.map_or(0, |stored| stored.value.len());
            check_transfer(bytes)?;
            values.push(stored.cloned());
        }
        Ok(values)
    }

    fn scan(&mut self, scan: &Scan) -> Result<Vec<Entry>, Error> {
        check_scan(scan)?;
        // `BTreeMap::range` panics if the start is above the end.
        if scan.start >= scan.end {
            return Ok(Vec::new());
        }
        let range = self.entries.range::<String, _>(&scan.start..&scan.end);
        match scan.order {
            Order::Ascending => collect_entries(range, scan.limit),
            Order::Descending => collect_entries(range.rev(), scan.limit),
        }
    }

    fn commit(&mut self, checks: &[Check], writes: Vec<Write>) -> Result<Outcome, Error> {
        check_commit(checks, &writes)?;
        if let Some(index) = self.first_failed_check(checks) {
            return Ok(Outcome::Conflict(index));
        }
        let revision = self.next_revision()?;
        self.apply(revision, writes);
        Ok(Outcome::Committed(revision))
    }
}

fn collect_entries<'a>(
    range: impl Iterator<Item = (&'a String, &'a Stored)>,
    limit: u32,
) -> Result<Vec<Entry>, Error> {
    let mut bytes = 0;
    let mut entries = Vec::new();
    // Zipping with `0..limit` counts in u32 and avoids a lossy conversion to usize.
    for (_, (key, stored)) in (0..limit).zip(range) {
        bytes += key.len() + stored.value.len();
        check_transfer(bytes)?;
        entries.push(Entry { key: key.clone(), stored: stored.clone() });
    }
    Ok(entries)
}
