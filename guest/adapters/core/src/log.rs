//! A store over any [`Storage`]: a log of commits, each under the name of its revision, and checkpoints of it.
//!
//! A commit reads the log to its end, looks at its checks, and takes the name of the next revision. Only one writer gets
//! it, so that however many there are, each commit was made upon the state that its checks were looked at in; whoever
//! comes second reads on and tries again. The blob is whole or not there, and with it the commit.
//!
//! Every so many commits, whoever made that commit writes down the whole state, and then deletes what came before. Names
//! that have been deleted are free again, so that reading to the end proves nothing by itself. It does if the checkpoint
//! that one began from is still there afterwards, for:
//!
//! 1. checkpoints are deleted before the records that follow them;
//! 2. a checkpoint is written by the one who made its commit, once, and not after a later one exists: before a later one
//!    is written, each revision between it and the one that its writer began from has its checkpoint, or its name is
//!    taken to say that there will be none (`Head::Closed`);
//! 3. before the first record is ever deleted, a name is taken to say so, which holds for those who began from nothing.
//!
//! The whole state is in memory, and an instance that is new reads all of it.

use crate::{
    contract::{
        Check, Entry, Error, Outcome, Scan, Store, Stored, Write, check_commit, check_get, check_scan,
    },
    format::{self, Damaged, Head},
    names::Name,
    state::State,
    storage::Storage,
};

/// Commits from one checkpoint to the next. A new instance reads half of that many records on average; each commit pays
/// for this share of writing down the state.
pub const CHECKPOINT_EVERY: u64 = 64;

/// How often something is tried that another writer has got in the way of.
const ATTEMPTS: u32 = 64;

/// A store over a storage, which it may share with others.
#[derive(Debug)]
pub struct Log<S> {
    storage: S,
    every: u64,
    /// What the log says up to `state.revision()`, if it has been read at all.
    state: Option<State>,
    /// The checkpoint that `state` began from; 0 for nothing.
    base: u64,
}

impl<S: Storage> Log<S> {
    /// A store over a storage: reads nothing yet.
    pub const fn new(storage: S) -> Self {
        Self::with_checkpoint_every(storage, CHECKPOINT_EVERY)
    }

    /// The same with another distance between checkpoints. All who share a storage must have the same.
    pub const fn with_checkpoint_every(storage: S, every: u64) -> Self {
        Self { storage, every, state: None, base: 0 }
    }

    /// The state that the log ends with, at some point after this call began.
    fn read(&mut self) -> Result<&mut State, Error> {
        for attempt in 0..ATTEMPTS {
            let state = match self.state.take() {
                Some(state) => Some(state),
                None => self.newest_checkpoint()?,
            };
            if let Some(state) = state {
                let state = self.follow(state)?;
                if self.base_stands()? {
                    return Ok(self.state.insert(state));
                }
            }
            self.storage.pause(attempt);
        }
        Err(Error::Unavailable(format!("the log was cut short {ATTEMPTS} times while it was read")))
    }

    /// The state to begin from, and `base` with it. None if it was deleted meanwhile.
    fn newest_checkpoint(&mut self) -> Result<Option<State>, Error> {
        let mut checkpoints: Vec<u64> = self
            .names()?
            .into_iter()
            .filter_map(|name| if let Name::Checkpoint(revision) = name { Some(revision) } else { None })
            .collect();
        checkpoints.sort_unstable();
        for revision in checkpoints.into_iter().rev() {
            match self.head(revision)? {
                None => return Ok(None),
                Some(Head::Closed) => {}
                Some(Head::Parts(count)) => {
                    self.base = revision;
                    return self.checkpoint(revision, count);
                }
            }
        }
        self.base = 0;
        Ok(Some(State::default()))
    }

    fn checkpoint(&self, revision: u64, count: u32) -> Result<Option<State>, Error> {
        let mut body = Vec::new();
        for number in 0..count {
            let name = Name::Part(revision, number);
            let Some(blob) = self.blob(name)? else { return Ok(None) };
            body.extend_from_slice(format::read_part(&blob, revision, number).map_err(|_| damaged(name))?);
        }
        let state = format::read_state(&body, revision);
        state.map(Some).map_err(|_| damaged(Name::Checkpoint(revision)))
    }

    /// Reads the records that follow.
    fn follow(&self, mut state: State) -> Result<State, Error> {
        loop {
            let revision = state.next()?;
            let name = Name::Record(revision);
            let Some(blob) = self.blob(name)? else { return Ok(state) };
            state.apply(revision, format::read_record(&blob, revision).map_err(|Damaged| damaged(name))?);
        }
    }

    /// Whether no record after the checkpoint that we began from has been deleted.
    fn base_stands(&self) -> Result<bool, Error> {
        match self.base {
            0 => Ok(self.blob(Name::Pruned)?.is_none()),
            revision => Ok(matches!(self.head(revision)?, Some(Head::Parts(_)))),
        }
    }

    /// Writes the state down, and deletes what came before. Without its having been done, the log is longer, and nothing
    /// else; so whatever goes wrong only ends it. The next one does what was left.
    fn write_checkpoint(&mut self) -> Option<()> {
        let state = self.state.as_ref()?;
        let revision = state.revision();
        let (oldest, step) = (self.base.checked_add(self.every)?, usize::try_from(self.every).ok()?);
        let passed: Vec<u64> = (oldest..revision).step_by(step).collect();
        for between in &passed {
            let name = Name::Checkpoint(*between);
            let closed = format::head(*between, Head::Closed);
            // Whoever takes a name may still be at it: only what can be read can come no more.
            if !self.storage.create(&name.to_string(), &closed).ok()? {
                self.head(*between).ok()??;
            }
        }
        let parts = format::parts(state);
        let count = u32::try_from(parts.len()).ok()?;
        for (number, part) in (0..).zip(parts) {
            if !self.storage.create(&Name::Part(revision, number).to_string(), &part).ok()? {
                return None;
            }
        }
        let head = format::head(revision, Head::Parts(count));
        if !self.storage.create(&Name::Checkpoint(revision).to_string(), &head).ok()? {
            return None;
        }
        let before = std::mem::replace(&mut self.base, revision);
        self.prune(revision, before, &passed)
    }

    /// Deletes what came before a checkpoint: the checkpoints, the oldest first; then the records; then the parts. Then the
    /// storage tidies up.
    fn prune(&self, revision: u64, before: u64, passed: &[u64]) -> Option<()> {
        let pruned = Name::Pruned.to_string();
        self.storage.create(&pruned, &[]).ok()?;
        self.storage.read(&pruned).ok()??;
        let mut names = self.names().ok()?;
        // A listing may be behind.
        names.extend(std::iter::once(&before).chain(passed).map(|older| Name::Checkpoint(*older)));
        names.sort_unstable();
        names.dedup();
        for name in names {
            let goes = match name {
                Name::Checkpoint(older) if older < revision && older > 0 => {
                    // Those that say that there will be none must stay: their writers may still come.
                    !matches!(self.head(older).ok()?, Some(Head::Closed))
                }
                Name::Record(older) => older <= revision,
                Name::Part(older, _) => older < revision,
                Name::Checkpoint(_) | Name::Pruned => false,
            };
            if goes {
                self.storage.delete(&name.to_string()).ok()?;
            }
        }
        self.storage.tidy();
        Some(())
    }

    fn names(&self) -> Result<Vec<Name>, Error> {
        let names = self.storage.list().map_err(Error::Unavailable)?;
        Ok(names.iter().filter_map(|name| Name::parse(name)).collect())
    }

    fn head(&self, revision: u64) -> Result<Option<Head>, Error> {
        let name = Name::Checkpoint(revision);
        let Some(blob) = self.blob(name)? else { return Ok(None) };
        format::read_head(&blob, revision).map(Some).map_err(|Damaged| damaged(name))
    }

    fn blob(&self, name: Name) -> Result<Option<Vec<u8>>, Error> {
        self.storage.read(&name.to_string()).map_err(Error::Unavailable)
    }
}

impl<S: Storage> Store for Log<S> {
    fn get(&mut self, keys: &[String]) -> Result<Vec<Option<Stored>>, Error> {
        check_get(keys)?;
        self.read()?.get(keys)
    }

    fn scan(&mut self, scan: &Scan) -> Result<Vec<Entry>, Error> {
        check_scan(scan)?;
        self.read()?.scan(scan)
    }

    fn commit(&mut self, checks: &[Check], writes: Vec<Write>) -> Result<Outcome, Error> {
        check_commit(checks, &writes)?;
        let mut revision = 0;
        for attempt in 0..ATTEMPTS {
            let state = self.read()?;
            if let Some(index) = state.first_failing(checks) {
                return Ok(Outcome::Conflict(index));
            }
            revision = state.next()?;
            let record = format::record(revision, &writes);
            let name = Name::Record(revision).to_string();
            if self.storage.create(&name, &record).map_err(Error::Unavailable)? {
                if !self.base_stands()? {
                    // Either the name was free because the commit that had it is long past, or this commit has been
                    // written down elsewhere already.
                    self.state = None;
                    return Err(Error::Unavailable("the log was cut short during the commit".into()));
                }
                if let Some(state) = &mut self.state {
                    state.apply(revision, writes);
                }
                if revision.is_multiple_of(self.every) {
                    _ = self.write_checkpoint();
                }
                return Ok(Outcome::Committed(revision));
            }
            self.storage.pause(attempt);
        }
        Err(Error::Unavailable(format!(
            "others were first {ATTEMPTS} times, or one has begun commit {revision} and not ended it"
        )))
    }
}

fn damaged(name: Name) -> Error {
    Error::Unavailable(format!("{name} is damaged: it was cut or changed after it was written"))
}
