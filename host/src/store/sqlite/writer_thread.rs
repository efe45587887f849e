//! The thread that commits.
//!
//! An fsync costs milliseconds and covers everything written before it. So the thread takes all waiting commits, applies
//! them in one transaction, and replies to all callers once that is durable: the busier the store, the more commits share
//! one fsync.

use std::{fs, iter, path::PathBuf, time::Duration};

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::{
    batch::{Batch, Message, PendingCommit},
    sql::BUSY_TIMEOUT,
    transaction::commit_all,
};
use crate::store::contract::{Commit, Outcome, StoreError};

/// The WAL may grow by this many bytes before it is truncated. SQLite copies it into the file every 4 MiB on its own, but
/// starts it anew only if no read is in flight at that moment; under steady load there always is one.
const MAX_WAL_BYTES: u64 = 32 << 20;

/// How long truncating the WAL waits for reads in flight; no commit runs meanwhile. Ordinary reads take milliseconds. A
/// snapshot is held for long and must not delay commits.
const TRUNCATE_TIMEOUT: Duration = Duration::from_millis(100);

/// Counts over the thread's lifetime. Commits per transaction is the batching ratio.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    /// Commits that took effect, without conflicts.
    pub(super) commits: u64,
    /// Transactions that contained them, each with one fsync.
    pub(super) transactions: u64,
}

/// The state of the thread.
pub(super) struct WriterThread {
    connection: Connection,
    wal: PathBuf,
    /// The size of the WAL, in bytes, above which it is truncated next.
    truncate_wal_above: u64,
    /// Whether the last transaction failed. A probe then writes, so that health recovers together with the disk.
    last_transaction_failed: bool,
    totals: Totals,
}

impl WriterThread {
    /// Takes the connection, and the path of its WAL.
    pub(super) fn new(connection: Connection, wal: PathBuf) -> Self {
        Self {
            connection,
            wal,
            truncate_wal_above: MAX_WAL_BYTES,
            last_transaction_failed: false,
            totals: Totals::default(),
        }
    }

    /// Processes messages until the queue is closed and empty, then merges the WAL into the file and closes it.
    pub(super) fn run(mut self, mut messages: mpsc::Receiver<Message>) -> Totals {
        while let Some(first) = messages.blocking_recv() {
            let Batch { commits, probes, .. } = Batch::collect(first, &mut messages);
            if !commits.is_empty() {
                self.commit_batch(commits);
                self.limit_wal();
            }
            for reply in probes {
                // The caller may have stopped waiting.
                let _ = reply.send(self.probe());
            }
        }
        self.close()
    }

    /// Applies the commits in one transaction and replies to all callers.
    fn commit_batch(&mut self, batch: Vec<PendingCommit>) {
        let result = self.commit_all(batch.iter().map(|pending| &pending.commit));
        match result {
            Ok(outcomes) => {
                for (pending, outcome) in batch.into_iter().zip(outcomes) {
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

    fn probe(&mut self) -> Result<(), StoreError> {
        if self.last_transaction_failed {
            // An empty commit takes a revision, which is a real write; rewriting an existing value would not be one.
            let empty = Commit { checks: Vec::new(), writes: Vec::new(), bytes: 0 };
            self.commit_all(iter::once(&empty))?;
        }
        Ok(())
    }

    fn commit_all<'a>(
        &mut self,
        commits: impl Iterator<Item = &'a Commit>,
    ) -> Result<Vec<Outcome>, StoreError> {
        let result = commit_all(&mut self.connection, commits);
        self.last_transaction_failed = result.is_err();
        if let Ok(outcomes) = &result {
            let committed = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Committed(_)));
            let committed = u64::try_from(committed.count()).unwrap_or(u64::MAX);
            self.totals.commits = self.totals.commits.saturating_add(committed);
            self.totals.transactions = self.totals.transactions.saturating_add(u64::from(committed > 0));
        }
        result
    }

    /// Truncates the WAL if it has grown too large. Waits for the reads in flight; later reads do not need the WAL.
    fn limit_wal(&mut self) {
        if self.wal_bytes() > self.truncate_wal_above {
            if let Err(error) = self.connection.busy_timeout(TRUNCATE_TIMEOUT) {
                tracing::warn!(
                    event = "store.wal_truncation_failed",
                    %error,
                    "could not truncate the store's write-ahead log"
                );
            }
            self.checkpoint();
            let _ = self.connection.busy_timeout(BUSY_TIMEOUT);
            // After a failure, the next attempt waits for as much growth as after a success: it may take long.
            self.truncate_wal_above = self.wal_bytes().saturating_add(MAX_WAL_BYTES);
        }
    }

    fn wal_bytes(&self) -> u64 {
        fs::metadata(&self.wal).map_or(0, |wal| wal.len())
    }

    /// Copies the WAL into the file and empties it. A failure loses nothing: the WAL stays unchanged.
    fn checkpoint(&self) {
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        match self.connection.query_one(sql, [], |row| row.get::<_, i64>(0)) {
            Ok(0) => {}
            Ok(_busy) => tracing::warn!(
                event = "store.wal_in_use",
                "the store's write-ahead log was not truncated: an export or another process is using it"
            ),
            Err(error) => tracing::warn!(
                event = "store.checkpoint_failed",
                %error,
                "could not copy the store's write-ahead log into its file"
            ),
        }
    }

    /// Leaves a single file that is the whole store.
    fn close(self) -> Totals {
        self.checkpoint();
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(event = "store.close_failed", %error, "could not close the store's file");
        }
        self.totals
    }
}
