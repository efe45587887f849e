//! The two ends of a transfer: a store, and a file or a standard stream.

use std::{path::Path, sync::Arc, time::Duration};

use crate::{
    commands::error::CommandError,
    config::{StoreConfig, StoreLocation},
    lifecycle::shutdown::Signals,
    store::{OpenError, Store},
};

/// What stands for standard input or output.
const STANDARD: &str = "-";
/// How long a call to a server may take in all, a third of which is for each of its waits: nobody waits for an answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

pub(super) fn is_standard(path: &Path) -> bool {
    path == Path::new(STANDARD)
}

/// Where a store is; not in memory, where there is nothing before and nothing afterwards.
pub(super) fn location(config: &StoreConfig) -> Result<StoreLocation, CommandError> {
    match config.location(CALL_TIMEOUT) {
        Ok(StoreLocation::Memory) => Err(CommandError::CouldNotRun(
            "what `memory:` holds begins and ends with a process; name another store".to_owned(),
        )),
        other => other.map_err(CommandError::CouldNotRun),
    }
}

pub(super) fn opened(store: Result<Arc<dyn Store>, OpenError>) -> Result<Arc<dyn Store>, CommandError> {
    store.map_err(|error| CommandError::CouldNotRun(error.to_string()))
}

/// The signals that end a transfer in order.
pub(super) fn signals() -> Result<Signals, CommandError> {
    Signals::take_over()
        .map_err(|error| CommandError::CouldNotRun(format!("cannot wait for signals: {error}")))
}
