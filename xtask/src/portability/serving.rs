//! A host of others that serves, and where.

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    process::{Command, Stdio},
    sync::mpsc::sync_channel,
    thread,
    time::Duration,
};

use crate::{command::Failed, process::Process};

/// How long a host may take to say where it listens.
const PATIENCE: Duration = Duration::from_secs(60);

/// A host with whatever it has started: killed when dropped.
pub(crate) struct Serving {
    _process: Process,
    pub(crate) address: SocketAddr,
}

impl Serving {
    /// Starts a host and waits until it says, on either output, where it listens.
    ///
    /// # Errors
    ///
    /// [`Failed`] if it cannot be started, or says nothing.
    pub(crate) fn start(command: &mut Command) -> Result<Self, Failed> {
        let name = command.get_program().to_string_lossy().into_owned();
        let (log, output) = std::io::pipe().map_err(|error| Failed(format!("{name}: {error}")))?;
        let errors = output.try_clone().map_err(|error| Failed(format!("{name}: {error}")))?;
        let (process, _) = Process::start(command.stdin(Stdio::null()).stdout(output).stderr(errors))?;
        // The command holds the writing end, and the log has no end as long as it does.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let (sender, said) = sync_channel(1);
        thread::spawn(move || {
            // Read to its end, so that the host never waits to be read.
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                match address_in(&line) {
                    Some(address) => _ = sender.try_send(address),
                    None => eprintln!("  {line}"),
                }
            }
        });
        let address = said.recv_timeout(PATIENCE);
        let address = address.map_err(|_| Failed(format!("{name} did not say where it listens")))?;
        Ok(Self { _process: process, address })
    }
}

/// A port that was free just now, for programs that cannot be told to take any and to say which.
pub(crate) fn free_port() -> Result<String, Failed> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    address.map(|address| address.port().to_string()).map_err(|error| Failed(error.to_string()))
}

/// The first address on loopback that is named in a line.
fn address_in(line: &str) -> Option<SocketAddr> {
    const LOOPBACK: &str = "127.0.0.1:";
    let (_, port) = line.split_once(LOOPBACK)?;
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    format!("{LOOPBACK}{port}").parse().ok()
}
