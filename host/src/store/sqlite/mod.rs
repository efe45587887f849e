//! The default backend: one SQLite file.
//!
//! | file | what it does |
//! |---|---|
//! | `permanence` | which errors of SQLite pass by themselves |
//! | `sql` | shared by all statements: the lock timeout, transactions, the revision column, error conversion |
//! | `open_error` | the error messages of a failed open |
//! | `schema` | the contents of a valid file |
//! | `identity` | notices that the files were moved, deleted or replaced |
//! | `condition` | remembers that the file has failed |
//! | `mount` | refuses a file that is mounted without its folder |
//! | `check` | checks that a file and its log are whole |
//! | `open` | opens the connection that writes, without changing a file that is not a store |
//! | `check_file` | checks a file by hand, without changing it |
//! | `transaction` | applies commits in one transaction |
//! | `batch` | the queue of the writer thread, and the commits it takes from it at once |
//! | `wal` | copies the write-ahead log into the file, cuts it, and checks that it is complete |
//! | `writer_thread` | the thread that commits, one transaction and one fsync a batch |
//! | `writer` | the handle to that thread |
//! | `readers` | the read-only connections |
//! | `snapshot` | a read transaction on a separate connection |
//!
//! The journal is a write-ahead log (WAL), so readers and the writer never wait for each other. `synchronous=FULL`
//! makes a commit durable before its transaction returns. The last revision is stored in the file and read inside
//! each write transaction, so two processes on one file, such as a draining one and its successor, stay correct. Both
//! must run on the same machine, because the index of the WAL is shared memory; network file systems are not
//! supported.

mod batch;
mod check;
mod check_file;
mod condition;
mod identity;
mod mount;
mod open;
mod open_error;
mod permanence;
mod readers;
mod schema;
mod snapshot;
mod sql;
mod transaction;
mod wal;
mod writer;
mod writer_thread;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::Semaphore,
    task,
    time::{Instant, timeout_at},
};

pub use self::check_file::{Checked, check_file};
use self::{
    condition::Condition, identity::Identity, open_error::open_error, readers::Readers,
    snapshot::SqliteSnapshot, wal::Log, writer::Writer,
};
use crate::{
    lifecycle::blocking::refused,
    store::{
        backend::{IfMissing, OpenError, Store},
        contract::{Commit, Entry, Key, Outcome, Reason, Scan, StoreError, Stored},
        snapshot::Snapshot,
    },
};

/// Time limit for the health check's read and probe together. Load balancers commonly allow a probe a few seconds;
/// this leaves enough time for them to receive the reason instead of a timeout.
const HEALTH_DEADLINE: Duration = Duration::from_secs(1);

/// Maximum number of concurrent snapshots, each with a connection: enough for an export and some more.
const MAX_SNAPSHOTS: u16 = 4;

/// Checks that the file is a store, or can be created, without changing anything.
///
/// # Errors
///
/// [`OpenError`].
pub(super) fn check(path: &Path) -> Result<(), OpenError> {
    open::check(path)
}

/// Whether opening the file begins with a check of it and its log, which may take seconds.
pub(super) fn will_check(path: &Path) -> bool {
    check::is_due(path)
}

/// A store in one SQLite file.
pub(super) struct SqliteStore {
    path: PathBuf,
    identity: Arc<Identity>,
    condition: Arc<Condition>,
    readers: Readers,
    /// One permit for each possible snapshot; closed with the store.
    snapshots: Arc<Semaphore>,
    writer: Writer,
}

impl SqliteStore {
    /// Opens the file at `path`. `if_missing` says what happens if it is missing or empty.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the file cannot be used. Nothing on disk is changed then, except that an empty file may
    /// remain if the disk was full.
    pub(super) async fn open(path: &Path, if_missing: IfMissing) -> Result<Self, OpenError> {
        let given = path.to_owned();
        let opened = task::spawn_blocking(move || Self::open_blocking(&given, if_missing)).await;
        opened.unwrap_or_else(|error| {
            Err(OpenError::permanent(format!("cannot open the store {path:?}: {error}")))
        })
    }

    fn open_blocking(given: &Path, if_missing: IfMissing) -> Result<Self, OpenError> {
        let path = open::resolve(given)?;
        if if_missing == IfMissing::Fail && !open::has_content(&path)? {
            return Err(open_error(&path, "it does not exist; name an existing store file"));
        }
        let (mut connection, identity) = open::open_for_writing(&path)?;
        let identity = Arc::new(identity);
        let readers = Readers::open(&path, Arc::clone(&identity))?;
        identity.check().map_err(|_| open_error(&path, "it was replaced meanwhile; start again"))?;
        let log = Log::of(&mut connection, &path)?;
        let condition = Arc::new(Condition::new(path.clone()));
        let writer = Writer::start(connection, log, Arc::clone(&identity), Arc::clone(&condition)).map_err(
            |error| {
                OpenError::permanent(format!(
                    "cannot open the store {path:?}: its writer thread did not start: {}",
                    refused(&error)
                ))
            },
        )?;
        let snapshots = Arc::new(Semaphore::new(usize::from(MAX_SNAPSHOTS)));
        Ok(Self { path, identity, condition, readers, snapshots, writer })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn get(&self, keys: Vec<Key>) -> Result<Vec<Option<Stored>>, StoreError> {
        self.condition.note(self.readers.get(keys).await)
    }

    async fn scan(&self, scan: Scan) -> Result<Vec<Entry>, StoreError> {
        self.condition.note(self.readers.scan(scan).await)
    }

    async fn commit(&self, commit: Commit) -> Result<Outcome, StoreError> {
        self.writer.commit(commit).await
    }

    async fn snapshot(&self, after: Option<Key>) -> Result<Box<dyn Snapshot>, StoreError> {
        let permit =
            Arc::clone(&self.snapshots).acquire_owned().await.map_err(|_closed| StoreError::closed())?;
        let (path, identity) = (self.path.clone(), Arc::clone(&self.identity));
        let began = task::spawn_blocking(move || {
            let snapshot = SqliteSnapshot::begin(&path, after, permit)?;
            // It opens the file by its path.
            identity.check().map(|()| snapshot)
        })
        .await;
        let failed = |error| Reason::new("a snapshot cannot start").with_detail(error).into();
        let began = began.unwrap_or_else(|error| Err(failed(error)));
        Ok(Box::new(self.condition.note(began)?))
    }

    async fn health(&self) -> Result<(), StoreError> {
        let deadline = Instant::now() + HEALTH_DEADLINE;
        let timed_out = |what: &'static str| StoreError::timed_out(what, HEALTH_DEADLINE);
        timeout_at(deadline, self.readers.probe())
            .await
            .map_err(|_| timed_out("no read completed in time"))
            .and_then(|read| self.condition.note(read))?;
        timeout_at(deadline, self.writer.probe())
            .await
            .map_err(|_| timed_out("the writer did not process its queue in time"))?
    }

    async fn close(&self) {
        // The writer closes last: its connection is then the last one of this process, and closing it merges the WAL
        // into the file.
        if let Ok(_all) = self.snapshots.acquire_many(u32::from(MAX_SNAPSHOTS)).await {
            self.snapshots.close();
        }
        self.readers.close().await;
        if let Some(totals) = self.writer.close().await {
            tracing::info!(
                event = "store.closed",
                path = %self.path.display(),
                commits = totals.commits,
                transactions = totals.transactions,
                "store closed"
            );
        }
    }
}
