//! `serve`: the only place that wires the layers together.
//!
//! | file | what it does |
//! |---|---|
//! | `drain` | how the service drains |
//! | `serving` | what runs from the end of the start to the end of the drain |
//! | `checks` | what can be checked at once, before anything else |
//! | `store_wait` | waits for a store that cannot be reached |
//! | `start` | what is built in which order |

mod checks;
mod drain;
mod serving;
mod start;
mod store_wait;

pub use drain::Ending;

use crate::{
    commands::error::CommandError::{self, CouldNotRun},
    config::ServeConfig,
    lifecycle::shutdown::{Hangup, Signals},
    sandbox::engine,
};

/// Checks that the limit of the address space leaves room for the instances.
///
/// # Errors
///
/// [`CommandError::CouldNotRun`].
pub fn check_address_space(config: &ServeConfig) -> Result<(), CommandError> {
    engine::check_address_space(config.limits.max_concurrent.into()).map_err(CouldNotRun)
}

/// Serves until a signal ends it.
///
/// Clients can connect once what is quick to check is right. Until the service has its module and its store, only `/health`
/// returns 200. The store is created last, so that a failed start leaves nothing behind.
///
/// # Errors
///
/// [`CommandError::CouldNotRun`] if the service could not start.
pub async fn serve(config: ServeConfig) -> Result<Ending, CommandError> {
    let handlers = Signals::install().and_then(|signals| Ok((signals, Hangup::install()?)));
    let (mut signals, hangup) =
        handlers.map_err(|error| CouldNotRun(format!("cannot install signal handlers: {error}")))?;
    // On the heap, because it is large, and gone once the service has started.
    let started = Box::pin(start::start(&config));
    tokio::select! {
        started = started => Ok(started?.run(&mut signals, hangup, &config.shutdown).await),
        signal = signals.next() => {
            tracing::info!(event = "service.start_aborted", signal, "start aborted by a signal");
            Ok(Ending::Orderly)
        }
    }
}
