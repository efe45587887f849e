//! The thread that commits.
//!
//! An fsync costs milliseconds and covers everything written before it. So the thread takes all waiting commits, applies
//! them in one transaction, and replies to all callers once that is durable: the busier the store, the more commits share
//! one fsync.

use std::{iter, sync::Arc};

use rusqlite::{Connection, config::DbConfig};
use tokio::sync::mpsc;

use super::{
    batch::{Batch, Message, PendingCommit, Received, receive},
    condition::Condition,
    identity::{Identity, moved},
    sql::foreign_commits,
    transaction::{check_room, commit_all},
    wal::Log,
};
use crate::{
    lifecycle::{essential::Essential, fault},
    store::contract::{Commit, Outcome, StoreError},
};

/// After a failure, a probe makes sure that there is room for this much at least, in bytes: many ordinary commits.
const MIN_ROOM: usize = 1 << 20;

/// And for this many times the bytes of the commits that failed: they also change pages of the tree in which they are stored.
const ROOM_FACTOR: usize = 4;

/// The most room that it makes sure of: for any batch. Writing it takes less than the time of a health check.
const MAX_ROOM: usize = 16 << 20;

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
    log: Log,
    identity: Arc<Identity>,
    condition: Arc<Condition>,
    /// Whether the files were moved, deleted or replaced when last looked at.
    replaced: bool,
    /// What [`foreign_commits`] was in the last transaction.
    foreign_commits: Option<i64>,
    /// The bytes of the last commits that failed, until as many have been committed. A probe then writes, so that health
    /// recovers together with the disk, and not before.
    failed: Option<usize>,
    totals: Totals,
}

impl WriterThread {
    /// Takes the connection, its log, and the identity and condition of its files.
    pub(super) fn new(
        connection: Connection,
        log: Log,
        identity: Arc<Identity>,
        condition: Arc<Condition>,
    ) -> Self {
        let foreign_commits = foreign_commits(&connection);
        Self {
            connection,
            log,
            identity,
            condition,
            replaced: false,
            foreign_commits,
            failed: None,
            totals: Totals::default(),
        }
    }

    /// Processes messages until the queue is closed and empty, then merges the WAL into the file and closes it.
    pub(super) fn run(mut self, mut messages: mpsc::Receiver<Message>) -> Totals {
        // Without this thread the store would be unavailable for ever.
        let _essential = Essential("the thread that commits");
        loop {
            match receive(&mut messages, self.log.retry_at()) {
                Received::Closed => return self.close(),
                Received::Late => {}
                Received::Message(first) => {
                    let Batch { commits, probes, .. } = Batch::collect(first, &mut messages);
                    if !commits.is_empty() {
                        fault::panic_at("commit");
                        self.commit_batch(commits);
                    }
                    for reply in probes {
                        // The caller may have stopped waiting.
                        let _ = reply.send(self.probe());
                    }
                }
            }
            if self.log.is_due() && self.check_files().is_ok() {
                self.log.maintain(&self.connection);
            }
        }
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
        self.check_files()?;
        if let Some(bytes) = self.failed {
            // An empty commit takes a revision, which is a real write; rewriting an existing value would not be one.
            let empty = Commit { checks: Vec::new(), writes: Vec::new(), bytes: 0 };
            self.commit_all(iter::once(&empty))?;
            // It may have found room where the next commits will not.
            self.failed = Some(bytes);
            check_room(&self.connection, bytes.saturating_mul(ROOM_FACTOR).clamp(MIN_ROOM, MAX_ROOM))?;
            self.failed = None;
        }
        Ok(())
    }

    /// Commits, if the files are still those of the store when the commit is durable.
    fn commit_all<'a>(
        &mut self,
        commits: impl Iterator<Item = &'a Commit> + Clone,
    ) -> Result<Vec<Outcome>, StoreError> {
        let bytes: usize = commits.clone().map(|commit| commit.bytes).sum();
        self.check_files()?;
        let result = commit_all(&self.connection, commits, &mut self.foreign_commits);
        match &result {
            Ok(outcomes) => {
                let committed = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Committed(_)));
                let committed = u64::try_from(committed.count()).unwrap_or(u64::MAX);
                self.totals.commits = self.totals.commits.saturating_add(committed);
                self.totals.transactions = self.totals.transactions.saturating_add(u64::from(committed > 0));
                self.failed = self.failed.filter(|failed| committed == 0 || bytes < *failed);
            }
            Err(_) => self.failed = Some(bytes.max(self.failed.unwrap_or_default())),
        }
        self.check_identity()?;
        self.condition.note(self.log.check().and(result))
    }

    /// Checks that the files are in place, and that nobody else has damaged the log.
    fn check_files(&mut self) -> Result<(), StoreError> {
        self.check_identity()?;
        self.condition.check()?;
        self.condition.note(self.log.check())
    }

    fn check_identity(&mut self) -> Result<(), StoreError> {
        let replaced = self.identity.replaced();
        if self.replaced != replaced.is_some() {
            self.replaced = replaced.is_some();
            match replaced {
                Some(path) => {
                    let path = path.to_owned();
                    let until = if self.leave() { "it is back" } else { "the service starts again with it" };
                    tracing::error!(
                        event = "store.file_replaced",
                        path = %path.display(),
                        "a file of the store was moved, deleted or replaced: nothing is committed until {until}"
                    );
                }
                None => tracing::info!(event = "store.file_back", "the files of the store are back"),
            }
        }
        if self.replaced {
            return Err(moved());
        }
        Ok(())
    }

    /// What was acknowledged must be in the file that was the store, and not be taken for the log of the one at its path. Nothing
    /// may be done to a log that another process uses: one that has opened the file at the path and found this log beside it.
    /// Returns whether the store can be used again once the files are back.
    fn leave(&mut self) -> bool {
        let is_only_ours = |thread: &Self| {
            thread.foreign_commits.is_some_and(|seen| foreign_commits(&thread.connection) == Some(seen))
        };
        let [file, log, index] = self.identity.in_place();
        // Without the common index, nobody can tell what others do with the log. It stays as it is, complete.
        if !index || !is_only_ours(self) {
            return true;
        }
        let removes_log = !file && log;
        if removes_log {
            self.identity.remove_log();
            // A commit of another process at this moment is not acknowledged, because its log no longer has a name.
            if !is_only_ours(self) {
                return false;
            }
        }
        self.log.finish(&self.connection);
        !removes_log
    }

    /// Leaves a single file that is the whole store.
    fn close(mut self) -> Totals {
        let merge = self.check_files().is_ok();
        if merge {
            self.log.finish(&self.connection);
        }
        // SQLite copies the log, and deletes it by its name, when it closes the last connection. If the files were replaced, it may
        // be the log of another process; if the file is damaged, the log may be all that is whole.
        let kept = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !merge);
        let closed = self.connection.close().map_err(|(_, error)| error);
        if let Err(error) = kept.and(closed) {
            tracing::warn!(event = "store.close_failed", %error, "could not close the store's file");
        }
        self.totals
    }
}
