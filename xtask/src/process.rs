//! Runs a program with a deadline.

use std::{
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitStatus},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::command::{TaskError, announce};

/// How long a killed process may take to exit.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// The process group of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// A group of its own: signals also reach the processes that the program starts.
    Own,
    /// The group of this process: a terminal interrupts both.
    Ours,
}

/// A running program; killed when dropped.
pub struct Process {
    name: String,
    id: Pid,
    group: Group,
    status: Receiver<io::Result<ExitStatus>>,
    has_exited: bool,
}

impl Process {
    /// Runs a command to its end, in a group of its own. It inherits standard output and standard error.
    pub fn run(command: &mut Command, limit: Duration) -> Result<(), TaskError> {
        announce(command);
        Self::start(command, Group::Own)?.succeed_within(limit)
    }

    /// Starts a command.
    pub fn start(command: &mut Command, group: Group) -> Result<Self, TaskError> {
        let name = Path::new(command.get_program()).file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        if group == Group::Own {
            command.process_group(0);
        }
        let mut child = command.spawn().map_err(|error| TaskError(format!("cannot run {name}: {error}")))?;
        let id = Pid::from_child(&child);
        let (sender, status) = sync_channel(1);
        thread::spawn(move || sender.send(child.wait()));
        Ok(Self { name, id, group, status, has_exited: false })
    }

    /// The process ID.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id.as_raw_nonzero().get()
    }

    /// Waits for the exit status.
    pub fn exit_within(&mut self, limit: Duration) -> Result<ExitStatus, TaskError> {
        let reason = match self.status.recv_timeout(limit) {
            Ok(status) => {
                self.has_exited = true;
                return status.map_err(|error| TaskError(format!("{}: {error}", self.name)));
            }
            Err(RecvTimeoutError::Timeout) => format!("did not exit within {} s", limit.as_secs()),
            Err(RecvTimeoutError::Disconnected) => "exited earlier".to_owned(),
        };
        Err(TaskError(format!("{} {reason}", self.name)))
    }

    /// Waits for exit status 0.
    pub fn succeed_within(&mut self, limit: Duration) -> Result<(), TaskError> {
        let status = self.exit_within(limit)?;
        if status.success() { Ok(()) } else { Err(TaskError(format!("{} failed: {status}", self.name))) }
    }

    /// Sends SIGTERM to the program, and to its group if that is its own.
    pub fn terminate(&self) -> Result<(), TaskError> {
        self.signal(Signal::TERM).map_err(|error| TaskError(format!("{}: {error}", self.name)))
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
        if !self.has_exited && self.status.try_recv().is_err() {
            let _ = self.signal(Signal::KILL);
            let _ = self.status.recv_timeout(KILL_LIMIT);
        }
    }
}
