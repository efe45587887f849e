//! The read-only connections.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use tokio::{sync::Semaphore, task};

use super::sql::{BUSY_TIMEOUT, SELECT_LAST_REVISION, revision_from_column};
use crate::store::contract::{
    Entry, Key, Order, Reason, Scan, StoreError, Stored, Value, check_key_count, check_transfer,
};

/// Number of connections, and so of concurrent reads. Most reads are served from memory and are bound by the
/// processor; more connections than a small machine has cores would only cost their page caches, 2 MB each.
const READERS: u16 = 4;

const SELECT_ENTRY: &str = "SELECT value, revision FROM entries WHERE key = ?1";
const SCAN_ASCENDING: &str =
    "SELECT key, value, revision FROM entries WHERE key >= ?1 AND key < ?2 ORDER BY key ASC LIMIT ?3";
const SCAN_DESCENDING: &str =
    "SELECT key, value, revision FROM entries WHERE key >= ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3";

/// A fixed set of connections. Each serves one read at a time.
pub(super) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    /// One permit for each idle connection; closed when the store is.
    permits: Arc<Semaphore>,
}

impl Readers {
    /// Opens all connections to a file that the writer has already checked.
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = |_| {
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            Ok(connection)
        };
        let idle = (0..READERS).map(open).collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(Self { idle: Arc::new(Mutex::new(idle)), permits: Arc::new(Semaphore::new(usize::from(READERS))) })
    }

    pub(super) async fn get(&self, keys: Vec<Key>) -> Result<Vec<Option<Stored>>, StoreError> {
        check_key_count(keys.len())?;
        self.run(move |connection| get(connection, &keys)).await
    }

    pub(super) async fn scan(&self, range: Scan) -> Result<Vec<Entry>, StoreError> {
        self.run(move |connection| scan(connection, &range)).await
    }

    /// Checks that the file can be read.
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        self.run(|connection| {
            let last: i64 = connection.query_one(SELECT_LAST_REVISION, [], |row| row.get(0))?;
            revision_from_column(last).map(drop)
        })
        .await
    }

    /// Waits for the reads in flight, then closes the connections. Later reads fail with [`StoreError::Unavailable`].
    pub(super) async fn close(&self) {
        let Ok(_all) = self.permits.acquire_many(u32::from(READERS)).await else { return };
        self.permits.close();
        let connections = std::mem::take(&mut *lock(&self.idle));
        // Closing touches the disk, so it runs on a blocking thread. If the runtime is already shutting down, the
        // connections are still closed.
        let _ = task::spawn_blocking(move || drop(connections)).await;
    }

    /// Runs one read on a blocking thread. If the caller stops waiting, the read continues to its end.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit =
            Arc::clone(&self.permits).acquire_owned().await.map_err(|_closed| StoreError::closed())?;
        let idle = Arc::clone(&self.idle);
        let reading = task::spawn_blocking(move || {
            let next_idle = lock(&idle).pop();
            let Some(mut connection) = next_idle else {
                return Err(StoreError::unavailable("a read connection is missing"));
            };
            let result = read(&mut connection);
            lock(&idle).push(connection);
            drop(permit);
            result
        });
        reading.await.unwrap_or_else(|error| Err(Reason::new("a read task failed").with_detail(error).into()))
    }
}

fn lock(idle: &Mutex<Vec<Connection>>) -> MutexGuard<'_, Vec<Connection>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads all keys in one transaction, which is one snapshot.
fn get(connection: &mut Connection, keys: &[Key]) -> Result<Vec<Option<Stored>>, StoreError> {
    let transaction = connection.transaction()?;
    let mut statement = transaction.prepare_cached(SELECT_ENTRY)?;
    let mut bytes = 0;
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        let row = statement
            .query_one([key.as_str()], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?)))
            .optional()?;
        found.push(match row {
            None => None,
            Some((value, revision)) => {
                bytes += value.len();
                check_transfer(bytes)?;
                Some(Stored { value: Value(value), revision: revision_from_column(revision)? })
            }
        });
    }
    Ok(found)
}

/// Reads a range with one statement, which is one snapshot.
fn scan(connection: &Connection, range: &Scan) -> Result<Vec<Entry>, StoreError> {
    let mut statement = connection.prepare_cached(match range.order {
        Order::Ascending => SCAN_ASCENDING,
        Order::Descending => SCAN_DESCENDING,
    })?;
    let mut rows = statement.query(params![range.start.as_str(), range.end.as_str(), range.limit])?;
    let mut bytes = 0;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        let value: Vec<u8> = row.get(1)?;
        bytes += key.len() + value.len();
        check_transfer(bytes)?;
        let revision = revision_from_column(row.get(2)?)?;
        entries.push(Entry { key: Key(key), stored: Stored { value: Value(value), revision } });
    }
    Ok(entries)
}
