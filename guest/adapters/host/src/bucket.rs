//! One bucket that all instances and both drafts share: a table of SQLite, in memory or in a file, as Spin has it.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension, Params, params};
use tokio::{task::block_in_place, time::sleep};

use crate::mode::Mode;

/// The name of the bucket, the same as on Spin and wasmCloud.
pub(crate) const BUCKET_NAME: &str = "default";
/// Delay between an atomic call and its result, as over a network. Other writers can change the bucket in between.
const RESULT_DELAY: Duration = Duration::from_millis(1);
/// How much longer each call of [`Mode::Slow`] takes.
const SLOW_DELAY: Duration = Duration::from_millis(2);

/// How long a call waits for another process, which may just be dying.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const CREATE: &str = "CREATE TABLE IF NOT EXISTS bucket (key TEXT PRIMARY KEY, value BLOB NOT NULL)";
const GET: &str = "SELECT value FROM bucket WHERE key = ?1";
const SET: &str = "INSERT INTO bucket VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
const DELETE: &str = "DELETE FROM bucket WHERE key = ?1";
const KEYS_AFTER: &str = "SELECT key FROM bucket WHERE key > ?1 ORDER BY key LIMIT ?2";
const KEYS_FROM: &str = "SELECT key FROM bucket ORDER BY key LIMIT ?2 OFFSET ?1";
const INSERT: &str = "INSERT INTO bucket VALUES (?1, ?2) ON CONFLICT DO NOTHING";
const REPLACE: &str = "UPDATE bucket SET value = ?2 WHERE key = ?1 AND value = ?3";

/// The bucket. Each call on it is atomic, unless its mode says otherwise.
#[derive(Clone)]
pub(crate) struct Bucket(Arc<Shared>);

struct Shared {
    table: Mutex<Connection>,
    mode: Mode,
    calls: AtomicU64,
    /// Whether a call has trapped while it held the lock.
    is_poisoned: AtomicBool,
}

/// Why a call fails.
pub(crate) enum Failure {
    /// The call returns this error.
    Error(String),
    /// The call traps.
    Trap(&'static str),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Error(error.to_string())
    }
}

/// What a call returns to a component, in the error type of its draft; a trap ends the component.
pub(crate) fn answer<T, E>(
    result: Result<T, Failure>,
    error: impl FnOnce(String) -> E,
) -> wasmtime::Result<Result<T, E>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Failure::Error(why)) => Ok(Err(error(why))),
        Err(Failure::Trap(why)) => Err(wasmtime::Error::msg(why)),
    }
}

impl Bucket {
    /// Opens the bucket in this file, or a new one in memory.
    ///
    /// # Errors
    ///
    /// If the file cannot be used.
    pub(crate) fn open(file: Option<&Path>, mode: Mode) -> rusqlite::Result<Self> {
        let table = file.map_or_else(Connection::open_in_memory, Connection::open)?;
        table.busy_timeout(BUSY_TIMEOUT)?;
        table.execute(CREATE, [])?;
        let (calls, is_poisoned) = (AtomicU64::new(0), AtomicBool::new(false));
        Ok(Self(Arc::new(Shared { table: Mutex::new(table), mode, calls, is_poisoned })))
    }

    pub(crate) fn mode(&self) -> Mode {
        self.0.mode
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.call(|table| Ok(get(table, key)?)).await
    }

    pub(crate) async fn set(&self, key: &str, value: &[u8]) -> Result<(), Failure> {
        self.call(|table| Ok(table.prepare_cached(SET)?.execute(params![key, value]).map(drop)?)).await
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<(), Failure> {
        self.call(|table| Ok(table.prepare_cached(DELETE)?.execute([key]).map(drop)?)).await
    }

    /// A page of keys after the cursor; none begins at the first key.
    pub(crate) async fn keys_after(&self, cursor: Option<&str>) -> Result<Vec<String>, Failure> {
        let limit = self.mode().page_keys();
        self.call(|table| keys(table, KEYS_AFTER, params![cursor.unwrap_or_default(), limit])).await
    }

    /// A page of keys after so many of them, as they are now.
    pub(crate) async fn keys_from(&self, cursor: i64) -> Result<Vec<String>, Failure> {
        let limit = self.mode().page_keys();
        self.call(|table| keys(table, KEYS_FROM, params![cursor, limit])).await
    }

    /// Adds to a counter, which is 0 if the key does not exist.
    pub(crate) async fn increment(&self, key: &str, delta: i64) -> Result<i64, Failure> {
        let mode = self.mode();
        let sum = |value: Option<Vec<u8>>| {
            let number = value.map_or(Some(0), |value| mode.decode(&value)).ok_or_else(|| {
                if mode == Mode::IncrementTraps {
                    self.0.is_poisoned.store(true, Ordering::Relaxed);
                    return Failure::Trap("incorrect length");
                }
                Failure::Error(format!("{key} is not a counter"))
            })?;
            number.checked_add(delta).ok_or_else(|| Failure::Error(format!("{key} overflows")))
        };
        let number = if mode == Mode::CountInTwoSteps {
            let number = sum(self.get(key).await?)?;
            sleep(RESULT_DELAY).await;
            self.set(key, &mode.encode(number)).await?;
            number
        } else {
            self.call(|table| {
                let number = sum(get(table, key)?)?;
                table.prepare_cached(SET)?.execute(params![key, mode.encode(number)])?;
                Ok(number)
            })
            .await?
        };
        sleep(RESULT_DELAY).await;
        Ok(number)
    }

    /// The value of a key, which a swap will compare.
    pub(crate) async fn current(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        let value = self.get(key).await?;
        sleep(RESULT_DELAY).await;
        Ok(value)
    }

    /// Stores the value if the current value is still `expected`. Returns whether it was stored, or what the mode makes of that.
    pub(crate) async fn compare_and_swap(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        value: &[u8],
    ) -> Result<bool, Failure> {
        let mode = self.mode();
        self.call(|table| {
            let changed = match expected {
                None if mode == Mode::SwapUpserts => table.prepare_cached(SET)?.execute(params![key, value]),
                None => table.prepare_cached(INSERT)?.execute(params![key, value]),
                Some(expected) => table.prepare_cached(REPLACE)?.execute(params![key, value, expected]),
            };
            Ok(changed? > 0 && mode != Mode::SwapReportsFailure)
        })
        .await
    }

    /// Makes a call, unless it fails.
    async fn call<T>(&self, act: impl FnOnce(&Connection) -> Result<T, Failure>) -> Result<T, Failure> {
        if self.mode() == Mode::Slow {
            sleep(SLOW_DELAY).await;
        }
        if self.0.is_poisoned.load(Ordering::Relaxed) {
            return Err(Failure::Trap("the lock is poisoned"));
        }
        let is_tenth = self.0.calls.fetch_add(1, Ordering::Relaxed) % 10 == 9;
        if is_tenth && self.mode() == Mode::FailsBefore {
            return Err(Failure::Error("it fails before the call".into()));
        }
        let result = block_in_place(|| act(&self.table()))?;
        if is_tenth && self.mode() == Mode::FailsAfter {
            return Err(Failure::Error("it fails after the call".into()));
        }
        Ok(result)
    }

    fn table(&self) -> MutexGuard<'_, Connection> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn get(table: &Connection, key: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    table.prepare_cached(GET)?.query_one([key], |row| row.get(0)).optional()
}

fn keys(table: &Connection, query: &str, page: impl Params) -> Result<Vec<String>, Failure> {
    let mut query = table.prepare_cached(query)?;
    let keys = query.query_map(page, |row| row.get(0))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}
