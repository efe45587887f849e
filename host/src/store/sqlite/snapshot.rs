//! A read transaction that stays open.
//!
//! It has a separate connection. While it is open, a checkpoint can copy the WAL into the file but cannot reset it,
//! so the WAL grows with every write.

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
/// Every key comes after the empty text, because no key is empty.
const NEXT: &str = "SELECT key, value, revision FROM entries WHERE key > ?1 ORDER BY key ASC LIMIT ?2";

/// The connection and its permit. The permit is released after the connection is closed, and not before: the store
/// waits for that, even if a read continues that no caller waits for any more.
struct PermittedConnection {
    connection: Connection,
    _permit: OwnedSemaphorePermit,
}

pub(super) struct SqliteSnapshot {
    /// `None` after a cancelled read.
    connection: Option<PermittedConnection>,
    /// The last key read; empty before the first.
    last: String,
}

impl SqliteSnapshot {
    /// Begins a read transaction on the store file at `path`. The snapshot starts after the key `after`.
    pub(super) fn begin(
        path: &Path,
        after: Option<Key>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.execute_batch("BEGIN")?;
        // The first read determines what a transaction sees.
        let _: i64 = connection.query_one(SELECT_LAST_REVISION, [], |row| row.get(0))?;
        let connection = PermittedConnection { connection, _permit: permit };
        Ok(Self { connection: Some(connection), last: after.map(Key::into_string).unwrap_or_default() })
    }

    /// Reads on a blocking thread.
    async fn read<T: Send + 'static>(
        &mut self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let lost = || StoreError::unavailable("the snapshot lost its connection");
        let connection = self.connection.take().ok_or_else(lost)?;
        let reading = task::spawn_blocking(move || (read(&connection.connection), connection));
        let (result, connection) = reading.await.map_err(|_| lost())?;
        self.connection = Some(connection);
        result
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
        let entries = self.read(move |connection| read_page(connection, &last)).await?;
        if let Some(entry) = entries.last() {
            entry.key.as_str().clone_into(&mut self.last);
        }
        Ok(entries)
    }
}

fn read_page(connection: &Connection, last: &str) -> Result<Vec<Entry>, StoreError> {
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
