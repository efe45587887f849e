//! Starts contenders, and the release build of our host with SQLite, which `load`, `pages` and `swaps` measure.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc::{Receiver, sync_channel},
    time::Duration,
};

use xtask::{
    command::{TaskError, cargo, file_error, run},
    components,
    host::{self, field},
    process::Group,
    serving::Serving,
    target,
};

/// How long the host may take to write a line of its log, and to exit.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The most log lines that wait to be read: there are fewer of the kind that is read.
const LINES: usize = 16;

/// Starts a command and waits until it prints its address.
pub(crate) fn start(command: &mut Command) -> Result<Serving, TaskError> {
    Serving::start(command, Group::Ours, |_| ())
}

/// Builds host and component; returns the path of the component.
pub(crate) fn build() -> Result<PathBuf, TaskError> {
    let component = components::orders()?;
    run(&mut cargo(["build", "--package", "orders-host", "--profile", "release", "--locked"]))?;
    Ok(component)
}

/// Creates an empty folder in the target folder.
pub(crate) fn empty_folder(name: &str) -> Result<PathBuf, TaskError> {
    let folder = target().join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| file_error(&folder, &error))?;
    Ok(folder)
}

/// The location of an empty SQLite database in a folder of this name, as `--store` takes it.
pub(crate) fn empty_database(name: &str) -> Result<String, TaskError> {
    Ok(database_in(&empty_folder(name)?))
}

fn database_in(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("orders.db").display())
}

/// A host that serves on a free port, with SQLite in a folder of its own.
pub(crate) struct Host {
    serving: Serving,
    /// The log lines with the host's addresses and with its numbers of commits.
    log: Receiver<String>,
    /// The address of the admin API, as `module push --admin` takes it, if it is on.
    pub(crate) admin: Option<String>,
    /// The file with strace's summary, if the host runs under strace.
    strace: Option<PathBuf>,
}

impl Host {
    /// Starts the release build with further options.
    pub(crate) fn start(
        component: &Path,
        folder: &Path,
        strace: bool,
        options: &[&str],
    ) -> Result<Self, TaskError> {
        Self::start_program(&host::binary(), component, folder, strace, options)
    }

    /// Starts a build of the host with further options.
    pub(crate) fn start_program(
        binary: &Path,
        component: &Path,
        folder: &Path,
        strace: bool,
        options: &[&str],
    ) -> Result<Self, TaskError> {
        let summary = strace.then(|| folder.join("strace"));
        let mut command = Command::new(if strace { Path::new("strace") } else { binary });
        if let Some(summary) = &summary {
            command.args(["--follow-forks", "--quiet=attach,exit", "--summary-only"]);
            command.arg("--trace=fsync,fdatasync").arg("--output").arg(summary).arg(binary);
        }
        let store = database_in(folder);
        host::serve(&mut command, component, &store).args(options);
        let (sender, log) = sync_channel(LINES);
        let serving = Serving::start(&mut command, Group::Ours, move |line| {
            if field(line, "address").is_some() || number(line, "transactions").is_some() {
                let _ = sender.try_send(line.to_owned());
            } else if field(line, "level") != Some("INFO") {
                eprintln!("{line}");
            }
        })?;
        let line = log.recv_timeout(TIMEOUT).unwrap_or_default();
        let admin = field(&line, "admin_address").map(str::to_owned);
        Ok(Self { serving, log, admin, strace: summary })
    }

    /// The address that it serves on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// Stops the host; returns the numbers of commits and transactions of its store.
    pub(crate) fn stop(&mut self) -> Result<(usize, usize), TaskError> {
        if let Some(summary) = &self.strace {
            // The host is strace's child.
            run(Command::new("pkill").args(["-TERM", "-P", &self.serving.process.id().to_string()]))?;
            self.serving.process.succeed_within(TIMEOUT)?;
            eprint!("{}", fs::read_to_string(summary).map_err(|error| file_error(summary, &error))?);
        } else {
            self.serving.stop()?;
        }
        while let Ok(line) = self.log.recv_timeout(TIMEOUT) {
            if let (Some(commits), Some(made)) = (number(&line, "commits"), number(&line, "transactions")) {
                return Ok((commits, made));
            }
        }
        Err(TaskError("the host did not log the number of its commits".into()))
    }
}

/// The number in a member of a flat JSON object.
fn number(line: &str, name: &str) -> Option<usize> {
    let (_, rest) = line.split_once(&format!("\"{name}\":"))?;
    rest.split(|other: char| !other.is_ascii_digit()).next()?.parse().ok()
}
