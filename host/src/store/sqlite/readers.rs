//! The read-only connections.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use tokio::{
    sync::{Semaphore, oneshot},
    task,
};

use super::{
    identity::Identity,
    open_error::{open_error, sqlite_open_error},
    sql::{BUSY_TIMEOUT, Begin, SELECT_LAST_REVISION, Transaction, revision_from_column},
};
use crate::{
    lifecycle::{blocking::refused, essential::Essential},
    store::{
        backend::OpenError,
        contract::{Entry, Key, Order, Scan, StoreError, Stored, Value, check_key_count, check_transfer},
    },
};

/// Number of connections, and so of concurrent reads. Most reads are served from memory and are bound by the
/// processor; more connections than a small machine has cores would only cost their page caches, 2 MB each.
const READERS: u16 = 4;

const SELECT_ENTRY: &str = "SELECT value, revision FROM entries WHERE key = ?1";
const SCAN_ASCENDING: &str =
    "SELECT key, value, revision FROM entries WHERE key >= ?1 AND key < ?2 ORDER BY key ASC LIMIT ?3";
const SCAN_DESCENDING: &str =
    "SELECT key, value, revision FROM entries WHERE key >= ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3";

/// A read, with all that it needs besides a connection.
type Read = Box<dyn FnOnce(&Connection) + Send>;

/// A fixed set of threads, each with a connection. They exist for as long as the store: a thread that is made for each read may be
/// refused.
pub(super) struct Readers {
    identity: Arc<Identity>,
    /// The reads that no thread has taken yet, at most one for each permit; `None` once closed.
    queue: Mutex<Option<SyncSender<Read>>>,
    /// One permit for each thread; closed when the store is.
    permits: Arc<Semaphore>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Readers {
    /// Opens all connections to a file that the writer has already checked. What they read counts while the files have this
    /// identity.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if a connection or a thread is refused.
    pub(super) fn open(path: &Path, identity: Arc<Identity>) -> Result<Self, OpenError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connect = || {
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            // The first read opens the WAL, by its path, which later may name another one.
            probe(&connection)?;
            Ok(connection)
        };
        let (queue, reads) = sync_channel::<Read>(usize::from(READERS));
        let reads = Arc::new(Mutex::new(reads));
        let start = |number| {
            let connection = connect().map_err(|error| sqlite_open_error(path, &error))?;
            let reads = Arc::clone(&reads);
            let thread = thread::Builder::new().name(format!("store-reader-{number}"));
            thread
                .spawn(move || serve(&connection, &reads))
                .map_err(|error| open_error(path, &format!("a thread did not start: {}", refused(&error))))
        };
        let threads = (0..READERS).map(start).collect::<Result<Vec<_>, _>>()?;
        let permits = Arc::new(Semaphore::new(usize::from(READERS)));
        Ok(Self { identity, queue: Mutex::new(Some(queue)), permits, threads: Mutex::new(threads) })
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
        self.run(|connection| revision_from_column(probe(connection)?).map(drop)).await
    }

    /// Waits for the reads in flight, then closes the connections. Later reads fail with [`StoreError::Unavailable`].
    pub(super) async fn close(&self) {
        let Ok(_all) = self.permits.acquire_many(u32::from(READERS)).await else { return };
        self.permits.close();
        drop(lock(&self.queue).take());
        let threads = std::mem::take(&mut *lock(&self.threads));
        // Closing touches the disk, so this waits on a blocking thread. If the runtime is already shutting down, the
        // connections are still closed.
        let _ =
            task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join()))).await;
    }

    /// Runs one read on one of the threads. If the caller stops waiting, the read continues to its end.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit =
            Arc::clone(&self.permits).acquire_owned().await.map_err(|_closed| StoreError::closed())?;
        let identity = Arc::clone(&self.identity);
        let (reply, replied) = oneshot::channel();
        let read = Box::new(move |connection: &Connection| {
            let result = read(connection);
            // What a replaced file holds was perhaps never acknowledged, and must not be on a second request.
            let result = identity.check().and(result);
            drop(permit);
            // The caller may have stopped waiting.
            let _ = reply.send(result);
        });
        // There is room: each read has a permit.
        let sent = lock(&self.queue).as_ref().is_some_and(|queue| queue.try_send(read).is_ok());
        if !sent {
            return Err(StoreError::closed());
        }
        replied.await.unwrap_or_else(|_| Err(StoreError::unavailable("a read was aborted")))
    }
}

/// Runs reads until the store is closed.
fn serve(connection: &Connection, reads: &Mutex<Receiver<Read>>) {
    let _essential = Essential("a thread that reads the store");
    loop {
        let read = lock(reads).recv();
        match read {
            Ok(read) => read(connection),
            Err(_closed) => return,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads the last revision.
fn probe(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached(SELECT_LAST_REVISION)?.query_one([], |row| row.get(0))
}

/// Reads all keys in one snapshot. One statement is a snapshot of its own; more of them need a transaction.
fn get(connection: &Connection, keys: &[Key]) -> Result<Vec<Option<Stored>>, StoreError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let _transaction = (keys.len() > 1).then(|| Transaction::begin(connection, Begin::Read)).transpose()?;
    let mut statement = connection.prepare_cached(SELECT_ENTRY)?;
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use rusqlite::{
        Connection,
        hooks::{AuthAction, AuthContext, Authorization},
    };

    use super::{Key, get};

    /// SQLite asks an authorizer about each action of a statement when it prepares it, and not when it runs it.
    #[test]
    fn a_read_of_one_key_begins_no_transaction_and_prepares_nothing_again() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE entries (key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL, revision INTEGER NOT NULL);
                 INSERT INTO entries VALUES ('a', x'01', 1)",
            )
            .unwrap();
        let (prepared, begun) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
        let (prepares, begins) = (Arc::clone(&prepared), Arc::clone(&begun));
        connection
            .authorizer(Some(move |context: AuthContext<'_>| {
                *prepares.lock().unwrap() += 1;
                if matches!(context.action, AuthAction::Transaction { .. }) {
                    *begins.lock().unwrap() += 1;
                }
                Authorization::Allow
            }))
            .unwrap();
        let keys = |count: usize| -> Vec<_> {
            ["a", "b"].iter().take(count).map(|key| Key::try_from((*key).to_owned()).unwrap()).collect()
        };
        assert_eq!(get(&connection, &keys(1)).unwrap().iter().flatten().count(), 1);
        assert_eq!(*begun.lock().unwrap(), 0, "a transaction for one key");
        assert_eq!(get(&connection, &keys(2)).unwrap().iter().flatten().count(), 1);
        assert!(*begun.lock().unwrap() > 0, "one snapshot of two keys needs a transaction");
        let before = *prepared.lock().unwrap();
        for count in [0, 1, 2] {
            assert_eq!(get(&connection, &keys(count)).unwrap().len(), count);
        }
        assert_eq!(*prepared.lock().unwrap(), before, "statements are prepared again");
        assert!(connection.is_autocommit());
    }
}
