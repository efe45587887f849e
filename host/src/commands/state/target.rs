//! The store to import into. It is read alongside the input, since both are in the order of their keys.

use std::collections::VecDeque;

use super::{
    checksum::{Checksum, Total},
    progress::Progress,
    reader::{BATCH_BYTES, BATCH_ENTRIES},
};
use crate::{
    commands::error::CommandError,
    config::Merge,
    store::{Check, Commit, Entry, Key, Outcome, Snapshot, Store, Value, Write},
};

/// The entries of the input so far, by what happened to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Added: the store had no such key.
    pub(super) added: u64,
    /// The store had another value, which was replaced.
    pub(super) replaced: u64,
    /// The store had another value, which was kept.
    pub(super) kept: u64,
    /// The store already had the same value.
    pub(super) present: u64,
}

impl Counts {
    pub(super) fn entries(&self) -> u64 {
        self.added.saturating_add(self.replaced).saturating_add(self.kept).saturating_add(self.present)
    }
}

/// The store to import into.
pub(super) struct Target<'a> {
    store: &'a dyn Store,
    merge: Option<Merge>,
    existing: Existing,
    checks: Vec<Check>,
    writes: Vec<Write>,
    bytes: usize,
    /// Including entries that wait to be written.
    processed: Counts,
    /// Excluding entries that wait to be written.
    pub(super) done: Counts,
    /// Whether anything may have been written.
    pub(super) has_written: bool,
}

impl<'a> Target<'a> {
    pub(super) fn new(store: &'a dyn Store, merge: Option<Merge>) -> Self {
        Self {
            store,
            merge,
            existing: Existing::default(),
            checks: Vec::new(),
            writes: Vec::new(),
            bytes: 0,
            processed: Counts::default(),
            done: Counts::default(),
            has_written: false,
        }
    }

    /// Imports entries, whose keys must be in ascending order over all calls.
    ///
    /// # Errors
    ///
    /// [`CommandError`] if the store holds entries that the import does not allow, or fails.
    pub(super) async fn import(&mut self, entries: Vec<(Key, Value)>) -> Result<(), CommandError> {
        for (key, value) in entries {
            let (found, skipped) = self.existing.find(self.store, &key).await?;
            if skipped && self.merge.is_none() {
                return Err(self.not_empty());
            }
            match found {
                Some(entry) if entry.stored.value == value => self.processed.present += 1,
                Some(entry) => match self.merge {
                    None => return Err(self.not_empty()),
                    Some(Merge::Keep) => self.processed.kept += 1,
                    Some(Merge::Replace) => {
                        self.processed.replaced += 1;
                        let check = Check::AtRevision(key.clone(), entry.stored.revision);
                        self.write(check, key, value).await?;
                    }
                },
                None => {
                    if self.merge.is_none() && self.existing.has_more() {
                        return Err(self.not_empty());
                    }
                    self.processed.added += 1;
                    self.write(Check::Absent(key.clone()), key, value).await?;
                }
            }
        }
        if self.writes.is_empty() {
            self.done = self.processed;
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

    /// Commits the waiting entries.
    pub(super) async fn flush(&mut self) -> Result<(), CommandError> {
        if !self.writes.is_empty() {
            self.has_written = true;
            // The commit does not change what is still to be read, which has higher keys.
            self.existing.release_snapshot();
            self.bytes = 0;
            let commit = Commit::new(std::mem::take(&mut self.checks), std::mem::take(&mut self.writes))?;
            match self.store.commit(commit).await? {
                Outcome::Committed(_) => {}
                Outcome::Conflict(_) => {
                    return Err(CommandError::Failed(
                        "another process writes to the store: stop it first".to_owned(),
                    ));
                }
            }
        }
        self.done = self.processed;
        Ok(())
    }

    /// Commits the waiting entries, and compares the whole store with the totals of the input.
    ///
    /// # Errors
    ///
    /// [`CommandError`] if the store differs from the input, or fails.
    pub(super) async fn finish(&mut self, total: &Total, progress: &Progress) -> Result<(), CommandError> {
        self.flush().await?;
        if self.merge.is_some() {
            return Ok(());
        }
        if self.existing.any_left(self.store).await? {
            return Err(self.not_empty());
        }
        self.existing.release_snapshot();
        progress.begin("verifying", Some(total.entries));
        let mut checksum = Checksum::default();
        let mut snapshot = self.store.snapshot(None).await?;
        loop {
            let page = snapshot.next().await?;
            if page.is_empty() {
                break;
            }
            page.iter().for_each(|Entry { key, stored }| checksum.add(key, &stored.value));
            progress.set(checksum.entries());
        }
        let found = checksum.total();
        if found == *total {
            return Ok(());
        }
        Err(CommandError::Failed(format!(
            "the store differs from the input: it has {} entries with sha256 {}, the input has {} with {}",
            found.entries, found.sha256, total.entries, total.sha256
        )))
    }

    fn not_empty(&self) -> CommandError {
        if self.has_written {
            return CommandError::Failed("another process writes to the store: stop it first".to_owned());
        }
        CommandError::CouldNotRun(
            "the store is not empty, and its content is not the beginning of this input; choose an empty store, or say with \
             --merge which value to keep for keys that both have"
                .to_owned(),
        )
    }
}

/// The entries that the store already has, read alongside the input.
#[derive(Default)]
struct Existing {
    snapshot: Option<Box<dyn Snapshot>>,
    page: VecDeque<Entry>,
    /// The last key that was read.
    last_key: Option<Key>,
    ended: bool,
}

impl Existing {
    /// The entry of a key, and whether entries with lower keys were skipped on the way to it.
    async fn find(&mut self, store: &dyn Store, key: &Key) -> Result<(Option<Entry>, bool), CommandError> {
        let mut skipped = false;
        loop {
            while self.page.pop_front_if(|entry| entry.key < *key).is_some() {
                skipped = true;
            }
            if !self.page.is_empty() || self.ended {
                return Ok((self.page.pop_front_if(|entry| entry.key == *key), skipped));
            }
            self.read_page(store).await?;
        }
    }

    /// Whether the page has entries after the last key that was looked for.
    fn has_more(&self) -> bool {
        !self.page.is_empty()
    }

    /// Whether the store has entries after the last key that was looked for.
    async fn any_left(&mut self, store: &dyn Store) -> Result<bool, CommandError> {
        if self.page.is_empty() && !self.ended {
            self.read_page(store).await?;
        }
        Ok(self.has_more())
    }

    async fn read_page(&mut self, store: &dyn Store) -> Result<(), CommandError> {
        let mut snapshot = match self.snapshot.take() {
            Some(snapshot) => snapshot,
            None => store.snapshot(self.last_key.clone()).await?,
        };
        self.page = snapshot.next().await?.into();
        match self.page.back() {
            Some(entry) => {
                self.last_key = Some(entry.key.clone());
                self.snapshot = Some(snapshot);
            }
            None => self.ended = true,
        }
        Ok(())
    }

    /// Ends the snapshot. The next page is read from a new one, as the store is then.
    fn release_snapshot(&mut self) {
        self.snapshot = None;
    }
}
