//! A store in this process, without a lock: who shares it brings one. For benchmarks; nothing outlives it.

use std::collections::BTreeMap;

use super::{Check, Direction, Entry, KeyRange, Outcome, Revision, Stored, Write};

/// What is stored. Keeps to the contract of `orders:state/store`, but for its bounds: those are the host's to hold.
#[derive(Debug, Default)]
pub struct Records {
    records: BTreeMap<String, Stored>,
    revision: u64,
}

impl Records {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { records: BTreeMap::new(), revision: 0 }
    }

    /// [`Store::get`](super::Store::get).
    #[must_use]
    pub fn get(&self, keys: &[String]) -> Vec<Option<Stored>> {
        keys.iter().map(|key| self.records.get(key).cloned()).collect()
    }

    /// [`Store::scan`](super::Store::scan).
    #[must_use]
    pub fn scan(&self, range: &KeyRange, limit: u32, direction: Direction) -> Vec<Entry> {
        // `BTreeMap::range` panics where the start lies above the end.
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

    /// [`Store::commit`](super::Store::commit).
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
