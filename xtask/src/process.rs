//! Programs that may take so long, and no longer.

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::command::Failed;

/// How long a process that was killed may take to be gone.
const GONE: Duration = Duration::from_secs(10);

/// Which processes a program is grouped with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// A group of its own, so that whatever it starts is signalled with it.
    Own,
    /// Ours: a terminal that interrupts us interrupts it, too.
    Ours,
}

/// A program that is waited for with a deadline, and killed if it is not waited for.
pub struct Process {
    name: String,
    id: Pid,
    group: Group,
    ended: Receiver<std::io::Result<ExitStatus>>,
    has_ended: bool,
}

impl Process {
    /// Runs a command to its end, in a group of its own, with its output where ours goes.
    ///
    /// # Errors
    ///
    /// [`Failed`] if it cannot be started, does not end in time or does not succeed.
    pub fn run(command: &mut Command, limit: Duration) -> Result<(), Failed> {
        eprintln!("+ {command:?}");
        Self::start(command, Group::Own)?.succeed_within(limit)
    }

    /// Starts a command.
    ///
    /// # Errors
    ///
    /// [`Failed`] if it cannot be started.
    pub fn start(command: &mut Command, group: Group) -> Result<Self, Failed> {
        let name = Path::new(command.get_program()).file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        if group == Group::Own {
            command.process_group(0);
        }
        let mut child: Child =
            command.spawn().map_err(|error| Failed(format!("{name} cannot be run: {error}")))?;
        let id = Pid::from_child(&child);
        let (sender, ended) = sync_channel(1);
        thread::spawn(move || sender.send(child.wait()));
        Ok(Self { name, id, group, ended, has_ended: false })
    }

    /// The number of the process.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id.as_raw_nonzero().get()
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// [`Failed`] if it does not end in time.
    pub fn end_within(&mut self, limit: Duration) -> Result<ExitStatus, Failed> {
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

    /// Waits for it to succeed.
    ///
    /// # Errors
    ///
    /// [`Failed`] if it does not end in time or does not succeed.
    pub fn succeed_within(&mut self, limit: Duration) -> Result<(), Failed> {
        let status = self.end_within(limit)?;
        if status.success() { Ok(()) } else { Err(Failed(format!("{} failed: {status}", self.name))) }
    }

    /// Asks it to end, and whatever it has started in a group of its own: SIGTERM.
    ///
    /// # Errors
    ///
    /// [`Failed`] if it is not there any more.
    pub fn terminate(&self) -> Result<(), Failed> {
        self.signal(Signal::TERM).map_err(|error| Failed(format!("{}: {error}", self.name)))
    }

    fn signal(&self, signal: Signal) -> rustix::io::Result<()> {
        match self.group {
            Group::Own => kill_process_group(self.id, signal),
            Group::Ours => kill_process(self.id, signal),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_ended && self.ended.try_recv().is_err() {
            let _ = self.signal(Signal::KILL);
            let _ = self.ended.recv_timeout(GONE);
        }
    }
}
