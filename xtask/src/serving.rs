//! Starts a server on a free port, for tests and measurements, and waits until it listens.

use std::{
    io::{self, BufRead, BufReader, PipeReader},
    net::SocketAddr,
    process::{Command, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::{Duration, Instant},
};

use crate::{
    command::TaskError,
    host::field,
    process::{Group, Process},
};

/// How long a server may take to log its address, and to shut down.
const LIMIT: Duration = Duration::from_secs(60);

/// A server that listens; killed when dropped.
pub struct Serving {
    /// The process of the server.
    pub process: Process,
    /// The address on which it listens.
    pub address: SocketAddr,
    /// When it was started.
    pub began: Instant,
}

impl Serving {
    /// Starts a command and waits until it logs its address, on standard output or standard error. `on_line` receives
    /// every line of both, as long as the server runs.
    pub fn start(
        command: &mut Command,
        group: Group,
        on_line: impl FnMut(&str) + Send + 'static,
    ) -> Result<Self, TaskError> {
        let name = command.get_program().to_string_lossy().into_owned();
        let failed = |error: io::Error| TaskError(format!("cannot run {name}: {error}"));
        let (log, output) = io::pipe().map_err(failed)?;
        command.stdin(Stdio::null()).stderr(output.try_clone().map_err(failed)?).stdout(output);
        let began = Instant::now();
        let process = Process::start(command, group)?;
        // Closes our copies of the pipe's writing end; without this, reading the log never ends.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        match follow(log, on_line).recv_timeout(LIMIT) {
            Ok(Ok(address)) => Ok(Self { process, address, began }),
            Ok(Err(last)) => Err(TaskError(format!("{name} exited; its last line: {last}"))),
            Err(_) => Err(TaskError(format!("{name} did not log its address within {} s", LIMIT.as_secs()))),
        }
    }

    /// Shuts the server down: sends SIGTERM and waits for exit status 0.
    pub fn stop(&mut self) -> Result<(), TaskError> {
        self.process.terminate()?;
        self.process.succeed_within(LIMIT)
    }
}

/// Reads a log to its end, so that its writer never blocks. Sends the first address in it, or its last line.
fn follow(
    log: PipeReader,
    mut on_line: impl FnMut(&str) + Send + 'static,
) -> Receiver<Result<SocketAddr, String>> {
    let (sender, receiver) = sync_channel(1);
    thread::spawn(move || {
        let mut last = String::new();
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            on_line(&line);
            if let Some(address) = address_in(&line) {
                let _ = sender.try_send(Ok(address));
            }
            last = line;
        }
        let _ = sender.try_send(Err(last));
    });
    receiver
}

/// The address in a log line: the field `address` of our host's log, otherwise the first loopback address. Our host listens
/// before it serves, which does not count.
#[must_use]
pub fn address_in(line: &str) -> Option<SocketAddr> {
    const LOOPBACK: &str = "127.0.0.1:";
    if field(line, "event") == Some("service.listening") {
        return None;
    }
    if let Some(address) = field(line, "address") {
        return address.parse().ok();
    }
    let (_, port) = line.split_once(LOOPBACK)?;
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    format!("{LOOPBACK}{port}").parse().ok()
}
