//! One SQLite file: the default backend.
//!
//! | file | what it does |
//! |---|---|
//! | `sql` | what all statements share: the lock timeout, the revision column, errors |
//! | `refusal` | how a refusal to open is worded |
//! | `schema` | what a valid file contains |
//! | `open` | from a path to a connection, changing nothing unless the file is valid |
//! | `writer` | the one thread that commits, folding many commits into one transaction |
//! | `readers` | a few read-only connections beside it |
//! | `snapshot` | a read transaction on a connection of its own |
//!
//! The journal is a write-ahead log, so that readers and the writer never wait for one another, with
//! `synchronous=FULL`, so that a commit is on the disk when its transaction returns. The last revision
//! lies in the file and is read inside each write transaction: two processes on one file, such as an old
//! one that drains beside its successor, stay correct. Both must run on the same machine, because the
//! log's index is shared memory; a network file system does not do.

mod open;
mod readers;
mod refusal;
mod schema;
mod snapshot;
mod sql;
mod writer;

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

use self::{readers::Readers, snapshot::SqliteSnapshot, writer::Writer};
use crate::store::{
    backend::{Missing, OpenError, Store},
    contract::{Commit, Entry, Key, Outcome, Scan, StoreError, Stored},
    snapshot::Snapshot,
};

/// How long the health check waits for its read and its probe together. Load balancers commonly allow a
/// probe a few seconds; this leaves them room to get the reason instead of a timeout.
const HEALTH_DEADLINE: Duration = Duration::from_secs(1);

/// Snapshots at one time, each a connection: an export, and what may be asked for beside it.
const MAX_SNAPSHOTS: u16 = 4;

/// A store in one file.
pub(super) struct SqliteStore {
    path: PathBuf,
    readers: Readers,
    /// A permit for each snapshot that there can be; closed when the store is.
    snapshots: Arc<Semaphore>,
    writer: Writer,
}

impl SqliteStore {
    /// Opens the file at `path`; where it is missing or empty, makes it or refuses, as told.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the file cannot be used. Nothing on disk is changed then, save that an empty file
    /// may stay behind where the disk was full.
    pub(super) async fn open(path: &Path, missing: Missing) -> Result<Self, OpenError> {
        let given = path.to_owned();
        let opened = task::spawn_blocking(move || Self::open_blocking(&given, missing)).await;
        opened.unwrap_or_else(|error| Err(OpenError(format!("cannot open the store {path:?}: {error}"))))
    }

    fn open_blocking(given: &Path, missing: Missing) -> Result<Self, OpenError> {
        let path = open::locate(given)?;
        if missing == Missing::Refuse && !open::is_there(&path)? {
            return Err(refusal::refuse(&path, "there is none; name the file of one"));
        }
        let connection = open::open_for_writing(&path)?;
        let readers = Readers::open(&path).map_err(|error| refusal::explain(&path, &error))?;
        let writer = Writer::start(connection, open::beside(&path, "-wal")).map_err(|error| {
            OpenError(format!("cannot open the store {path:?}: its writer thread did not start: {error}"))
        })?;
        let snapshots = Arc::new(Semaphore::new(usize::from(MAX_SNAPSHOTS)));
        Ok(Self { path, readers, snapshots, writer })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn get(&self, keys: Vec<Key>) -> Result<Vec<Option<Stored>>, StoreError> {
        self.readers.get(keys).await
    }

    async fn scan(&self, scan: Scan) -> Result<Vec<Entry>, StoreError> {
        self.readers.scan(scan).await
    }

    async fn commit(&self, commit: Commit) -> Result<Outcome, StoreError> {
        self.writer.commit(commit).await
    }

    async fn snapshot(&self, after: Option<Key>) -> Result<Box<dyn Snapshot>, StoreError> {
        let place =
            Arc::clone(&self.snapshots).acquire_owned().await.map_err(|_closed| StoreError::closed())?;
        let path = self.path.clone();
        let taking = task::spawn_blocking(move || SqliteSnapshot::take(&path, after, place)).await;
        let lost = |error| StoreError::Unavailable(format!("a snapshot was not taken: {error}"));
        Ok(Box::new(taking.map_err(lost)??))
    }

    async fn health(&self) -> Result<(), StoreError> {
        let deadline = Instant::now() + HEALTH_DEADLINE;
        let late = |what: &str| StoreError::Unavailable(format!("{what} within {HEALTH_DEADLINE:?}"));
        timeout_at(deadline, self.readers.probe()).await.map_err(|_| late("no read was answered"))??;
        timeout_at(deadline, self.writer.probe())
            .await
            .map_err(|_| late("the writer took nothing off its queue"))?
    }

    async fn close(&self) {
        // The writer last: its connection is then the last one of this process, and its end leaves one tidy
        // file.
        if let Ok(_all) = self.snapshots.acquire_many(u32::from(MAX_SNAPSHOTS)).await {
            self.snapshots.close();
        }
        self.readers.close().await;
        if let Some(totals) = self.writer.close().await {
            tracing::info!(
                path = %self.path.display(),
                commits = totals.commits,
                transactions = totals.transactions,
                "the store is closed"
            );
        }
    }
}
