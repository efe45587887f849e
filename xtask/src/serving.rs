//! A program that serves on a free port, for tests and measurements.

use std::{
    io::{BufRead, BufReader, PipeReader},
    net::SocketAddr,
    process::{Command, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::{Duration, Instant},
};

use crate::{
    command::Failed,
    host::field,
    process::{Group, Process},
};

/// How long a program may take to say where it listens, and to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that serves; killed when this is dropped.
pub struct Serving {
    /// Its process.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    /// When it was started.
    pub began: Instant,
}

impl Serving {
    /// Starts a command and waits until it says where it listens, on either output. `see` is given each line, until the
    /// last.
    ///
    /// # Errors
    ///
    /// [`Failed`] if it cannot be started, or does not say where it listens.
    pub fn start(
        command: &mut Command,
        group: Group,
        see: impl FnMut(&str) + Send + 'static,
    ) -> Result<Self, Failed> {
        let name = command.get_program().to_string_lossy().into_owned();
        let failed = |error: std::io::Error| Failed(format!("cannot run {name}: {error}"));
        let (log, output) = std::io::pipe().map_err(failed)?;
        command.stdin(Stdio::null()).stderr(output.try_clone().map_err(failed)?).stdout(output);
        let began = Instant::now();
        let process = Process::start(command, group)?;
        // The command holds the writing end, and the log has no end as long as it does.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        match follow(log, see).recv_timeout(PATIENCE) {
            Ok(Ok(address)) => Ok(Self { process, address, began }),
            Ok(Err(last)) => Err(Failed(format!("{name} ended; the last it said: {last}"))),
            Err(_) => Err(Failed(format!("{name} did not say where it listens"))),
        }
    }

    /// Asks it to end, and waits for that.
    ///
    /// # Errors
    ///
    /// [`Failed`] if it does not end in time, or not in order.
    pub fn stop(&mut self) -> Result<(), Failed> {
        self.process.terminate()?;
        self.process.succeed_within(PATIENCE)
    }
}

/// Reads a log to its end, so that its writer never waits; gives the first address in it, or its last line.
fn follow(
    log: PipeReader,
    mut see: impl FnMut(&str) + Send + 'static,
) -> Receiver<Result<SocketAddr, String>> {
    let (sender, receiver) = sync_channel(1);
    thread::spawn(move || {
        let mut last = String::new();
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            see(&line);
            if let Some(address) = address_in(&line) {
                let _ = sender.try_send(Ok(address));
            }
            last = line;
        }
        let _ = sender.try_send(Err(last));
    });
    receiver
}

/// The address that a line of our host's log has; the first address on loopback in any other.
#[must_use]
pub fn address_in(line: &str) -> Option<SocketAddr> {
    const LOOPBACK: &str = "127.0.0.1:";
    if let Some(address) = field(line, "address") {
        return address.parse().ok();
    }
    let (_, port) = line.split_once(LOOPBACK)?;
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    format!("{LOOPBACK}{port}").parse().ok()
}
