//! The stored state as of one commit: a checkpoint, whose parts are read when they are needed, and what was written since.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
};

use crate::{
    contract::{Check, Entry, Error, Order, Scan, Stored, Write, next_revision},
    results::{Entries, Values},
};

/// How many of the last commits a checkpoint names: more than other writers make while one commit is confirmed.
const RECENT: usize = 256;

/// The entries of one part of a checkpoint.
pub(crate) type PartEntries = BTreeMap<String, Stored>;

/// The parts of a checkpoint in its storage.
pub(crate) trait Parts {
    /// Reads the part with this number.
    ///
    /// # Errors
    /// [`Failure::Gone`] if it was deleted, because a newer checkpoint exists.
    fn read(&self, number: u32) -> Result<PartEntries, Failure>;
}

/// Why a part cannot be read.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was deleted: the view is too old to be read further.
    Gone,
    Failed(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// A state, as far as it has been read.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// The first key of each part, and its entries once they have been read. A part ends where the next one begins.
    parts: Vec<(String, Option<PartEntries>)>,
    /// What was written after the checkpoint; none if the key was deleted.
    later: BTreeMap<String, Option<Stored>>,
    revision: u64,
    /// The ids of the last commits, by their revisions.
    recent: BTreeMap<u64, u64>,
}

impl View {
    /// The state of a checkpoint whose parts begin at these keys.
    pub(crate) fn of_checkpoint(revision: u64, first_keys: Vec<String>, recent: BTreeMap<u64, u64>) -> Self {
        let parts = first_keys.into_iter().map(|key| (key, None)).collect();
        Self { parts, later: BTreeMap::new(), revision, recent }
    }

    /// The state of a checkpoint that has been read whole.
    pub(crate) fn of_entries(revision: u64, entries: PartEntries) -> Self {
        let parts = vec![(String::new(), Some(entries))];
        Self { parts, later: BTreeMap::new(), revision, recent: BTreeMap::new() }
    }

    /// The revision of the last commit; 0 before the first.
    pub(crate) const fn revision(&self) -> u64 {
        self.revision
    }

    /// The revision of the next commit.
    pub(crate) fn next_revision(&self) -> Result<u64, Error> {
        next_revision(self.revision)
    }

    /// The ids of the last commits, by their revisions. A version without ids has made those that are missing.
    pub(crate) const fn recent(&self) -> &BTreeMap<u64, u64> {
        &self.recent
    }

    /// Applies the writes of the commit with this revision and id.
    pub(crate) fn apply(&mut self, revision: u64, id: Option<u64>, writes: Vec<Write>) {
        self.revision = revision;
        for write in writes {
            match write {
                Write::Put(key, value) => self.later.insert(key, Some(Stored { value, revision })),
                Write::Delete(key) => self.later.insert(key, None),
            };
        }
        self.recent.extend(id.map(|id| (revision, id)));
        while self.recent.len() > RECENT {
            self.recent.pop_first();
        }
    }

    /// The index of the first check that fails.
    pub(crate) fn first_failed_check(
        &mut self,
        checks: &[Check],
        parts: &impl Parts,
    ) -> Result<Option<u32>, Failure> {
        for (index, check) in (0..).zip(checks) {
            if !check.holds(self.find(check.key(), parts)?) {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    pub(crate) fn get(
        &mut self,
        keys: &[String],
        parts: &impl Parts,
    ) -> Result<Vec<Option<Stored>>, Failure> {
        let mut found = Values::default();
        for key in keys {
            found.push(self.find(key, parts)?)?;
        }
        Ok(found.into_vec())
    }

    pub(crate) fn scan(&mut self, scan: &Scan, parts: &impl Parts) -> Result<Vec<Entry>, Failure> {
        let mut found = Entries::default();
        if scan.start >= scan.end {
            return Ok(Vec::new());
        }
        let last = self.parts.partition_point(|(first, _)| *first < scan.end).saturating_sub(1);
        let mut numbers: VecDeque<_> = (self.part_of(&scan.start)..=last).collect();
        let limit = usize::try_from(scan.limit).unwrap_or(usize::MAX);
        while let wanted @ 1.. = limit - found.count()
            && let Some(number) = match scan.order {
                Order::Ascending => numbers.pop_front(),
                Order::Descending => numbers.pop_back(),
            }
        {
            self.load(number, parts)?;
            let entries = self.entries(number, &scan.start, Bound::Excluded(&scan.end));
            let mut add = |(key, stored): (&&str, &&Stored)| found.push(key, stored);
            match scan.order {
                Order::Ascending => entries.iter().take(wanted).try_for_each(&mut add)?,
                Order::Descending => entries.iter().rev().take(wanted).try_for_each(&mut add)?,
            }
        }
        Ok(found.into_vec())
    }

    /// Reads everything that has not been read; returns all entries in the order of their keys.
    pub(crate) fn all(
        &mut self,
        parts: &impl Parts,
    ) -> Result<impl Iterator<Item = (&str, &Stored)>, Failure> {
        for number in 0..self.parts.len() {
            self.load(number, parts)?;
        }
        Ok((0..self.parts.len().max(1)).flat_map(|number| self.entries(number, "", Bound::Unbounded)))
    }

    /// The entries of a part that has been read, from `start` to `end`, as they are now. Without a checkpoint, part 0 is everything.
    fn entries(&self, number: usize, start: &str, end: Bound<&str>) -> BTreeMap<&str, &Stored> {
        let first = self.parts.get(number).filter(|_| number > 0).map_or("", |(first, _)| first);
        let next = self.parts.get(number + 1).map(|(next, _)| next.as_str());
        let start = start.max(first);
        let end = match (end, next) {
            (Bound::Excluded(end), Some(next)) => Bound::Excluded(end.min(next)),
            (Bound::Unbounded, Some(next)) => Bound::Excluded(next),
            (end, _) => end,
        };
        // `BTreeMap::range` panics if the start is above the end.
        if matches!(end, Bound::Excluded(end) if end <= start) {
            return BTreeMap::new();
        }
        let range = (Bound::Included(start), end);
        let part = self.parts.get(number).and_then(|(_, entries)| entries.as_ref());
        let part = part.into_iter().flat_map(|entries| entries.range::<str, _>(range));
        let mut entries: BTreeMap<_, _> = part.map(|(key, stored)| (key.as_str(), stored)).collect();
        for (key, stored) in self.later.range::<str, _>(range) {
            match stored {
                Some(stored) => entries.insert(key, stored),
                None => entries.remove(key.as_str()),
            };
        }
        entries
    }

    fn find(&mut self, key: &str, parts: &impl Parts) -> Result<Option<&Stored>, Failure> {
        if !self.later.contains_key(key) {
            let number = self.part_of(key);
            self.load(number, parts)?;
            return Ok(self.parts.get(number).and_then(|(_, entries)| entries.as_ref()?.get(key)));
        }
        Ok(self.later.get(key).and_then(Option::as_ref))
    }

    /// The number of the part that contains this key, or would. Keys before the first part belong to it.
    fn part_of(&self, key: &str) -> usize {
        self.parts.partition_point(|(first, _)| first.as_str() <= key).saturating_sub(1)
    }

    fn load(&mut self, number: usize, parts: &impl Parts) -> Result<(), Failure> {
        if let Some((_, entries @ None)) = self.parts.get_mut(number) {
            *entries = Some(parts.read(u32::try_from(number).unwrap_or(u32::MAX))?);
        }
        Ok(())
    }
}
