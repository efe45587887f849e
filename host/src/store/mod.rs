//! The state store: one ordered map from keys to values with atomic conditional commits.
//!
//! [`Store`] is the contract of `wit/state/store.wit` in Rust. Limits are checked once, when a [`Key`], [`Value`],
//! [`Scan`] or [`Commit`] is made, so that no backend ever sees an invalid one. `host/tests/store_conformance/` runs one
//! suite against every backend.
//!
//! | file | what it does |
//! |---|---|
//! | `contract` | keys, values, scans, commits and their limits |
//! | `snapshot` | all entries of a store at one moment |
//! | `backend` | the trait that every backend implements |
//! | `memory` | a map in this process, for tests and benchmarks |
//! | `sqlite` | one file, the default |
//! | `postgres` | a database on a server, which several processes on several machines may share |

mod backend;
mod contract;
mod memory;
mod postgres;
mod snapshot;
mod sqlite;

use std::sync::Arc;

use backend::Missing;
pub use backend::{OpenError, Store};
pub use contract::{
    Check, Commit, Entry, Key, MAX_COMMIT_ITEMS, MAX_GET_KEYS, MAX_KEY_BYTES, MAX_SCAN_LIMIT,
    MAX_TRANSFER_BYTES, MAX_VALUE_BYTES, Order, Outcome, Revision, Scan, StoreError, Stored, Value, Write,
    check_item_count, check_key_count,
};
pub use snapshot::{MAX_PAGE_ENTRIES, PAGE_BYTES, Snapshot};

use crate::config::StoreLocation;

/// Opens the store at `location`, creating it if nothing is there yet.
///
/// # Errors
///
/// [`OpenError`] if it cannot be created, read or written, or if something else is there. A failed open
/// leaves what was there as it was.
pub async fn open(location: &StoreLocation) -> Result<Arc<dyn Store>, OpenError> {
    open_or(location, Missing::Make).await
}

/// Opens the store at `location`, if there is one.
///
/// # Errors
///
/// [`OpenError`] as for [`open`], and if nothing is there yet; nothing is made then.
pub async fn open_existing(location: &StoreLocation) -> Result<Arc<dyn Store>, OpenError> {
    open_or(location, Missing::Refuse).await
}

async fn open_or(location: &StoreLocation, missing: Missing) -> Result<Arc<dyn Store>, OpenError> {
    match location {
        StoreLocation::Memory => Ok(Arc::new(memory::MemoryStore::default())),
        StoreLocation::Sqlite(path) => Ok(Arc::new(sqlite::SqliteStore::open(path, missing).await?)),
        StoreLocation::Postgres(server) => {
            Ok(Arc::new(postgres::PostgresStore::open(server, missing).await?))
        }
    }
}
