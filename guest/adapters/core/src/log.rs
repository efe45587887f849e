//! A store over any [`Storage`]: a log of commits, one blob per commit, with periodic checkpoints.
//!
//! A commit reads the log to its end, evaluates its checks, and creates the blob of the next revision (the record). Only one
//! writer can create that blob. However many writers there are, each commit therefore applies to exactly the state that its
//! checks were evaluated against; a writer that loses the race reads on and retries. The blob exists whole or not at all,
//! and so does the commit.
//!
//! At fixed intervals, the writer of a commit also writes the whole state as a checkpoint and then deletes the older blobs.
//! A deleted name is free again, so a reader that finds the next name free has not necessarily reached the end of the log.
//! It has, if the checkpoint that it started from still exists afterwards, because:
//!
//! 1. checkpoints, and then their indexes, are deleted before the records that follow them. A storage that repeats a failed call may
//!    bring a header back, but no index;
//! 2. only the writer of a commit writes the checkpoint of that commit, once, and never after a later checkpoint exists.
//!    Before a later checkpoint is written, each checkpoint revision between it and the checkpoint that its writer started
//!    from either has its checkpoint, or has its name occupied by a marker that no checkpoint will be written
//!    (`CheckpointHeader::Closed`);
//! 3. before the first record is ever deleted, a marker of the deletion is created (`BlobName::Pruned`). It covers readers that
//!    started from an empty state.
//!
//! A checkpoint is divided into parts by key. A request reads its index, the parts that it needs, and the records since. A part never
//! changes; if it was deleted, a newer checkpoint exists, from which the request starts anew. Only the writer of a checkpoint reads
//! all of the one before.
//!
//! A writer whose record was created, but whose checkpoint was replaced meanwhile, cannot tell whether its record is part of the
//! log: the name was perhaps free because an older record with the same revision had been deleted. Each record has an id, and each
//! checkpoint names the ids of the commits before it, which settles that.
//!
//! Versions before the index and the ids read what this one writes, and this one reads what they write: whole, and without ids.

use std::collections::BTreeSet;

use crate::{
    contract::{
        Check, Entry, Error, Outcome, Scan, Store, Stored, Write, check_commit, check_get, check_scan,
    },
    format::{self, CheckpointHeader, Damaged, Index},
    names::BlobName,
    storage::Storage,
    view::{Failure, PartEntries, Parts, View},
};

/// Commits between two checkpoints. A new instance reads half as many records on average, and each commit bears this
/// fraction of the cost of a checkpoint.
pub const CHECKPOINT_EVERY: u64 = 64;

/// Maximum number of attempts when another writer interferes.
const MAX_ATTEMPTS: u32 = 64;

/// A store over a storage that other writers may share.
#[derive(Debug)]
pub struct Log<S> {
    storage: S,
    checkpoint_every: u64,
    /// The state at `view.revision()`, once the log has been read.
    view: Option<View>,
    /// The revision of the checkpoint that `view` started from; 0 for the empty state.
    base: u64,
    /// Whether that checkpoint has an index.
    base_has_index: bool,
}

/// The parts of the checkpoint with this revision.
struct CheckpointParts<'a, S> {
    storage: &'a S,
    revision: u64,
}

impl<S: Storage> Parts for CheckpointParts<'_, S> {
    fn read(&self, number: u32) -> Result<PartEntries, Failure> {
        let name = BlobName::Part(self.revision, number);
        let blob = read_blob(self.storage, name)?.ok_or(Failure::Gone)?;
        let chunk = format::decode_part(&blob, self.revision, number);
        let entries = chunk.and_then(format::decode_entries).map_err(|Damaged| damaged_error(name))?;
        Ok(entries)
    }
}

impl<S: Storage> Log<S> {
    /// Creates a store over a storage. Nothing is read yet.
    pub const fn new(storage: S) -> Self {
        Self::with_checkpoint_every(storage, CHECKPOINT_EVERY)
    }

    /// Creates a store with another checkpoint interval, in commits. All writers that share a storage must use the same
    /// interval.
    pub const fn with_checkpoint_every(storage: S, commits: u64) -> Self {
        Self { storage, checkpoint_every: commits, view: None, base: 0, base_has_index: false }
    }

    /// Reads something of the state at some point after this call began.
    fn read<T>(
        &mut self,
        read: impl Fn(&mut View, &CheckpointParts<'_, S>) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        for attempt in 0..MAX_ATTEMPTS {
            if let Some(view) = self.read_to_end()? {
                let (view, base) = (self.view.insert(view), self.base);
                match read(view, &CheckpointParts { storage: &self.storage, revision: base }) {
                    Ok(found) => return Ok(found),
                    Err(Failure::Failed(error)) => return Err(error),
                    Err(Failure::Gone) => self.view = None,
                }
            }
            self.storage.back_off(attempt);
        }
        Err(Error::Unavailable(format!("the log was pruned {MAX_ATTEMPTS} times while it was being read")))
    }

    /// Reads the log to its end. Returns none if it was pruned meanwhile.
    fn read_to_end(&mut self) -> Result<Option<View>, Error> {
        let view = match self.view.take() {
            Some(view) => Some(view),
            None => self.read_newest_checkpoint()?,
        };
        let Some(view) = view else { return Ok(None) };
        let view = self.apply_later_records(view)?;
        Ok(self.base_is_intact()?.then_some(view))
    }

    /// Reads the state to start from and sets `base` to its revision. Returns none if its parts are deleted during the call.
    fn read_newest_checkpoint(&mut self) -> Result<Option<View>, Error> {
        let mut checkpoints: Vec<u64> = self
            .list_blobs()?
            .into_iter()
            .filter_map(|name| if let BlobName::Checkpoint(revision) = name { Some(revision) } else { None })
            .collect();
        checkpoints.sort_unstable();
        for revision in checkpoints.into_iter().rev() {
            match self.read_header(revision)? {
                // It was deleted during this call, which `base_is_intact` finds out, or its writer has not finished it, or never
                // will: an older one has the same state.
                None | Some(CheckpointHeader::Closed) => {}
                Some(CheckpointHeader::Parts(count)) => {
                    self.base = revision;
                    return self.read_checkpoint(revision, count);
                }
            }
        }
        self.base = 0;
        Ok(Some(View::default()))
    }

    fn read_checkpoint(&mut self, revision: u64, parts: u32) -> Result<Option<View>, Error> {
        let name = BlobName::Index(revision);
        let index = read_blob(&self.storage, name)?;
        self.base_has_index = index.is_some();
        if let Some(blob) = index {
            let index = format::decode_index(&blob, revision).map_err(|Damaged| damaged_error(name))?;
            return Ok(Some(View::of_checkpoint(revision, index.first_keys, index.recent)));
        }
        let mut body = Vec::new();
        for number in 0..parts {
            let name = BlobName::Part(revision, number);
            let Some(blob) = read_blob(&self.storage, name)? else { return Ok(None) };
            let part = format::decode_part(&blob, revision, number).map_err(|Damaged| damaged_error(name))?;
            body.extend_from_slice(part);
        }
        let entries =
            format::decode_entries(&body).map_err(|Damaged| damaged_error(BlobName::Checkpoint(revision)))?;
        Ok(Some(View::of_entries(revision, entries)))
    }

    /// Reads the records that follow the state and applies them.
    fn apply_later_records(&self, mut view: View) -> Result<View, Error> {
        loop {
            let revision = view.next_revision()?;
            let name = BlobName::Record(revision);
            let Some(blob) = read_blob(&self.storage, name)? else { return Ok(view) };
            let (id, writes) =
                format::decode_record(&blob, revision).map_err(|Damaged| damaged_error(name))?;
            view.apply(revision, id, writes);
        }
    }

    /// Whether every record after `base` still exists: no newer checkpoint has caused one to be deleted.
    fn base_is_intact(&self) -> Result<bool, Error> {
        match self.base {
            0 => Ok(read_blob(&self.storage, BlobName::Pruned)?.is_none()),
            revision => Ok(matches!(self.read_header(revision)?, Some(CheckpointHeader::Parts(_)))
                && (!self.base_has_index || read_blob(&self.storage, BlobName::Index(revision))?.is_some())),
        }
    }

    /// Writes a checkpoint of the state and deletes the blobs that it replaces. A missing checkpoint only makes the log
    /// longer, so any failure abandons the attempt; the next checkpoint completes the work.
    fn write_checkpoint(&mut self) -> Option<()> {
        let revision = self.view.as_ref()?.revision();
        let first = self.base.checked_add(self.checkpoint_every)?;
        let step = usize::try_from(self.checkpoint_every).ok()?;
        let skipped: Vec<u64> = (first..revision).step_by(step).collect();
        for older in &skipped {
            let name = BlobName::Checkpoint(*older);
            let closed = format::encode_header(*older, CheckpointHeader::Closed);
            // `false` may mean that another writer is still creating this blob: it is final only once it can be read.
            if !self.storage.create(&name.to_string(), &closed).ok()? {
                self.read_header(*older).ok()??;
            }
        }
        let view = self.view.as_mut()?;
        let older_parts = CheckpointParts { storage: &self.storage, revision: self.base };
        let parts = format::encode_parts(revision, view.all(&older_parts).ok()?);
        let mut index = Index { first_keys: Vec::new(), recent: view.recent().clone() };
        let count = u32::try_from(parts.len()).ok()?;
        for (number, (first_key, part)) in (0..).zip(parts) {
            self.storage.put(&BlobName::Part(revision, number).to_string(), &part).ok()?;
            index.first_keys.push(first_key);
        }
        let encoded = format::encode_index(revision, &index);
        self.storage.put(&BlobName::Index(revision).to_string(), &encoded).ok()?;
        let header = format::encode_header(revision, CheckpointHeader::Parts(count));
        if !self.storage.create(&BlobName::Checkpoint(revision).to_string(), &header).ok()? {
            return None;
        }
        let previous = std::mem::replace(&mut self.base, revision);
        self.base_has_index = true;
        self.prune(revision, previous, &skipped)
    }

    /// Deletes the blobs that a checkpoint replaces: first the older checkpoints, the oldest first; then their indexes; then the
    /// records; then the parts. Then has the storage clean up.
    fn prune(&self, revision: u64, previous: u64, skipped: &[u64]) -> Option<()> {
        let pruned = BlobName::Pruned.to_string();
        self.storage.create(&pruned, &[]).ok()?;
        self.storage.read(&pruned).ok()??;
        let mut names = self.list_blobs().ok()?;
        let again = self.list_blobs().ok()?;
        // A listing of several pages may pass over names if others are deleted meanwhile. A checkpoint that it passed over would be taken
        // for intact.
        let older_checkpoints = |names: &[BlobName]| -> BTreeSet<BlobName> {
            let is_older = |name: &BlobName| matches!(name, BlobName::Checkpoint(older) if *older < revision);
            names.iter().copied().filter(is_older).collect()
        };
        if older_checkpoints(&names) != older_checkpoints(&again) {
            return None;
        }
        // Both listings may be stale.
        names.extend(std::iter::once(&previous).chain(skipped).map(|older| BlobName::Checkpoint(*older)));
        names.sort_unstable();
        names.dedup();
        for name in names {
            let obsolete = match name {
                BlobName::Checkpoint(older) if older < revision && older > 0 => {
                    // A `Closed` marker must stay: the writer of that checkpoint may still try to create it.
                    !matches!(self.read_header(older).ok()?, Some(CheckpointHeader::Closed))
                }
                BlobName::Record(older) => older <= revision,
                BlobName::Part(older, _) | BlobName::Index(older) => older < revision,
                BlobName::Checkpoint(_) | BlobName::Pruned => false,
            };
            if obsolete {
                self.storage.delete(&name.to_string()).ok()?;
            }
        }
        self.storage.clean_up();
        Some(())
    }

    fn list_blobs(&self) -> Result<Vec<BlobName>, Error> {
        let names = self.storage.list().map_err(Error::Unavailable)?;
        Ok(names.iter().filter_map(|name| BlobName::parse(name)).collect())
    }

    fn read_header(&self, revision: u64) -> Result<Option<CheckpointHeader>, Error> {
        let name = BlobName::Checkpoint(revision);
        let Some(blob) = read_blob(&self.storage, name)? else { return Ok(None) };
        format::decode_header(&blob, revision).map(Some).map_err(|Damaged| damaged_error(name))
    }

    /// Whether the commit with this revision is the one with this id; none if that is not known.
    fn is_committed(&mut self, revision: u64, id: u64) -> Result<Option<bool>, Error> {
        self.view = None;
        let found = self.read(|view, _| Ok(view.recent().get(&revision).copied()))?;
        Ok(found.map(|found| found == id))
    }
}

impl<S: Storage> Store for Log<S> {
    fn get(&mut self, keys: &[String]) -> Result<Vec<Option<Stored>>, Error> {
        check_get(keys)?;
        self.read(|view, parts| view.get(keys, parts))
    }

    fn scan(&mut self, scan: &Scan) -> Result<Vec<Entry>, Error> {
        check_scan(scan)?;
        self.read(|view, parts| view.scan(scan, parts))
    }

    fn commit(&mut self, checks: &[Check], writes: Vec<Write>) -> Result<Outcome, Error> {
        check_commit(checks, &writes)?;
        let id = self.storage.random();
        let mut revision = 0;
        for attempt in 0..MAX_ATTEMPTS {
            let failed;
            (failed, revision) = self
                .read(|view, parts| Ok((view.first_failed_check(checks, parts)?, view.next_revision()?)))?;
            if let Some(index) = failed {
                return Ok(Outcome::Conflict(index));
            }
            let record = format::encode_record(revision, id, &writes);
            let name = BlobName::Record(revision).to_string();
            if self.storage.create(&name, &record).map_err(Error::Unavailable)? {
                if self.base_is_intact()? {
                    if let Some(view) = &mut self.view {
                        view.apply(revision, Some(id), writes);
                    }
                    if revision.is_multiple_of(self.checkpoint_every) {
                        _ = self.write_checkpoint();
                    }
                    return Ok(Outcome::Committed(revision));
                }
                // Either the name was free because an older commit with this revision had been pruned, or a newer checkpoint already
                // contains this commit.
                match self.is_committed(revision, id)? {
                    Some(true) => return Ok(Outcome::Committed(revision)),
                    // The blob that was created is deleted after the next checkpoint.
                    Some(false) => {}
                    None => return Err(Error::Unavailable("the log was pruned during the commit".into())),
                }
            }
            self.storage.back_off(attempt);
        }
        Err(Error::Unavailable(format!(
            "other writers committed first {MAX_ATTEMPTS} times, or a writer has started commit {revision} and not finished it"
        )))
    }
}

fn read_blob(storage: &impl Storage, name: BlobName) -> Result<Option<Vec<u8>>, Error> {
    storage.read(&name.to_string()).map_err(Error::Unavailable)
}

fn damaged_error(name: BlobName) -> Error {
    Error::Unavailable(format!("{name} is damaged: it was truncated or altered after it was written"))
}
