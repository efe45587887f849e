//! The two ends of a transfer: a store, and a file or a standard stream.

use std::{path::Path, sync::Arc, time::Duration};

use crate::{
    commands::error::CommandError,
    config::{StoreConfig, StoreLocation},
    lifecycle::shutdown::Signals,
    store::{OpenError, Store},
};

/// The path that stands for standard input or output.
const STANDARD: &str = "-";
/// Stands in for `--request-timeout`, of which each call to a server may take a third: no client waits for a response.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

pub(super) fn is_standard_stream(path: &Path) -> bool {
    path == Path::new(STANDARD)
}

/// The location of a store. `memory:` is rejected, because it is empty at the start and lost at the end.
pub(super) fn location(config: &StoreConfig) -> Result<StoreLocation, CommandError> {
    match config.location(CALL_TIMEOUT) {
        Ok(StoreLocation::Memory) => Err(CommandError::CouldNotRun(
            "a `memory:` store lasts only as long as its process; choose another store".to_owned(),
        )),
        other => other.map_err(CommandError::CouldNotRun),
    }
}

/// Turns a failure to open a store into an error of the command.
pub(super) fn opened(store: Result<Arc<dyn Store>, OpenError>) -> Result<Arc<dyn Store>, CommandError> {
    store.map_err(|error| CommandError::CouldNotRun(error.to_string()))
}

/// Installs the handlers of the signals that stop a transfer in an orderly way.
pub(super) fn install_signals() -> Result<Signals, CommandError> {
    Signals::install()
        .map_err(|error| CommandError::CouldNotRun(format!("cannot install signal handlers: {error}")))
}
