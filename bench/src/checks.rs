//! The checks of a measurement: their verdicts, and the faults that fail the command.

use xtask::command::TaskError;

/// The faults found so far.
#[derive(Default)]
pub(crate) struct Checks(Vec<String>);

/// The verdict of a check that holds.
pub(crate) const REACHED: &str = "reached";

impl Checks {
    /// The verdict to print; a check that does not hold adds its fault.
    pub(crate) fn verdict(&mut self, holds: bool, fault: impl Into<String>) -> &'static str {
        if holds {
            return REACHED;
        }
        self.0.push(fault.into());
        "NOT REACHED"
    }

    /// An error with all faults, if there are any.
    pub(crate) fn result(self) -> Result<(), TaskError> {
        if self.0.is_empty() { Ok(()) } else { Err(TaskError(self.0.join("; "))) }
    }
}
