//! `orders-host state`: the state of a store as a file, and the check of a SQLite file.
//!
//! Memory holds only a few pages at a time, however large the store is.
//!
//! | file | what it does |
//! |---|---|
//! | `endpoints` | the two ends of a transfer: a store, and a file or a standard stream |
//! | `checksum` | the number of entries and their checksum |
//! | `format` | the format of the file, and how it is written |
//! | `decoder` | reads the format, and detects damage |
//! | `progress` | the progress bar |
//! | `writer` | the thread that writes the file |
//! | `reader` | the thread that reads the file |
//! | `target` | the store to import into, compared with the input |
//! | `export` | from a snapshot of a store to a file |
//! | `import` | from a file into a store |
//! | `check` | the check of a SQLite file |

mod check;
mod checksum;
mod decoder;
mod endpoints;
mod export;
mod format;
mod import;
mod progress;
mod reader;
mod target;
mod writer;

pub use check::check;
pub use export::export;
pub use import::import;

use crate::{
    commands::{
        error::CommandError,
        output::{print, print_to_stderr},
    },
    config::StateCommand,
};

/// Exports, imports or checks, and prints a summary; on standard error if standard output carries the state.
///
/// # Errors
///
/// [`CommandError::CouldNotRun`] if nothing was written, [`CommandError::Failed`] if the transfer did not finish, or its
/// summary cannot be printed.
pub async fn run(command: &StateCommand) -> Result<(), CommandError> {
    match command {
        StateCommand::Export(config) => {
            let summary = export(config).await?;
            if endpoints::is_standard_stream(&config.output) {
                print_to_stderr(summary)
            } else {
                print(summary)
            }
        }
        StateCommand::Import(config) => print(import(config).await?),
        StateCommand::Check(config) => print(check(config).await?),
    }
}
