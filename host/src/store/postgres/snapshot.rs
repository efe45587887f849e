//! A transaction that is held, on a connection of its own besides `--store-connections`.
//!
//! While it is there, the server cannot clear away what is replaced or removed meanwhile.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;
use tokio_postgres::{Client, Error, Statement};

use super::{
    reads::{revision, unexpected},
    session::{Driver, Session},
};
use crate::store::{
    contract::{Entry, Key, StoreError, Stored, Value},
    snapshot::{MAX_PAGE_ENTRIES, PAGE_BYTES, Snapshot},
};

/// How long nothing may be read from a snapshot before the server ends it: whoever holds it may have been forgotten.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// How long counting may take. A server counts some millions of entries a second.
const LONGEST_COUNT: Duration = Duration::from_secs(60);

/// A page ends with the entry that reaches $2 bytes; the length of a value is known without reading it.
const NEXT: &str = "\
    SELECT key, revision, value \
    FROM (SELECT key, revision, value, \
              sum(octet_length(key) + octet_length(value)) \
                  OVER (ORDER BY key ASC ROWS UNBOUNDED PRECEDING) AS carried \
          FROM (SELECT key, revision, value FROM orders_state.entries \
                WHERE key > $1 ORDER BY key ASC LIMIT $3) AS page) AS found \
    WHERE carried - octet_length(key) - octet_length(value) < $2 ORDER BY key ASC";

pub(super) struct PostgresSnapshot {
    /// Its connection ends, and the transaction with it, when this is dropped.
    client: Client,
    next: Statement,
    /// How long a page may take.
    timeout: Duration,
    /// The last key that was read; empty before the first, for no key is empty.
    last: Vec<u8>,
}

impl PostgresSnapshot {
    /// Begins a transaction on this connection, after a key.
    pub(super) async fn take(
        connected: (Session, Driver),
        after: Option<Key>,
        time: Duration,
    ) -> Result<Self, StoreError> {
        let (session, driver) = connected;
        // Ends with the client.
        tokio::spawn(driver);
        let client = session.into_client();
        let begin = format!(
            "SET idle_in_transaction_session_timeout = {}; \
             BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1",
            LONGEST_PAUSE.as_millis()
        );
        // The last statement of these decides about what the transaction sees.
        let next = async {
            client.batch_execute(&begin).await?;
            client.prepare(NEXT).await
        };
        let next = within(time, next).await?;
        let last = after.map(|key| key.into_string().into_bytes()).unwrap_or_default();
        Ok(Self { client, next, timeout: time, last })
    }

    async fn try_count(&self) -> Result<Option<u64>, StoreError> {
        let limit = format!("SAVEPOINT count; SET LOCAL statement_timeout = {}", LONGEST_COUNT.as_millis());
        self.client.batch_execute(&limit).await?;
        let counted = self.client.query_one("SELECT count(*) FROM orders_state.entries", &[]).await;
        let count = counted.and_then(|row| row.try_get::<_, i64>(0));
        // Also takes back the limit.
        self.client.batch_execute("ROLLBACK TO SAVEPOINT count").await?;
        Ok(count.ok().and_then(|count| u64::try_from(count).ok()))
    }
}

#[async_trait]
impl Snapshot for PostgresSnapshot {
    async fn count(&mut self) -> Result<Option<u64>, StoreError> {
        let limit = LONGEST_COUNT + self.timeout;
        timeout(limit, self.try_count()).await.unwrap_or_else(|_| Err(late(limit)))
    }

    async fn next(&mut self) -> Result<Vec<Entry>, StoreError> {
        let bytes = i64::try_from(PAGE_BYTES).unwrap_or(i64::MAX);
        let limit = i64::from(MAX_PAGE_ENTRIES);
        let rows = within(self.timeout, self.client.query(&self.next, &[&self.last, &bytes, &limit])).await?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            let key = String::from_utf8(row.try_get(0)?).map_err(|_| unexpected())?;
            let stored = Stored { value: Value(row.try_get(2)?), revision: revision(&row, 1)? };
            entries.push(Entry { key: Key(key), stored });
        }
        if let Some(entry) = entries.last() {
            self.last = entry.key.as_str().as_bytes().to_owned();
        }
        Ok(entries)
    }
}

async fn within<T>(limit: Duration, what: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
    match timeout(limit, what).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(late(limit)),
    }
}

fn late(limit: Duration) -> StoreError {
    StoreError::Unavailable(format!("the server did not answer within {limit:?}"))
}
