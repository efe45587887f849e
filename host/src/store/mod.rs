//! The state store: one ordered map from keys to values, with atomic conditional commits.
//!
//! [`Store`] is the Rust form of the contract in `wit/state/store.wit`. The constructors of [`Key`], [`Value`],
//! [`Scan`] and [`Commit`] check the limits once, so no backend ever receives an invalid value.
//! `host/tests/store_conformance/` runs one test suite against every backend.
//!
//! | file | what it does |
//! |---|---|
//! | `contract` | keys, values, scans, commits and their limits |
//! | `snapshot` | all entries of a store at one point in time |
//! | `backend` | the `Store` trait, which every backend implements |
//! | `backoff` | growing, randomised delays between attempts |
//! | `complaints` | reports failures that do not pass by themselves |
//! | `memory` | an in-process map, for tests and benchmarks |
//! | `sqlite` | one SQLite file, the default |
//! | `postgres` | a database on a PostgreSQL server, which processes on several machines can share |

mod backend;
mod backoff;
mod complaints;
mod contract;
mod memory;
mod postgres;
mod snapshot;
mod sqlite;

use std::sync::Arc;

use backend::IfMissing;
pub use backend::{OpenError, Store};
pub use backoff::Backoff;
pub use contract::{
    Check, Commit, Entry, Key, MAX_COMMIT_ITEMS, MAX_GET_KEYS, MAX_KEY_BYTES, MAX_SCAN_LIMIT,
    MAX_TRANSFER_BYTES, MAX_VALUE_BYTES, Order, Outcome, Reason, Revision, Scan, StoreError, Stored, Value,
    Write, check_item_count, check_key_count,
};
pub use snapshot::{MAX_PAGE_ENTRIES, PAGE_BYTES, Snapshot};

pub use sqlite::{Checked, check_file};

use crate::config::StoreLocation;

/// Checks what can be checked without a server: the location, and an SQLite file. Changes nothing, and blocks on the disk.
///
/// # Errors
///
/// [`OpenError`] if [`open`] would fail.
pub fn check(location: &StoreLocation) -> Result<(), OpenError> {
    match location {
        StoreLocation::Memory => Ok(()),
        StoreLocation::Sqlite(path) => sqlite::check(path),
        StoreLocation::Postgres(server) => postgres::check(server),
    }
}

/// Whether [`open`] begins with a check of a file that was not closed, which may take seconds.
pub fn will_check(location: &StoreLocation) -> bool {
    matches!(location, StoreLocation::Sqlite(path) if sqlite::will_check(path))
}

/// Checks that the store's server can be reached and that the database can be used. Changes nothing. A store without a
/// server is always reached.
///
/// # Errors
///
/// [`OpenError`] if [`open`] would fail.
pub async fn reach(location: &StoreLocation) -> Result<(), OpenError> {
    match location {
        StoreLocation::Memory | StoreLocation::Sqlite(_) => Ok(()),
        StoreLocation::Postgres(server) => postgres::reach(server).await,
    }
}

/// Opens the store at `location` and creates it if it does not exist.
///
/// # Errors
///
/// [`OpenError`] if the store cannot be created, read or written, or if there is something else at `location`. A failed
/// open leaves existing data unchanged.
pub async fn open(location: &StoreLocation) -> Result<Arc<dyn Store>, OpenError> {
    open_with(location, IfMissing::Create).await
}

/// Opens the store at `location`, which must exist.
///
/// # Errors
///
/// [`OpenError`] as for [`open`], and if the store does not exist. Nothing is created in that case.
pub async fn open_existing(location: &StoreLocation) -> Result<Arc<dyn Store>, OpenError> {
    open_with(location, IfMissing::Fail).await
}

async fn open_with(location: &StoreLocation, if_missing: IfMissing) -> Result<Arc<dyn Store>, OpenError> {
    match location {
        StoreLocation::Memory => Ok(Arc::new(memory::MemoryStore::default())),
        StoreLocation::Sqlite(path) => Ok(Arc::new(sqlite::SqliteStore::open(path, if_missing).await?)),
        StoreLocation::Postgres(server) => {
            Ok(Arc::new(postgres::PostgresStore::open(server, if_missing).await?))
        }
    }
}
