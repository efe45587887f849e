//! Programs that may take so long, and no longer.

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

use crate::command::{Failed, run};

/// A program in a group of its own, with whatever it starts: waited for with a deadline, and killed if it is not
/// waited for.
pub(crate) struct Process {
    name: String,
    id: String,
    ended: Receiver<std::io::Result<ExitStatus>>,
    has_ended: bool,
}

impl Process {
    /// Runs a command to its end, with its output where ours goes.
    ///
    /// # Errors
    ///
    /// [`Failed`] if it cannot be started, does not end in time or does not succeed.
    pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<(), Failed> {
        let (mut process, _) = Self::start(command)?;
        let status = process.end_within(limit)?;
        if status.success() { Ok(()) } else { Err(Failed(format!("{} failed: {status}", process.name))) }
    }

    /// Starts a command; gives its output too, if that is piped.
    ///
    /// # Errors
    ///
    /// [`Failed`] if it cannot be started.
    pub(crate) fn start(command: &mut Command) -> Result<(Self, Option<ChildStdout>), Failed> {
        eprintln!("+ {command:?}");
        let name = Path::new(command.get_program()).file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let mut child: Child = command
            .process_group(0)
            .spawn()
            .map_err(|error| Failed(format!("{name} cannot be run: {error}")))?;
        let (id, output) = (child.id().to_string(), child.stdout.take());
        let (sender, ended) = sync_channel(1);
        thread::spawn(move || sender.send(child.wait()));
        Ok((Self { name, id, ended, has_ended: false }, output))
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// [`Failed`] if it does not end in time.
    pub(crate) fn end_within(&mut self, limit: Duration) -> Result<ExitStatus, Failed> {
        let name = &self.name;
        match self.ended.recv_timeout(limit) {
            Ok(outcome) => {
                self.has_ended = true;
                outcome.map_err(|error| Failed(format!("{name}: {error}")))
            }
            Err(RecvTimeoutError::Timeout) => {
                Err(Failed(format!("{name} did not end in {} s", limit.as_secs())))
            }
            Err(RecvTimeoutError::Disconnected) => Err(Failed(format!("{name} was not waited for"))),
        }
    }

    /// Sends a signal to it and to whatever it has started.
    ///
    /// # Errors
    ///
    /// [`Failed`] if `kill` cannot.
    pub(crate) fn signal(&self, signal: &str) -> Result<(), Failed> {
        run(Command::new("kill").args(["-s", signal, "--", &format!("-{}", self.id)]))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_ended && self.ended.try_recv().is_err() {
            let _ = self.signal("KILL");
        }
    }
}
