//! `orders-host state export` and `import`: all that a store holds, as a file.
//!
//! Whatever the store's size, memory holds a few pages of it.
//!
//! | file | what it does |
//! |---|---|
//! | `endpoints` | the two ends of a transfer: a store, and a file or a standard stream |
//! | `format` | the format of the file |
//! | `progress` | the progress bar |
//! | `writing` | a thread that writes the file |
//! | `reading` | a thread that reads the file |
//! | `target` | the store that is imported into, compared with what is imported |
//! | `export` | from a snapshot of a store into a file |
//! | `import` | from a file into a store |

mod endpoints;
mod export;
mod format;
mod import;
mod progress;
mod reading;
mod target;
mod writing;

pub use export::export;
pub use import::import;

use crate::{commands::error::CommandError, config::StateCommand};

/// Exports or imports, and prints a summary: on standard error where standard output may hold the state itself.
///
/// # Errors
///
/// [`CommandError::CouldNotRun`] if nothing was written, [`CommandError::Failed`] if the transfer did not run to its end.
pub async fn run(command: &StateCommand) -> Result<(), CommandError> {
    match command {
        StateCommand::Export(config) => {
            let summary = export(config).await?;
            if endpoints::is_standard(&config.output) {
                eprintln!("{summary}");
            } else {
                println!("{summary}");
            }
        }
        StateCommand::Import(config) => println!("{}", import(config).await?),
    }
    Ok(())
}
