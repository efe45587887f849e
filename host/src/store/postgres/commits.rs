//! Combines waiting commits into one call of the procedure, and so into one transaction.
//!
//! The server executes commits one after another, each until its transaction is durable. While one call is in flight
//! on a connection, the next commits collect behind it: the busier the store, the more commits share a call and the
//! disk write that ends it. Commits that touch the same keys do not share a call, so the order within a call does not
//! matter.

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
    connection::ManagedConnection,
    procedure::{commit_all, written_key},
};
use crate::store::contract::{Commit, Key, Outcome, StoreError};

/// Maximum number of commits in a call, so that the first does not wait for an endless stream of later ones.
const MAX_BATCH: usize = 256;
/// Maximum number of bytes of the commits in a call; a single commit may exceed it.
const MAX_BATCH_BYTES: usize = 4 << 20;
/// Maximum number of bytes of commits that are queued or in flight on one connection: several of the largest (8 MiB).
const MAX_QUEUED_BYTES: u32 = 32 << 20;

/// Commits on one connection.
#[derive(Clone)]
pub(super) struct Committer(Arc<Shared>);

struct Shared {
    connection: Arc<ManagedConnection>,
    timeout: Duration,
    queue: Mutex<Queue>,
    /// Limits the bytes of queued commits: one permit a byte.
    queued_bytes: Arc<Semaphore>,
    hasher: RandomState,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<PendingCommit>,
    /// Whether a task is processing the queue.
    busy: bool,
}

/// A queued commit. Its caller may have stopped waiting.
struct PendingCommit {
    commit: Commit,
    reply: oneshot::Sender<Result<Outcome, StoreError>>,
    /// Its share of the queue's bytes, released once the reply is sent.
    _bytes: OwnedSemaphorePermit,
    _call: OwnedSemaphorePermit,
}

impl Committer {
    pub(super) fn new(connection: Arc<ManagedConnection>, timeout: Duration) -> Self {
        Self(Arc::new(Shared {
            connection,
            timeout,
            queue: Mutex::default(),
            queued_bytes: Arc::new(Semaphore::new(permits(MAX_QUEUED_BYTES))),
            hasher: RandomState::new(),
        }))
    }

    pub(super) fn connection(&self) -> &Arc<ManagedConnection> {
        &self.0.connection
    }

    /// Queues the commit and waits for its outcome. A commit whose caller stopped waiting before it was sent is
    /// discarded. Once sent, it takes effect or fails even if this future is dropped.
    pub(super) async fn commit(
        &self,
        commit: Commit,
        call: OwnedSemaphorePermit,
        deadline: Instant,
    ) -> Result<Outcome, StoreError> {
        let timed_out = |_| StoreError::timed_out("the commit did not complete in time", self.0.timeout);
        let bytes = u32::try_from(commit.bytes)
            .map_err(|_| StoreError::TooLarge(format!("the commit has {} bytes", commit.bytes)))?;
        let bytes = timeout_at(deadline, Arc::clone(&self.0.queued_bytes).acquire_many_owned(bytes))
            .await
            .map_err(timed_out)?
            .map_err(|_closed| StoreError::closed())?;
        let (reply, outcome) = oneshot::channel();
        let idle = {
            let mut queue = self.0.queue();
            queue.waiting.push_back(PendingCommit { commit, reply, _bytes: bytes, _call: call });
            !std::mem::replace(&mut queue.busy, true)
        };
        if idle {
            // The task runs on this thread's runtime, after the tasks that are already ready: they may queue commits
            // too.
            tokio::spawn(Arc::clone(&self.0).process_queue());
        }
        let dropped = || StoreError::unavailable("the commit's call was dropped");
        timeout_at(deadline, outcome).await.map_err(timed_out)?.unwrap_or_else(|_dropped| Err(dropped()))
    }

    /// Checks that a commit can acquire the lock, on a server that accepts writes. Commits nothing.
    pub(super) async fn probe(&self, deadline: Instant) -> Result<(), StoreError> {
        let connection = &self.0.connection;
        let session = connection.session(deadline).await?;
        connection.within(deadline, &session, commit_all(&session, &[])).await.map(drop)
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Processes commits until the queue is empty.
    async fn process_queue(self: Arc<Self>) {
        // The guard also works if this future is dropped with its runtime: later commits must not wait for it.
        let mut guard = ProcessingGuard { shared: &self, armed: true };
        loop {
            let batch = self.next_batch();
            if batch.is_empty() {
                guard.armed = false;
                return;
            }
            self.commit_batch(batch).await;
        }
    }

    /// Takes the commits of the next call from the queue. If there are none, clears `busy` under the same lock.
    fn next_batch(&self) -> Vec<PendingCommit> {
        let mut queue = self.queue();
        let mut batch: Vec<PendingCommit> = Vec::new();
        let mut touched = TouchedKeys { keys: HashMap::new(), hasher: &self.hasher };
        let mut bytes = 0_usize;
        let mut postponed = VecDeque::new();
        while let Some(pending) = queue.waiting.pop_front() {
            // No one would receive the outcome, and the caller may be retrying already.
            if pending.reply.is_closed() {
                continue;
            }
            let total = bytes.saturating_add(pending.commit.bytes);
            let full = batch.len() >= MAX_BATCH || (total > MAX_BATCH_BYTES && !batch.is_empty());
            if full {
                postponed.push_back(pending);
                break;
            }
            if touched.try_add(&pending.commit) {
                bytes = total;
                batch.push(pending);
            } else {
                postponed.push_back(pending);
            }
        }
        postponed.append(&mut queue.waiting);
        queue.waiting = postponed;
        queue.busy = !batch.is_empty();
        batch
    }

    async fn commit_batch(&self, batch: Vec<PendingCommit>) {
        let deadline = Instant::now() + self.timeout;
        let result = match self.connection.session(deadline).await {
            Ok(session) => {
                let commits: Vec<_> = batch.iter().map(|pending| &pending.commit).collect();
                self.connection.within(deadline, &session, commit_all(&session, &commits)).await
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(outcomes) => {
                for (pending, outcome) in batch.into_iter().zip(outcomes) {
                    // The caller may have stopped waiting.
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

/// Marks the queue as being processed, by one task at a time.
struct ProcessingGuard<'a> {
    shared: &'a Shared,
    /// Cleared when the queue was found empty.
    armed: bool,
}

impl Drop for ProcessingGuard<'_> {
    fn drop(&mut self) {
        if self.armed {
            let mut queue = self.shared.queue();
            queue.busy = false;
            // The task was dropped halfway: waiting callers fail immediately.
            queue.waiting.clear();
        }
    }
}

/// The keys that the commits of one call touch, as hashes; a collision only keeps two commits apart. The value says
/// whether the key is written.
struct TouchedKeys<'a> {
    keys: HashMap<u64, bool>,
    hasher: &'a RandomState,
}

impl TouchedKeys<'_> {
    /// Adds the commit unless it writes a key that others touch or checks a key that others write.
    fn try_add(&mut self, commit: &Commit) -> bool {
        let hash = |key: &Key| self.hasher.hash_one(key.as_str());
        let checked: Vec<_> = commit.checks.iter().map(|check| hash(check.key())).collect();
        let written: Vec<_> = commit.writes.iter().map(|write| hash(written_key(write))).collect();
        let disjoint = written.iter().all(|key| !self.keys.contains_key(key))
            && checked.iter().all(|key| !self.keys.get(key).is_some_and(|written| *written));
        if disjoint {
            for key in checked {
                self.keys.entry(key).or_insert(false);
            }
            self.keys.extend(written.into_iter().map(|key| (key, true)));
        }
        disjoint
    }
}

/// Converts a number of permits to the type that a semaphore uses.
pub(super) fn permits(count: u32) -> usize {
    // Lossless: a pointer has at least 32 bits wherever wasmtime runs.
    usize::try_from(count).unwrap_or(usize::MAX)
}
