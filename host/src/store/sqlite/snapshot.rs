//! A read transaction that is held.
//!
//! It has a connection of its own. While it is there, the log can be moved into the file, but not begun anew: it grows by
//! what is written meanwhile.

use std::path::Path;

use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags, params};
use tokio::{sync::OwnedSemaphorePermit, task};

use super::sql::{BUSY_TIMEOUT, SELECT_LAST_REVISION, revision_from_column};
use crate::store::{
    contract::{Entry, Key, StoreError, Stored, Value},
    snapshot::{MAX_PAGE_ENTRIES, Page, Snapshot},
};

const COUNT: &str = "SELECT count(*) FROM entries";
/// No key is empty, so that all of them stand after the empty text.
const NEXT: &str = "SELECT key, value, revision FROM entries WHERE key > ?1 ORDER BY key ASC LIMIT ?2";

/// The connection, and the place among the snapshots that it gives up once it is closed, and not before: the store waits
/// for that, also where a read goes on that nobody waits for any more.
struct Held {
    connection: Connection,
    _place: OwnedSemaphorePermit,
}

pub(super) struct SqliteSnapshot {
    /// None after a read that nobody waited for.
    held: Option<Held>,
    /// The last key that was read; empty before the first.
    last: String,
}

impl SqliteSnapshot {
    /// Begins a transaction on the file of a store, after a key.
    pub(super) fn take(
        path: &Path,
        after: Option<Key>,
        place: OwnedSemaphorePermit,
    ) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.execute_batch("BEGIN")?;
        // The first read is what decides about what a transaction sees.
        let _: i64 = connection.query_one(SELECT_LAST_REVISION, [], |row| row.get(0))?;
        let held = Held { connection, _place: place };
        Ok(Self { held: Some(held), last: after.map(Key::into_string).unwrap_or_default() })
    }

    /// Reads off the async threads.
    async fn read<T: Send + 'static>(
        &mut self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let lost = || StoreError::Unavailable("the snapshot was lost".to_owned());
        let held = self.held.take().ok_or_else(lost)?;
        let reading = task::spawn_blocking(move || (read(&held.connection), held));
        let (answer, held) = reading.await.map_err(|_| lost())?;
        self.held = Some(held);
        answer
    }
}

#[async_trait]
impl Snapshot for SqliteSnapshot {
    async fn count(&mut self) -> Result<Option<u64>, StoreError> {
        let count: i64 =
            self.read(|connection| Ok(connection.query_one(COUNT, [], |row| row.get(0))?)).await?;
        Ok(u64::try_from(count).ok())
    }

    async fn next(&mut self) -> Result<Vec<Entry>, StoreError> {
        let last = self.last.clone();
        let entries = self.read(move |connection| page(connection, &last)).await?;
        if let Some(entry) = entries.last() {
            entry.key.as_str().clone_into(&mut self.last);
        }
        Ok(entries)
    }
}

fn page(connection: &Connection, last: &str) -> Result<Vec<Entry>, StoreError> {
    let mut statement = connection.prepare_cached(NEXT)?;
    let mut rows = statement.query(params![last, MAX_PAGE_ENTRIES])?;
    let mut page = Page::default();
    while let Some(row) = rows.next()? {
        let stored = Stored { value: Value(row.get(1)?), revision: revision_from_column(row.get(2)?)? };
        if !page.add(Entry { key: Key(row.get(0)?), stored }) {
            break;
        }
    }
    Ok(page.into_entries())
}
