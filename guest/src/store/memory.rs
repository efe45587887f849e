//! A store in process memory, for benchmarks. It has no lock: a caller that shares it between threads adds one.

use std::collections::BTreeMap;

use super::interface::{Check, Direction, Entry, KeyRange, Outcome, Revision, Stored, Write};

/// The stored records. Follows the contract of `orders:state/store`, except for its limits, which the host enforces.
#[derive(Debug, Default)]
pub struct Records {
    records: BTreeMap<String, Stored>,
    revision: u64,
}

impl Records {
    /// An empty store.
    #[must_use]
    pub const fn new() -> Self {
        Self { records: BTreeMap::new(), revision: 0 }
    }

    /// See [`Store::get`](super::Store::get).
    #[must_use]
    pub fn get(&self, keys: &[String]) -> Vec<Option<Stored>> {
        keys.iter().map(|key| self.records.get(key).cloned()).collect()
    }

    /// See [`Store::scan`](super::Store::scan).
    #[must_use]
    pub fn scan(&self, range: &KeyRange, limit: u32, direction: Direction) -> Vec<Entry> {
        // `BTreeMap::range` panics if the start is above the end.
        if range.start >= range.end {
            return Vec::new();
        }
        let entries = self.records.range::<String, _>(&range.start..&range.end);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let entry = |(key, stored): (&String, &Stored)| Entry { key: key.clone(), stored: stored.clone() };
        match direction {
            Direction::Ascending => entries.take(limit).map(entry).collect(),
            Direction::Descending => entries.rev().take(limit).map(entry).collect(),
        }
    }

    /// See [`Store::commit`](super::Store::commit).
    pub fn commit(&mut self, checks: &[Check], writes: Vec<Write>) -> Outcome {
        if let Some(index) = checks.iter().position(|check| !self.holds(check)) {
            return Outcome::Conflict(index);
        }
        self.revision += 1;
        let revision = Revision(self.revision);
        for write in writes {
            match write {
                Write::Put(key, value) => _ = self.records.insert(key, Stored { value, revision }),
                Write::Delete(key) => _ = self.records.remove(&key),
            }
        }
        Outcome::Committed
    }

    fn holds(&self, check: &Check) -> bool {
        match check {
            Check::Absent(key) => !self.records.contains_key(key),
            Check::AtRevision(key, revision) => {
                self.records.get(key).is_some_and(|stored| stored.revision == *revision)
            }
        }
    }
}
