//! What a command prints. `println!` and `eprintln!` would panic if their stream is full; nothing else in the program prints.
//!
//! A reader that has gone, as in `orders-host inspect FILE | head -1`, is no error: what it did not want is lost, and the exit
//! code is that of the command.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
};

use crate::commands::error::CommandError;

/// Prints one or more lines to standard output.
///
/// # Errors
///
/// [`CommandError::Failed`] if they cannot be written, for example to a full disk.
pub fn print(lines: impl Display) -> Result<(), CommandError> {
    written("standard output", line_to(io::stdout().lock(), lines))
}

/// Prints a result to standard error, because standard output has something else.
///
/// # Errors
///
/// [`CommandError::Failed`] if it cannot be written.
pub fn print_to_stderr(line: impl Display) -> Result<(), CommandError> {
    written("standard error", line_to(io::stderr().lock(), line))
}

/// Prints a warning or the reason of a failure to standard error. If that is not possible, there is nobody to tell.
pub fn tell(what: impl Display) {
    let _ = line_to(io::stderr().lock(), format_args!("orders-host: {what}"));
}

/// Prints the text that clap has for `--help` or `--version`.
///
/// # Errors
///
/// [`CommandError::Failed`] if it cannot be written.
pub fn print_help(help: &clap::Error) -> Result<(), CommandError> {
    written("standard output", help.print().and_then(|()| io::stdout().flush()))
}

fn line_to(mut stream: impl Write, line: impl Display) -> io::Result<()> {
    writeln!(stream, "{line}")?;
    stream.flush()
}

fn written(stream: &str, result: io::Result<()>) -> Result<(), CommandError> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(CommandError::Failed(format!("cannot write to {stream}: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
