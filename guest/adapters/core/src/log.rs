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
//! 1. checkpoints are deleted before the records that follow them;
//! 2. only the writer of a commit writes the checkpoint of that commit, once, and never after a later checkpoint exists.
//!    Before a later checkpoint is written, each checkpoint revision between it and the checkpoint that its writer started
//!    from either has its checkpoint, or has its name occupied by a marker that no checkpoint will be written
//!    (`CheckpointHeader::Closed`);
//! 3. before the first record is ever deleted, a marker of the deletion is created (`BlobName::Pruned`). It covers readers that
//!    started from an empty state.
//!
//! The whole state is held in memory, and a new instance reads all of it.

use crate::{
    contract::{
        Check, Entry, Error, Outcome, Scan, Store, Stored, Write, check_commit, check_get, check_scan,
    },
    format::{self, CheckpointHeader, Damaged},
    names::BlobName,
    state::State,
    storage::Storage,
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
    /// The state at `state.revision()`, once the log has been read.
    state: Option<State>,
    /// The revision of the checkpoint that `state` started from; 0 for the empty state.
    base: u64,
}

impl<S: Storage> Log<S> {
    /// Creates a store over a storage. Nothing is read yet.
    pub const fn new(storage: S) -> Self {
        Self::with_checkpoint_every(storage, CHECKPOINT_EVERY)
    }

    /// Creates a store with another checkpoint interval, in commits. All writers that share a storage must use the same
    /// interval.
    pub const fn with_checkpoint_every(storage: S, commits: u64) -> Self {
        Self { storage, checkpoint_every: commits, state: None, base: 0 }
    }

    /// Reads the log to its end and returns the state at some point after this call began.
    fn read_to_end(&mut self) -> Result<&mut State, Error> {
        for attempt in 0..MAX_ATTEMPTS {
            let state = match self.state.take() {
                Some(state) => Some(state),
                None => self.read_newest_checkpoint()?,
            };
            if let Some(state) = state {
                let state = self.apply_later_records(state)?;
                if self.base_is_intact()? {
                    return Ok(self.state.insert(state));
                }
            }
            self.storage.back_off(attempt);
        }
        Err(Error::Unavailable(format!("the log was pruned {MAX_ATTEMPTS} times while it was being read")))
    }

    /// Reads the state to start from and sets `base` to its revision. Returns none if its parts are deleted during the call.
    fn read_newest_checkpoint(&mut self) -> Result<Option<State>, Error> {
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
        Ok(Some(State::default()))
    }

    fn read_checkpoint(&self, revision: u64, parts: u32) -> Result<Option<State>, Error> {
        let mut body = Vec::new();
        for number in 0..parts {
            let name = BlobName::Part(revision, number);
            let Some(blob) = self.read_blob(name)? else { return Ok(None) };
            let part = format::decode_part(&blob, revision, number).map_err(|Damaged| damaged_error(name))?;
            body.extend_from_slice(part);
        }
        let state = format::decode_state(&body, revision);
        state.map(Some).map_err(|Damaged| damaged_error(BlobName::Checkpoint(revision)))
    }

    /// Reads the records that follow the state and applies them.
    fn apply_later_records(&self, mut state: State) -> Result<State, Error> {
        loop {
            let revision = state.next_revision()?;
            let name = BlobName::Record(revision);
            let Some(blob) = self.read_blob(name)? else { return Ok(state) };
            let writes = format::decode_record(&blob, revision).map_err(|Damaged| damaged_error(name))?;
            state.apply(revision, writes);
        }
    }

    /// Whether every record after `base` still exists: no newer checkpoint has caused one to be deleted.
    fn base_is_intact(&self) -> Result<bool, Error> {
        match self.base {
            0 => Ok(self.read_blob(BlobName::Pruned)?.is_none()),
            revision => Ok(matches!(self.read_header(revision)?, Some(CheckpointHeader::Parts(_)))),
        }
    }

    /// Writes a checkpoint of the state and deletes the blobs that it replaces. A missing checkpoint only makes the log
    /// longer, so any failure abandons the attempt; the next checkpoint completes the work.
    fn write_checkpoint(&mut self) -> Option<()> {
        let state = self.state.as_ref()?;
        let revision = state.revision();
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
        let parts = format::encode_parts(state);
        let count = u32::try_from(parts.len()).ok()?;
        for (number, part) in (0..).zip(parts) {
            if !self.storage.create(&BlobName::Part(revision, number).to_string(), &part).ok()? {
                return None;
            }
        }
        let header = format::encode_header(revision, CheckpointHeader::Parts(count));
        if !self.storage.create(&BlobName::Checkpoint(revision).to_string(), &header).ok()? {
            return None;
        }
        let previous = std::mem::replace(&mut self.base, revision);
        self.prune(revision, previous, &skipped)
    }

    /// Deletes the blobs that a checkpoint replaces: first the older checkpoints, the oldest first; then the records; then
    /// the parts. Then has the storage clean up.
    fn prune(&self, revision: u64, previous: u64, skipped: &[u64]) -> Option<()> {
        let pruned = BlobName::Pruned.to_string();
        self.storage.create(&pruned, &[]).ok()?;
        self.storage.read(&pruned).ok()??;
        let mut names = self.list_blobs().ok()?;
        // The listing may be stale.
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
                BlobName::Part(older, _) => older < revision,
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
        let Some(blob) = self.read_blob(name)? else { return Ok(None) };
        format::decode_header(&blob, revision).map(Some).map_err(|Damaged| damaged_error(name))
    }

    fn read_blob(&self, name: BlobName) -> Result<Option<Vec<u8>>, Error> {
        self.storage.read(&name.to_string()).map_err(Error::Unavailable)
    }
}

impl<S: Storage> Store for Log<S> {
    fn get(&mut self, keys: &[String]) -> Result<Vec<Option<Stored>>, Error> {
        check_get(keys)?;
        self.read_to_end()?.get(keys)
    }

    fn scan(&mut self, scan: &Scan) -> Result<Vec<Entry>, Error> {
        check_scan(scan)?;
        self.read_to_end()?.scan(scan)
    }

    fn commit(&mut self, checks: &[Check], writes: Vec<Write>) -> Result<Outcome, Error> {
        check_commit(checks, &writes)?;
        let mut revision = 0;
        for attempt in 0..MAX_ATTEMPTS {
            let state = self.read_to_end()?;
            if let Some(index) = state.first_failed_check(checks) {
                return Ok(Outcome::Conflict(index));
            }
            revision = state.next_revision()?;
            let record = format::encode_record(revision, &writes);
            let name = BlobName::Record(revision).to_string();
            if self.storage.create(&name, &record).map_err(Error::Unavailable)? {
                if !self.base_is_intact()? {
                    // Either the name was free because an older commit with this revision had been pruned, or a newer
                    // checkpoint already contains this commit.
                    self.state = None;
                    return Err(Error::Unavailable("the log was pruned during the commit".into()));
                }
                if let Some(state) = &mut self.state {
                    state.apply(revision, writes);
                }
                if revision.is_multiple_of(self.checkpoint_every) {
                    _ = self.write_checkpoint();
                }
                return Ok(Outcome::Committed(revision));
            }
            self.storage.back_off(attempt);
        }
        Err(Error::Unavailable(format!(
            "other writers committed first {MAX_ATTEMPTS} times, or a writer has started commit {revision} and not finished it"
        )))
    }
}

fn damaged_error(name: BlobName) -> Error {
    Error::Unavailable(format!("{name} is damaged: it was truncated or altered after it was written"))
}
