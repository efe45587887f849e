//! The one thread that commits.
//!
//! An fsync costs milliseconds and covers everything written before it. So the thread takes all commits
//! that wait, makes them in one transaction, and answers them together once that is durable: the busier
//! the store, the more commits share one fsync.

use std::{
    fs, iter,
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task,
};

use super::sql::{BUSY_TIMEOUT, SELECT_LAST_REVISION, revision_from_column, revision_to_column};
use crate::store::contract::{Check, Commit, Outcome, Revision, StoreError, Write};

/// Most messages that wait for the writer: what one or two full batches hold. More callers than that wait
/// to get in, each under its own deadline.
const MAX_QUEUED: usize = 512;

/// Most bytes of commits that wait or are being made: several of the largest commits (8 MiB), and little
/// beside the memory that the components themselves may take.
const MAX_QUEUED_BYTES: usize = 64 << 20;

/// A batch stops growing at this many commits, so that the first caller does not wait for ever more others.
const MAX_BATCH: usize = 256;

/// A batch stops growing once it holds this many bytes: about what the slowest usual disks write in a tenth
/// of a second. With the commit that crosses the line it stays below three times this.
const MAX_BATCH_BYTES: usize = 4 << 20;

/// How often others are given the processor before a batch is closed. With 64 connections on two processors,
/// once made batches of 4 to 14 commits on average over a run, 16 times of 5 to 20 (in five of six runs over 11),
/// without a difference for one connection.
const GIVE_WAY: u32 = 16;

/// The log may grow by this many bytes before it is cut. SQLite moves it into the file every 4 MiB by itself,
/// but begins it anew only if no read is under way just then; under steady load there always is one.
const MAX_LOG_BYTES: u64 = 32 << 20;

/// How long cutting the log waits for reads under way, while nothing is committed: ordinary ones take milliseconds. A
/// snapshot is held for long; it must not hold up commits.
const CUT_TIMEOUT: Duration = Duration::from_millis(100);

const SELECT_REVISION: &str = "SELECT revision FROM entries WHERE key = ?1";
const PUT: &str = "INSERT INTO entries (key, value, revision) VALUES (?1, ?2, ?3) \
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision";
const DELETE: &str = "DELETE FROM entries WHERE key = ?1";
const UPDATE_LAST_REVISION: &str = "UPDATE last_revision SET revision = ?1";

/// The way to the thread.
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    /// Room for the bytes of commits, one permit a byte.
    room: Arc<Semaphore>,
    /// The thread and what it says last, until a `close` has seen its end. Every other one waits meanwhile.
    thread: Mutex<Option<(JoinHandle<()>, oneshot::Receiver<Totals>)>>,
}

/// What the thread did in its life. Commits over transactions is the folding ratio.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    /// Commits that took place; conflicts are not counted.
    pub(super) commits: u64,
    /// Transactions that carried them, each with one fsync.
    pub(super) transactions: u64,
}

enum Message {
    Commit(Pending),
    Probe(oneshot::Sender<Result<(), StoreError>>),
    Close,
}

/// A commit that somebody may wait for.
struct Pending {
    commit: Commit,
    reply: oneshot::Sender<Result<Outcome, StoreError>>,
    /// Given back once the commit is answered.
    _room: OwnedSemaphorePermit,
}

impl Writer {
    /// Starts the thread, which owns `connection` from here on; `log` is the path of its write-ahead log.
    pub(super) fn start(connection: Connection, log: PathBuf) -> std::io::Result<Self> {
        let (queue, messages) = mpsc::channel(MAX_QUEUED);
        let worker = Worker {
            connection,
            log,
            cut_log_above: MAX_LOG_BYTES,
            failing: false,
            totals: Totals::default(),
        };
        let (say_totals, totals) = oneshot::channel();
        let thread = thread::Builder::new().name("store-writer".into()).spawn(move || {
            // After a store that was dropped without a close, nobody listens.
            let _ = say_totals.send(worker.run(messages));
        })?;
        Ok(Self {
            queue,
            room: Arc::new(Semaphore::new(MAX_QUEUED_BYTES)),
            thread: Mutex::new(Some((thread, totals))),
        })
    }

    /// Queues the commit and waits for its outcome. From the moment it is queued it takes place or fails
    /// whether or not this future is still there.
    pub(super) async fn commit(&self, commit: Commit) -> Result<Outcome, StoreError> {
        let bytes = u32::try_from(commit.bytes)
            .map_err(|_| StoreError::TooLarge(format!("the commit has {} bytes", commit.bytes)))?;
        let room =
            Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_closed| StoreError::closed())?;
        let (reply, outcome) = oneshot::channel();
        self.send(Message::Commit(Pending { commit, reply, _room: room })).await?;
        outcome.await.unwrap_or_else(|_dropped| Err(ended()))
    }

    /// Proves that the thread takes messages and, if its last transaction failed, that it can write again.
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Probe(reply)).await?;
        answer.await.unwrap_or_else(|_dropped| Err(ended()))
    }

    /// Lets the thread finish what is queued and waits for its end. Gives its totals to one caller: to the
    /// first that waits long enough.
    pub(super) async fn close(&self) -> Option<Totals> {
        let mut thread = self.thread.lock().await;
        let (_, totals) = thread.as_mut()?;
        // An error says that the thread takes nothing more: its end is all that is left to wait for.
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

fn ended() -> StoreError {
    StoreError::Unavailable("the writer ended before it answered".into())
}

/// The thread's own side.
struct Worker {
    connection: Connection,
    log: PathBuf,
    /// The length of the log, in bytes, at which it is cut next.
    cut_log_above: u64,
    /// Whether the last transaction failed. A probe then writes, so that health recovers with the disk.
    failing: bool,
    totals: Totals,
}

/// What is taken off the queue at once.
#[derive(Default)]
struct Batch {
    commits: Vec<Pending>,
    bytes: usize,
    probes: Vec<oneshot::Sender<Result<(), StoreError>>>,
}

impl Batch {
    /// The first message and all that wait behind it, within the bounds of a batch.
    fn take(first: Message, messages: &mut mpsc::Receiver<Message>) -> Self {
        let mut batch = Self::default();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Commit(pending) => {
                    batch.bytes = batch.bytes.saturating_add(pending.commit.bytes);
                    batch.commits.push(pending);
                }
                Message::Probe(reply) => batch.probes.push(reply),
                // What is queued can still be received; whoever waits for room is turned away.
                Message::Close => messages.close(),
            }
            let full = batch.commits.len() >= MAX_BATCH || batch.bytes >= MAX_BATCH_BYTES;
            next = if full { None } else { Self::next(messages) };
        }
        batch
    }

    /// The next message that waits. Where none does, whoever is about to send one is given the processor first:
    /// that makes batches several times larger on a busy machine, and costs microseconds on an idle one.
    fn next(messages: &mut mpsc::Receiver<Message>) -> Option<Message> {
        (0..GIVE_WAY).find_map(|_| {
            messages.try_recv().ok().or_else(|| {
                thread::yield_now();
                None
            })
        })
    }
}

impl Worker {
    /// Serves until the queue is closed and empty, then tidies the file.
    fn run(mut self, mut messages: mpsc::Receiver<Message>) -> Totals {
        while let Some(first) = messages.blocking_recv() {
            let Batch { commits, probes, .. } = Batch::take(first, &mut messages);
            if !commits.is_empty() {
                self.make(commits);
                self.bound_log();
            }
            for reply in probes {
                // Somebody who stopped waiting for the answer does not need one.
                let _ = reply.send(self.probe());
            }
        }
        self.finish()
    }

    /// Makes the commits in one transaction and answers all of them.
    fn make(&mut self, pending: Vec<Pending>) {
        let result = self.transact(pending.iter().map(|pending| &pending.commit));
        match result {
            Ok(outcomes) => {
                for (pending, outcome) in pending.into_iter().zip(outcomes) {
                    let _ = pending.reply.send(Ok(outcome));
                }
            }
            Err(error) => {
                for pending in pending {
                    let _ = pending.reply.send(Err(error.clone()));
                }
            }
        }
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        if self.failing {
            // Takes a revision, which is a real write: rewriting what is already there would be none.
            let empty = Commit { checks: Vec::new(), writes: Vec::new(), bytes: 0 };
            self.transact(iter::once(&empty))?;
        }
        Ok(())
    }

    fn transact<'a>(
        &mut self,
        commits: impl Iterator<Item = &'a Commit>,
    ) -> Result<Vec<Outcome>, StoreError> {
        let result = transact(&mut self.connection, commits);
        self.failing = result.is_err();
        if let Ok(outcomes) = &result {
            let made = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Committed(_)));
            let made = u64::try_from(made.count()).unwrap_or(u64::MAX);
            self.totals.commits = self.totals.commits.saturating_add(made);
            self.totals.transactions = self.totals.transactions.saturating_add(u64::from(made > 0));
        }
        result
    }

    /// Cuts a log that has grown long. Waits for the reads under way; new ones do not need the log then.
    fn bound_log(&mut self) {
        if self.log_bytes() > self.cut_log_above {
            if let Err(error) = self.connection.busy_timeout(CUT_TIMEOUT) {
                tracing::warn!(%error, "the store's log could not be cut");
            }
            self.checkpoint();
            let _ = self.connection.busy_timeout(BUSY_TIMEOUT);
            // Where that failed, the next try is as far off as from an empty log: it may take long.
            self.cut_log_above = self.log_bytes().saturating_add(MAX_LOG_BYTES);
        }
    }

    fn log_bytes(&self) -> u64 {
        fs::metadata(&self.log).map_or(0, |log| log.len())
    }

    /// Moves the log into the file and empties it. A failure loses nothing: the log stays what it is.
    fn checkpoint(&self) {
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        match self.connection.query_one(sql, [], |row| row.get::<_, i64>(0)) {
            Ok(0) => {}
            Ok(_busy) => tracing::warn!(
                "the store's log is in use, by an export or another process, so it was not emptied"
            ),
            Err(error) => tracing::warn!(%error, "the store's log could not be moved into its file"),
        }
    }

    /// Leaves one file that alone is the whole store.
    fn finish(self) -> Totals {
        self.checkpoint();
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "the store's file could not be closed");
        }
        self.totals
    }
}

/// All commits, in order, in one transaction. Any error rolls back all of them.
fn transact<'a>(
    connection: &mut Connection,
    commits: impl Iterator<Item = &'a Commit>,
) -> Result<Vec<Outcome>, StoreError> {
    // Dropping the transaction rolls it back, also after a failed COMMIT.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before: i64 = transaction.prepare_cached(SELECT_LAST_REVISION)?.query_one([], |row| row.get(0))?;
    let before = revision_from_column(before)?;
    let mut last = before;
    let outcomes =
        commits.map(|commit| apply(&transaction, commit, &mut last)).collect::<Result<Vec<_>, _>>()?;
    if last != before {
        transaction.prepare_cached(UPDATE_LAST_REVISION)?.execute([revision_to_column(last)?])?;
    }
    transaction.commit()?;
    Ok(outcomes)
}

/// One commit on top of those before it in the transaction.
fn apply(transaction: &Transaction<'_>, commit: &Commit, last: &mut Revision) -> Result<Outcome, StoreError> {
    for (index, check) in commit.checks.iter().enumerate() {
        if !holds(transaction, check)? {
            return Ok(Outcome::Conflict(index));
        }
    }
    let revision = Revision(last.0.checked_add(1).ok_or_else(StoreError::out_of_revisions)?);
    let column = revision_to_column(revision)?;
    for write in &commit.writes {
        match write {
            Write::Put(key, value) => {
                transaction.prepare_cached(PUT)?.execute(params![key.as_str(), value.as_bytes(), column])?
            }
            Write::Delete(key) => transaction.prepare_cached(DELETE)?.execute([key.as_str()])?,
        };
    }
    *last = revision;
    Ok(Outcome::Committed(revision))
}

fn holds(transaction: &Transaction<'_>, check: &Check) -> Result<bool, StoreError> {
    let found: Option<i64> = transaction
        .prepare_cached(SELECT_REVISION)?
        .query_one([check.key().as_str()], |row| row.get(0))
        .optional()?;
    Ok(check.holds(found.map(revision_from_column).transpose()?))
}
