//! Commits that wait share one call of a procedure, and one transaction.
//!
//! Commits take turns on the server, each until its transaction is durable. So while one call is under way on a lane, the
//! next commits gather behind it: the busier the store, the more of them share a turn and the write to the disk that ends
//! it. Commits that touch the same keys do not share a call, so that the order within a call does not matter.

use std::{
    collections::{HashMap, VecDeque, hash_map::RandomState},
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::{Instant, timeout_at},
};

use super::{
    call::{call, written_key},
    lane::Lane,
};
use crate::store::contract::{Commit, Key, Outcome, StoreError};

/// A call takes on no more commits than this, so that the first does not wait for ever more others …
const MAX_BATCH: usize = 256;
/// … nor more bytes, unless one commit alone has more.
const MAX_BATCH_BYTES: usize = 4 << 20;
/// Most bytes of commits that wait or are being made on one lane: several of the largest (8 MiB).
const MAX_QUEUED_BYTES: u32 = 32 << 20;

/// A lane on which commits are made.
#[derive(Clone)]
pub(super) struct Committer(Arc<Shared>);

struct Shared {
    lane: Arc<Lane>,
    timeout: Duration,
    queue: Mutex<Queue>,
    /// Room for the bytes of commits, one permit a byte.
    room: Arc<Semaphore>,
    hasher: RandomState,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Pending>,
    /// Whether somebody is making commits, and will look here again.
    busy: bool,
}

/// A commit that somebody may wait for.
struct Pending {
    commit: Commit,
    reply: oneshot::Sender<Result<Outcome, StoreError>>,
    /// Given back once the commit is answered.
    _room: OwnedSemaphorePermit,
    _call: OwnedSemaphorePermit,
}

impl Committer {
    pub(super) fn new(lane: Arc<Lane>, timeout: Duration) -> Self {
        Self(Arc::new(Shared {
            lane,
            timeout,
            queue: Mutex::default(),
            room: Arc::new(Semaphore::new(permits(MAX_QUEUED_BYTES))),
            hasher: RandomState::new(),
        }))
    }

    pub(super) fn lane(&self) -> &Arc<Lane> {
        &self.0.lane
    }

    /// Queues the commit and waits for its outcome. A commit that nobody waits for any more is not begun; one that has
    /// begun takes place or fails, whether or not this future is still there.
    pub(super) async fn commit(
        &self,
        commit: Commit,
        call: OwnedSemaphorePermit,
        deadline: Instant,
    ) -> Result<Outcome, StoreError> {
        let late = |_| StoreError::Unavailable(format!("the commit did not end within {:?}", self.0.timeout));
        let bytes = u32::try_from(commit.bytes)
            .map_err(|_| StoreError::TooLarge(format!("the commit has {} bytes", commit.bytes)))?;
        let room = timeout_at(deadline, Arc::clone(&self.0.room).acquire_many_owned(bytes))
            .await
            .map_err(late)?
            .map_err(|_closed| StoreError::closed())?;
        let (reply, outcome) = oneshot::channel();
        let idle = {
            let mut queue = self.0.queue();
            queue.waiting.push_back(Pending { commit, reply, _room: room, _call: call });
            !std::mem::replace(&mut queue.busy, true)
        };
        if idle {
            // On this thread's runtime, behind whatever is ready on it: those may have commits too.
            tokio::spawn(Arc::clone(&self.0).make_all());
        }
        let ended = || StoreError::Unavailable("the commit's call was dropped".to_owned());
        timeout_at(deadline, outcome).await.map_err(late)?.unwrap_or_else(|_dropped| Err(ended()))
    }

    /// Proves that commits can have their turn on a server that takes writes. Makes none.
    pub(super) async fn probe(&self, deadline: Instant) -> Result<(), StoreError> {
        let lane = &self.0.lane;
        let session = lane.session(deadline).await?;
        lane.within(deadline, &session, call(&session, &[])).await.map(drop)
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes commits until none waits.
    async fn make_all(self: Arc<Self>) {
        // Also if this is dropped with its runtime: whoever comes later must not wait for it.
        let mut lead = Lead { shared: &self, held: true };
        loop {
            let batch = self.take();
            if batch.is_empty() {
                lead.held = false;
                return;
            }
            self.make(batch).await;
        }
    }

    /// The commits that share the next call. Gives the lead back, under the lock, if there are none.
    fn take(&self) -> Vec<Pending> {
        let mut queue = self.queue();
        let mut batch: Vec<Pending> = Vec::new();
        let mut touched = Touched { keys: HashMap::new(), hasher: &self.hasher };
        let mut bytes = 0_usize;
        let mut left = VecDeque::new();
        while let Some(pending) = queue.waiting.pop_front() {
            // Nobody would learn of its outcome, and whoever gave up may be trying again.
            if pending.reply.is_closed() {
                continue;
            }
            let more = bytes.saturating_add(pending.commit.bytes);
            let full = batch.len() >= MAX_BATCH || (more > MAX_BATCH_BYTES && !batch.is_empty());
            if full {
                left.push_back(pending);
                break;
            }
            if touched.admits(&pending.commit) {
                bytes = more;
                batch.push(pending);
            } else {
                left.push_back(pending);
            }
        }
        left.append(&mut queue.waiting);
        queue.waiting = left;
        queue.busy = !batch.is_empty();
        batch
    }

    async fn make(&self, batch: Vec<Pending>) {
        let deadline = Instant::now() + self.timeout;
        let made = match self.lane.session(deadline).await {
            Ok(session) => {
                let commits: Vec<_> = batch.iter().map(|pending| &pending.commit).collect();
                self.lane.within(deadline, &session, call(&session, &commits)).await
            }
            Err(error) => Err(error),
        };
        match made {
            Ok(outcomes) => {
                for (pending, outcome) in batch.into_iter().zip(outcomes) {
                    // Somebody who stopped waiting does not need it.
                    let _ = pending.reply.send(Ok(outcome));
                }
            }
            Err(error) => {
                for pending in batch {
                    let _ = pending.reply.send(Err(error.clone()));
                }
            }
        }
    }
}

/// The making of a lane's commits, which only one task has at a time.
struct Lead<'a> {
    shared: &'a Shared,
    /// Until it was given back, with nothing left to do.
    held: bool,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if self.held {
            let mut queue = self.shared.queue();
            queue.busy = false;
            // Dropped half way: those who wait learn it at once.
            queue.waiting.clear();
        }
    }
}

/// What the commits of one call touch, as hashes: two keys that have the same one only keep two commits apart. True for a
/// key that is written.
struct Touched<'a> {
    keys: HashMap<u64, bool>,
    hasher: &'a RandomState,
}

impl Touched<'_> {
    /// Adds a commit that neither writes what others touch nor checks what others write.
    fn admits(&mut self, commit: &Commit) -> bool {
        let hash = |key: &Key| self.hasher.hash_one(key.as_str());
        let checked: Vec<_> = commit.checks.iter().map(|check| hash(check.key())).collect();
        let written: Vec<_> = commit.writes.iter().map(|write| hash(written_key(write))).collect();
        let free = written.iter().all(|key| !self.keys.contains_key(key))
            && checked.iter().all(|key| !self.keys.get(key).is_some_and(|written| *written));
        if free {
            for key in checked {
                self.keys.entry(key).or_insert(false);
            }
            self.keys.extend(written.into_iter().map(|key| (key, true)));
        }
        free
    }
}

/// A number of permits as a semaphore counts them.
pub(super) fn permits(count: u32) -> usize {
    // Lossless: a pointer has at least 32 bits wherever wasmtime runs.
    usize::try_from(count).unwrap_or(usize::MAX)
}
