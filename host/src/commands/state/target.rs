//! The store that is imported into, beside what is imported: both are in the order of their keys.

use std::collections::VecDeque;

use super::{
    format::{Sum, Total},
    progress::Progress,
    reading::{BATCH_BYTES, BATCH_ENTRIES},
};
use crate::{
    commands::error::CommandError,
    config::Merge,
    store::{Check, Commit, Entry, Key, Outcome, Snapshot, Store, Value, Write},
};

/// What became of the entries of the input so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Were not there.
    pub(super) added: u64,
    /// Were there, with another value, which was replaced.
    pub(super) replaced: u64,
    /// Were there, with another value, which was kept.
    pub(super) kept: u64,
    /// Were there as they are.
    pub(super) present: u64,
}

impl Counts {
    pub(super) fn entries(&self) -> u64 {
        self.added.saturating_add(self.replaced).saturating_add(self.kept).saturating_add(self.present)
    }
}

/// The store that is imported into.
pub(super) struct Target<'a> {
    store: &'a dyn Store,
    merge: Option<Merge>,
    present: Present,
    checks: Vec<Check>,
    writes: Vec<Write>,
    bytes: usize,
    /// With what waits to be written.
    seen: Counts,
    /// What is certain.
    pub(super) done: Counts,
    /// Whether anything may have been written.
    pub(super) begun: bool,
}

impl<'a> Target<'a> {
    pub(super) fn new(store: &'a dyn Store, merge: Option<Merge>) -> Self {
        Self {
            store,
            merge,
            present: Present::default(),
            checks: Vec::new(),
            writes: Vec::new(),
            bytes: 0,
            seen: Counts::default(),
            done: Counts::default(),
            begun: false,
        }
    }

    /// Takes entries, each key of which is above all before.
    ///
    /// # Errors
    ///
    /// [`CommandError`] if the store holds what it must not, or fails.
    pub(super) async fn take(&mut self, entries: Vec<(Key, Value)>) -> Result<(), CommandError> {
        for (key, value) in entries {
            let (found, between) = self.present.find(self.store, &key).await?;
            if between && self.merge.is_none() {
                return Err(self.not_empty());
            }
            match found {
                Some(entry) if entry.stored.value == value => self.seen.present += 1,
                Some(entry) => match self.merge {
                    None => return Err(self.not_empty()),
                    Some(Merge::Keep) => self.seen.kept += 1,
                    Some(Merge::Replace) => {
                        self.seen.replaced += 1;
                        let check = Check::AtRevision(key.clone(), entry.stored.revision);
                        self.write(check, key, value).await?;
                    }
                },
                None => {
                    if self.merge.is_none() && self.present.has_more() {
                        return Err(self.not_empty());
                    }
                    self.seen.added += 1;
                    self.write(Check::Absent(key.clone()), key, value).await?;
                }
            }
        }
        if self.writes.is_empty() {
            self.done = self.seen;
        }
        Ok(())
    }

    async fn write(&mut self, check: Check, key: Key, value: Value) -> Result<(), CommandError> {
        self.bytes += key.as_str().len() + value.as_bytes().len();
        self.checks.push(check);
        self.writes.push(Write::Put(key, value));
        if self.writes.len() >= BATCH_ENTRIES || self.bytes >= BATCH_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Writes what waits.
    pub(super) async fn flush(&mut self) -> Result<(), CommandError> {
        if !self.writes.is_empty() {
            self.begun = true;
            // What is written changes nothing of what is still to be read, for that comes later.
            self.present.let_go();
            self.bytes = 0;
            let commit = Commit::new(std::mem::take(&mut self.checks), std::mem::take(&mut self.writes))?;
            match self.store.commit(commit).await? {
                Outcome::Committed(_) => {}
                Outcome::Conflict(_) => {
                    return Err(CommandError::Failed(
                        "somebody else writes into the store: end that first".to_owned(),
                    ));
                }
            }
        }
        self.done = self.seen;
        Ok(())
    }

    /// Writes what waits, and compares the whole store with what the input says of itself.
    ///
    /// # Errors
    ///
    /// [`CommandError`] if there is more in the store, or anything else.
    pub(super) async fn finish(&mut self, total: &Total, progress: &Progress) -> Result<(), CommandError> {
        self.flush().await?;
        if self.merge.is_some() {
            return Ok(());
        }
        if self.present.any_left(self.store).await? {
            return Err(self.not_empty());
        }
        self.present.let_go();
        progress.begin("verifying", Some(total.entries));
        let mut sum = Sum::default();
        let mut snapshot = self.store.snapshot(None).await?;
        loop {
            let page = snapshot.next().await?;
            if page.is_empty() {
                break;
            }
            page.iter().for_each(|Entry { key, stored }| sum.add(key, &stored.value));
            progress.at(sum.entries());
        }
        let found = sum.total();
        if found == *total {
            return Ok(());
        }
        Err(CommandError::Failed(format!(
            "the store does not hold what the input does: it has {} entries with sha256 {}, the input {} with {}",
            found.entries, found.sha256, total.entries, total.sha256
        )))
    }

    fn not_empty(&self) -> CommandError {
        if self.begun {
            return CommandError::Failed("somebody else writes into the store: end that first".to_owned());
        }
        CommandError::CouldNotRun(
            "the store is not empty, and what it holds is not the beginning of this input; name an empty store, or say \
             with --merge what becomes of keys that both have"
                .to_owned(),
        )
    }
}

/// What was in the store, read beside the input.
#[derive(Default)]
struct Present {
    snapshot: Option<Box<dyn Snapshot>>,
    page: VecDeque<Entry>,
    /// The last key that was read.
    last: Option<Key>,
    ended: bool,
}

impl Present {
    /// The entry of a key, and whether others came before it; those are passed over.
    async fn find(&mut self, store: &dyn Store, key: &Key) -> Result<(Option<Entry>, bool), CommandError> {
        let mut between = false;
        loop {
            while self.page.pop_front_if(|entry| entry.key < *key).is_some() {
                between = true;
            }
            if !self.page.is_empty() || self.ended {
                return Ok((self.page.pop_front_if(|entry| entry.key == *key), between));
            }
            self.read(store).await?;
        }
    }

    /// Whether anything comes after the last key that was looked for.
    fn has_more(&self) -> bool {
        !self.page.is_empty()
    }

    async fn any_left(&mut self, store: &dyn Store) -> Result<bool, CommandError> {
        if self.page.is_empty() && !self.ended {
            self.read(store).await?;
        }
        Ok(self.has_more())
    }

    async fn read(&mut self, store: &dyn Store) -> Result<(), CommandError> {
        let mut snapshot = match self.snapshot.take() {
            Some(snapshot) => snapshot,
            None => store.snapshot(self.last.clone()).await?,
        };
        self.page = snapshot.next().await?.into();
        match self.page.back() {
            Some(entry) => {
                self.last = Some(entry.key.clone());
                self.snapshot = Some(snapshot);
            }
            None => self.ended = true,
        }
        Ok(())
    }

    /// Lets go of what is held in the store: reading goes on with what is there then.
    fn let_go(&mut self) {
        self.snapshot = None;
    }
}
