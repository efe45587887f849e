//! `orders-host state export` and `import`: all that a store holds, as a file.
//!
//! - `format`: what stands in such a file;
//! - `reading`, `writing`: a thread each, between a file and the store, with little in between;
//! - `export`, `import`: from a snapshot of a store into a file, and back;
//! - `target`: the store that is imported into, beside what is imported;
//! - `progress`: how far it is, on a terminal.
//!
//! Whatever the store's size, memory holds a few pages of it.

mod export;
mod format;
mod import;
mod progress;
mod reading;
mod target;
mod writing;

use std::{fmt, path::Path, sync::Arc, time::Duration};

pub use export::export;
pub use import::import;

use crate::{
    config::{StoreConfig, StoreLocation},
    shutdown::Signals,
    store::{OpenError, Store, StoreError},
};

/// What stands for standard input or output.
const STANDARD: &str = "-";
/// How long a call to a server may take in all, a third of which is for each of its waits: nobody waits for an answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a transfer did not come to its end: one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It could not be begun; nothing was written.
    NotBegun(String),
    /// It was begun.
    Incomplete(String),
}

/// What was transferred: one line for whoever asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary(String);

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a store is; not in memory, where there is nothing before and nothing afterwards.
fn location(config: &StoreConfig) -> Result<StoreLocation, Trouble> {
    match config.location(CALL_TIMEOUT) {
        Ok(StoreLocation::Memory) => Err(Trouble::NotBegun(
            "what `memory:` holds begins and ends with a process; name another store".to_owned(),
        )),
        other => other.map_err(Trouble::NotBegun),
    }
}

fn opened(store: Result<Arc<dyn Store>, OpenError>) -> Result<Arc<dyn Store>, Trouble> {
    store.map_err(|error| Trouble::NotBegun(error.to_string()))
}

/// The signals that end a transfer in order.
fn signals() -> Result<Signals, Trouble> {
    Signals::take_over().map_err(|error| Trouble::NotBegun(format!("cannot wait for signals: {error}")))
}

fn is_standard(path: &Path) -> bool {
    path == Path::new(STANDARD)
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Incomplete(error.to_string())
    }
}
