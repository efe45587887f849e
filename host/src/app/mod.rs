//! `serve`: the only place that wires the layers together.
//!
//! | file | what it does |
//! |---|---|
//! | `drain` | how the service drains |
//! | `serving` | what runs from the end of the start to the end of the drain |
//! | `start` | what is built in which order |

mod drain;
mod serving;
mod start;

pub use drain::Ending;

use crate::{
    commands::error::CommandError::{self, CouldNotRun},
    config::ServeConfig,
    lifecycle::shutdown::{Hangup, Signals},
};

/// Serves until a signal ends it.
///
/// The component is checked first and the store opened last, so that a failed start leaves nothing behind. Clients can
/// connect only once everything is ready.
///
/// # Errors
///
/// [`CommandError::CouldNotRun`] if the service could not start.
pub async fn serve(config: ServeConfig) -> Result<Ending, CommandError> {
    let handlers = Signals::install().and_then(|signals| Ok((signals, Hangup::install()?)));
    let (mut signals, hangup) =
        handlers.map_err(|error| CouldNotRun(format!("cannot install signal handlers: {error}")))?;
    tokio::select! {
        started = start::start(&config) => Ok(started?.run(&mut signals, hangup, &config.shutdown).await),
        signal = signals.next() => {
            tracing::info!(event = "service.start_aborted", signal, "start aborted by a signal");
            Ok(Ending::Orderly)
        }
    }
}
