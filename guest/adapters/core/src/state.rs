//! A store in memory: an ordered map and the revision of the last commit.

use std::collections::BTreeMap;

use crate::{
    contract::{
        Check, Entry, Error, Order, Outcome, Scan, Store, Stored, Write, check_commit, check_get, check_scan,
        next_revision,
    },
    results::{Entries, Values},
};

/// An ordered map with revisions. It lives as long as the instance.
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

    /// The index of the first check that fails.
    fn first_failed_check(&self, checks: &[Check]) -> Option<u32> {
        let failing = checks.iter().position(|check| !check.holds(self.entries.get(check.key())));
        failing.map(|index| u32::try_from(index).unwrap_or(u32::MAX))
    }
}

impl Store for State {
    fn get(&mut self, keys: &[String]) -> Result<Vec<Option<Stored>>, Error> {
        check_get(keys)?;
        let mut found = Values::default();
        keys.iter().try_for_each(|key| found.push(self.entries.get(key)))?;
        Ok(found.into_vec())
    }

    fn scan(&mut self, scan: &Scan) -> Result<Vec<Entry>, Error> {
        check_scan(scan)?;
        // `BTreeMap::range` panics if the start is above the end.
        if scan.start >= scan.end {
            return Ok(Vec::new());
        }
        let range = self.entries.range::<String, _>(&scan.start..&scan.end);
        let limit = usize::try_from(scan.limit).unwrap_or(usize::MAX);
        let mut found = Entries::default();
        let mut add = |(key, stored): (&String, &Stored)| found.push(key, stored);
        match scan.order {
            Order::Ascending => range.take(limit).try_for_each(&mut add)?,
            Order::Descending => range.rev().take(limit).try_for_each(&mut add)?,
        }
        Ok(found.into_vec())
    }

    fn commit(&mut self, checks: &[Check], writes: Vec<Write>) -> Result<Outcome, Error> {
        check_commit(checks, &writes)?;
        if let Some(index) = self.first_failed_check(checks) {
            return Ok(Outcome::Conflict(index));
        }
        self.revision = next_revision(self.revision)?;
        for write in writes {
            match write {
                Write::Put(key, value) => {
                    self.entries.insert(key, Stored { value, revision: self.revision });
                }
                Write::Delete(key) => {
                    self.entries.remove(&key);
                }
            }
        }
        Ok(Outcome::Committed(self.revision))
    }
}
