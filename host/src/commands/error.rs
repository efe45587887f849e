//! Why a command fails, and its exit code.

use std::{fmt, process::ExitCode};

use crate::store::StoreError;

/// Why a command fails: one line for standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The command ran and its result is negative, or it did not finish. Exit code 1.
    Failed(String),
    /// The command could not run: its input cannot be read, the service cannot start or does not respond, or the outcome is
    /// unknown. Exit code 2.
    CouldNotRun(String),
}

impl CommandError {
    /// The command could not run, for this reason.
    pub(crate) fn could_not_run(why: impl fmt::Display) -> Self {
        Self::CouldNotRun(why.to_string())
    }

    /// The exit code of the program.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(_) => ExitCode::from(1),
            Self::CouldNotRun(_) => ExitCode::from(2),
        }
    }

    /// The same error in a command that may already have changed something: the outcome is unknown.
    pub(super) fn outcome_unknown(self) -> Self {
        let (Self::Failed(why) | Self::CouldNotRun(why)) = self;
        Self::CouldNotRun(format!("the outcome is unknown: {why}"))
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Failed(why) | Self::CouldNotRun(why)) = self;
        f.write_str(why)
    }
}

impl std::error::Error for CommandError {}

impl From<StoreError> for CommandError {
    /// A store that failed after it was opened.
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}
