//! A running contender: its address, its memory, its processor time.

use std::{
    fs,
    io::{BufRead, BufReader, PipeReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::{Duration, Instant},
};

use crate::command::{Failed, output};

/// How long a contender may take to say where it listens.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that serves. It is killed when dropped: no contender keeps anything that is looked at afterwards.
pub(crate) struct Serving {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// When it was started.
    pub(crate) began: Instant,
}

impl Serving {
    /// Starts a command and waits until it says where it listens, on either output.
    ///
    /// # Errors
    ///
    /// [`Failed`] if it cannot be started, or says nothing.
    pub(crate) fn start(command: &mut Command) -> Result<Self, Failed> {
        let name = command.get_program().to_string_lossy().into_owned();
        let failed = |error: std::io::Error| Failed(format!("cannot run {name}: {error}"));
        let (log, output) = std::io::pipe().map_err(failed)?;
        command.stdin(Stdio::null()).stderr(output.try_clone().map_err(failed)?).stdout(output);
        let began = Instant::now();
        let child = command.spawn().map_err(failed)?;
        // The command holds the writing end, and the log has no end as long as it does.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut serving = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), began };
        match follow(log).recv_timeout(PATIENCE) {
            Ok(Ok(address)) => serving.address = address,
            Ok(Err(last)) => return Err(Failed(format!("{name} ended; the last it said: {last}"))),
            Err(_) => return Err(Failed(format!("{name} did not say where it listens"))),
        }
        Ok(serving)
    }

    /// Its resident memory in MiB.
    pub(crate) fn resident(&self) -> f64 {
        self.memory("VmRSS:")
    }

    /// The most resident memory it had, in MiB, since it was last told to [`forget_peak`](Self::forget_peak).
    pub(crate) fn peak(&self) -> f64 {
        self.memory("VmHWM:")
    }

    /// Begins to look for the most resident memory anew.
    pub(crate) fn forget_peak(&self) {
        // Where that is not allowed, the peak is that of its whole life: never less than asked for.
        let _ = fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5");
    }

    /// The processor time it has taken so far, in microseconds.
    pub(crate) fn processor_time(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // What follows the name, which may contain anything: the fields from the third on (proc_pid_stat(5)).
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks: f64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
        ticks * 1_000_000.0 / ticks_per_second()
    }

    fn memory(&self, field: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next());
        kib.and_then(|kib| kib.parse::<f64>().ok()).map_or(f64::NAN, |kib| kib / 1024.0)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a log to its end; gives the first address in it, or its last line.
fn follow(log: PipeReader) -> Receiver<Result<SocketAddr, String>> {
    let (sender, receiver) = sync_channel(1);
    thread::spawn(move || {
        let mut last = String::new();
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            if let Some(address) = address_in(&line) {
                let _ = sender.try_send(Ok(address));
            }
            last = line;
        }
        let _ = sender.try_send(Err(last));
    });
    receiver
}

/// The first address on loopback that is named in a line.
fn address_in(line: &str) -> Option<SocketAddr> {
    const LOOPBACK: &str = "127.0.0.1:";
    let (_, port) = line.split_once(LOOPBACK)?;
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    format!("{LOOPBACK}{port}").parse().ok()
}

/// The unit of processor times.
fn ticks_per_second() -> f64 {
    output(Command::new("getconf").arg("CLK_TCK")).and_then(|ticks| ticks.parse().ok()).unwrap_or(100.0)
}
