//! The handle to the thread that commits.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use rusqlite::Connection;
use tokio::{
    sync::{Mutex, Semaphore, mpsc, oneshot},
    task,
};

use super::{
    batch::{Message, PendingCommit},
    condition::Condition,
    identity::Identity,
    wal::Log,
    writer_thread::{Totals, WriterThread},
};
use crate::store::contract::{Commit, Outcome, StoreError};

/// Maximum number of queued messages: one or two full batches. Further callers wait for room in the queue, each under
/// its own deadline.
const MAX_QUEUED: usize = 512;

/// Maximum number of bytes of commits that are queued or being applied: several of the largest commits (8 MiB), and
/// little compared with the memory that the components themselves may use.
const MAX_QUEUED_BYTES: usize = 64 << 20;

/// Sends commits to the writer thread.
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    /// Limits the bytes of queued commits: one permit a byte.
    queued_bytes: Arc<Semaphore>,
    /// The thread and its totals, until a call of `close` has awaited its end. Concurrent calls of `close` wait for the lock.
    thread: Mutex<Option<(JoinHandle<()>, oneshot::Receiver<Totals>)>>,
}

impl Writer {
    /// Starts the thread, which owns the connection and its log from then on.
    pub(super) fn start(
        connection: Connection,
        log: Log,
        identity: Arc<Identity>,
        condition: Arc<Condition>,
    ) -> std::io::Result<Self> {
        let (queue, messages) = mpsc::channel(MAX_QUEUED);
        let writer = WriterThread::new(connection, log, identity, condition);
        let (totals_sender, totals) = oneshot::channel();
        let thread = thread::Builder::new().name("store-writer".into()).spawn(move || {
            // A store that is dropped without `close` has no receiver.
            let _ = totals_sender.send(writer.run(messages));
        })?;
        Ok(Self {
            queue,
            queued_bytes: Arc::new(Semaphore::new(MAX_QUEUED_BYTES)),
            thread: Mutex::new(Some((thread, totals))),
        })
    }

    /// Queues the commit and waits for its outcome. Once queued, it takes effect or fails even if this future is dropped.
    pub(super) async fn commit(&self, commit: Commit) -> Result<Outcome, StoreError> {
        let bytes = u32::try_from(commit.bytes)
            .map_err(|_| StoreError::TooLarge(format!("the commit has {} bytes", commit.bytes)))?;
        let bytes = Arc::clone(&self.queued_bytes)
            .acquire_many_owned(bytes)
            .await
            .map_err(|_closed| StoreError::closed())?;
        let (reply, outcome) = oneshot::channel();
        self.send(Message::Commit(PendingCommit { commit, reply, _bytes: bytes })).await?;
        outcome.await.unwrap_or_else(|_dropped| Err(thread_ended()))
    }

    /// Checks that the thread processes messages and, if its last transaction failed, that it can write again.
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        let (reply, result) = oneshot::channel();
        self.send(Message::Probe(reply)).await?;
        result.await.unwrap_or_else(|_dropped| Err(thread_ended()))
    }

    /// Lets the thread finish its queue and waits for its end. Returns the totals to one caller only: the first that
    /// waits long enough.
    pub(super) async fn close(&self) -> Option<Totals> {
        let mut thread = self.thread.lock().await;
        let (_, totals) = thread.as_mut()?;
        // An error means that the thread has stopped receiving; its end is still to be awaited.
        let _ = self.queue.send(Message::Close).await;
        let totals = totals.await.ok();
        let (handle, _) = thread.take()?;
        let _ = task::spawn_blocking(move || handle.join()).await;
        totals
    }

    async fn send(&self, message: Message) -> Result<(), StoreError> {
        self.queue.send(message).await.map_err(|_closed| StoreError::closed())
    }
}

fn thread_ended() -> StoreError {
    StoreError::unavailable("the writer thread ended before it replied")
}
