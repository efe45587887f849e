//! A read transaction that stays open, on a separate connection that does not count towards `--store-connections`.
//!
//! While it is open, the server cannot vacuum rows that are replaced or removed.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;
use tokio_postgres::{Client, Error, Statement};

use super::{
    reads::{foreign_data, revision},
    session::{Driver, Session},
};
use crate::store::{
    contract::{Entry, Key, StoreError, Stored, Value},
    snapshot::{MAX_PAGE_ENTRIES, PAGE_BYTES, Snapshot},
};

/// How long a snapshot may be idle before the server ends it, in case its owner has forgotten it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// Time limit for counting. A server counts some millions of entries a second.
const COUNT_TIMEOUT: Duration = Duration::from_secs(60);

/// A page ends with the entry that reaches $2 bytes. `octet_length` returns the length of a value without reading it.
const NEXT: &str = "\
    SELECT key, revision, value \
    FROM (SELECT key, revision, value, \
              sum(octet_length(key) + octet_length(value)) \
                  OVER (ORDER BY key ASC ROWS UNBOUNDED PRECEDING) AS carried \
          FROM (SELECT key, revision, value FROM orders_state.entries \
                WHERE key > $1 ORDER BY key ASC LIMIT $3) AS page) AS found \
    WHERE carried - octet_length(key) - octet_length(value) < $2 ORDER BY key ASC";

pub(super) struct PostgresSnapshot {
    /// Dropping the client ends the connection, and the transaction with it.
    client: Client,
    next: Statement,
    /// Time limit for a page.
    timeout: Duration,
    /// The last key read; empty before the first, because no key is empty.
    last: Vec<u8>,
}

impl PostgresSnapshot {
    /// Begins a transaction on this connection. The snapshot starts after the key `after`.
    pub(super) async fn begin(
        connected: (Session, Driver),
        after: Option<Key>,
        page_timeout: Duration,
    ) -> Result<Self, StoreError> {
        let (session, driver) = connected;
        // The task ends with the client.
        tokio::spawn(driver);
        let client = session.into_client();
        let begin = format!(
            "SET idle_in_transaction_session_timeout = {}; \
             BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1",
            IDLE_TIMEOUT.as_millis()
        );
        // The last statement (`SELECT 1`) determines what the transaction sees.
        let next = async {
            client.batch_execute(&begin).await?;
            client.prepare(NEXT).await
        };
        let next = with_timeout(page_timeout, next).await?;
        let last = after.map(|key| key.into_string().into_bytes()).unwrap_or_default();
        Ok(Self { client, next, timeout: page_timeout, last })
    }

    async fn try_count(&self) -> Result<Option<u64>, StoreError> {
        let limit = format!("SAVEPOINT count; SET LOCAL statement_timeout = {}", COUNT_TIMEOUT.as_millis());
        self.client.batch_execute(&limit).await?;
        let counted = self.client.query_one("SELECT count(*) FROM orders_state.entries", &[]).await;
        let count = counted.and_then(|row| row.try_get::<_, i64>(0));
        // This also resets the time limit.
        self.client.batch_execute("ROLLBACK TO SAVEPOINT count").await?;
        Ok(count.ok().and_then(|count| u64::try_from(count).ok()))
    }
}

#[async_trait]
impl Snapshot for PostgresSnapshot {
    async fn count(&mut self) -> Result<Option<u64>, StoreError> {
        let limit = COUNT_TIMEOUT + self.timeout;
        timeout(limit, self.try_count()).await.unwrap_or_else(|_| Err(timed_out(limit)))
    }

    async fn next(&mut self) -> Result<Vec<Entry>, StoreError> {
        let bytes = i64::try_from(PAGE_BYTES).unwrap_or(i64::MAX);
        let limit = i64::from(MAX_PAGE_ENTRIES);
        let rows =
            with_timeout(self.timeout, self.client.query(&self.next, &[&self.last, &bytes, &limit])).await?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            let key = String::from_utf8(row.try_get(0)?).map_err(|_| foreign_data())?;
            let stored = Stored { value: Value(row.try_get(2)?), revision: revision(&row, 1)? };
            entries.push(Entry { key: Key(key), stored });
        }
        if let Some(entry) = entries.last() {
            self.last = entry.key.as_str().as_bytes().to_owned();
        }
        Ok(entries)
    }
}

async fn with_timeout<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, StoreError> {
    match timeout(limit, work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(timed_out(limit)),
    }
}

fn timed_out(limit: Duration) -> StoreError {
    StoreError::timed_out("the server did not respond in time", limit)
}
