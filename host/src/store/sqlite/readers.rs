//! The read-only connections.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use tokio::{sync::Semaphore, task};

use super::sql::{BUSY_TIMEOUT, SELECT_LAST_REVISION, revision_from_column};
use crate::store::contract::{
    Entry, Key, Order, Scan, StoreError, Stored, Value, check_key_count, check_transfer,
};

/// Connections, and so reads at one time. Most reads come from memory and are bound by the processor;
/// more connections than a small machine has cores only cost their page caches, 2 MB each.
const READERS: u16 = 4;

const SELECT_ENTRY: &str = "SELECT value, revision FROM entries WHERE key = ?1";
const SCAN_ASCENDING: &str =
    "SELECT key, value, revision FROM entries WHERE key >= ?1 AND key < ?2 ORDER BY key ASC LIMIT ?3";
const SCAN_DESCENDING: &str =
    "SELECT key, value, revision FROM entries WHERE key >= ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3";

/// A fixed set of connections, each lent to one read at a time.
pub(super) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    /// One permit for each idle connection; closed when the store is.
    permits: Arc<Semaphore>,
}

impl Readers {
    /// Opens all of them on a file that the writer has already found good.
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

    pub(super) async fn scan(&self, wanted: Scan) -> Result<Vec<Entry>, StoreError> {
        self.run(move |connection| scan(connection, &wanted)).await
    }

    /// Proves that a read of the file works.
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        self.run(|connection| {
            let last: i64 = connection.query_one(SELECT_LAST_REVISION, [], |row| row.get(0))?;
            revision_from_column(last).map(drop)
        })
        .await
    }

    /// Waits for the reads under way, then closes the connections. Later reads are unavailable.
    pub(super) async fn close(&self) {
        let Ok(_all) = self.permits.acquire_many(u32::from(READERS)).await else { return };
        self.permits.close();
        let connections = std::mem::take(&mut *lock(&self.idle));
        // Closing touches the disk. If the runtime is already ending, they are closed all the same.
        let _ = task::spawn_blocking(move || drop(connections)).await;
    }

    /// Runs one read off the async threads. A caller that stops waiting leaves it to end by itself.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit =
            Arc::clone(&self.permits).acquire_owned().await.map_err(|_closed| StoreError::closed())?;
        let idle = Arc::clone(&self.idle);
        let reading = task::spawn_blocking(move || {
            let lent = lock(&idle).pop();
            let Some(mut connection) = lent else {
                return Err(StoreError::Unavailable("a read connection was lost".into()));
            };
            let answer = read(&mut connection);
            lock(&idle).push(connection);
            drop(permit);
            answer
        });
        reading
            .await
            .unwrap_or_else(|error| Err(StoreError::Unavailable(format!("a read did not end: {error}"))))
    }
}

fn lock(idle: &Mutex<Vec<Connection>>) -> MutexGuard<'_, Vec<Connection>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All keys in one read transaction, which is one snapshot.
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

/// One statement, which is one snapshot.
fn scan(connection: &Connection, wanted: &Scan) -> Result<Vec<Entry>, StoreError> {
    let mut statement = connection.prepare_cached(match wanted.order {
        Order::Ascending => SCAN_ASCENDING,
        Order::Descending => SCAN_DESCENDING,
    })?;
    let mut rows = statement.query(params![wanted.start.as_str(), wanted.end.as_str(), wanted.limit])?;
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
