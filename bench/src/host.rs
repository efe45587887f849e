//! The release build of our host with SQLite: what `load`, `pages` and `swaps` measure.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc::{Receiver, sync_channel},
    time::Duration,
};

use xtask::{
    command::{Failed, cargo, failed, run},
    components,
    host::{self, field},
    process::Group,
    serving::Serving,
    target,
};

/// How long the host may take to end, and a line of its log to come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of the log that may wait: more than there are of those that are needed.
const LINES: usize = 16;

/// Builds host and component; gives the path of the component.
///
/// # Errors
///
/// [`Failed`] if one does not build.
pub(crate) fn build() -> Result<PathBuf, Failed> {
    let component = components::orders()?;
    run(&mut cargo(["build", "--package", "orders-host", "--profile", "release", "--locked"]))?;
    Ok(component)
}

/// An empty folder of this name.
///
/// # Errors
///
/// [`Failed`] if it cannot be made.
pub(crate) fn empty_folder(name: &str) -> Result<PathBuf, Failed> {
    let folder = target().join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
    Ok(folder)
}

/// A host that serves on a free port, with SQLite in a folder of its own.
pub(crate) struct Host {
    serving: Serving,
    /// The lines of its log that are needed: that it serves, and that its store is closed.
    log: Receiver<String>,
    /// Where it hears operators.
    pub(crate) admin: Option<SocketAddr>,
    /// The file of strace's summary, if it runs under strace.
    strace: Option<PathBuf>,
}

impl Host {
    /// Starts it with more options.
    ///
    /// # Errors
    ///
    /// [`Failed`] if it does not serve.
    pub(crate) fn start(
        component: &Path,
        folder: &Path,
        strace: bool,
        options: &[&str],
    ) -> Result<Self, Failed> {
        let binary = host::binary();
        let summary = strace.then(|| folder.join("strace"));
        let mut command = Command::new(if strace { Path::new("strace") } else { &binary });
        if let Some(summary) = &summary {
            command
                .args(["--follow-forks", "--quiet=attach,exit", "--summary-only", "--trace=fsync,fdatasync"])
                .arg("--output")
                .arg(summary)
                .arg(&binary);
        }
        let store = format!("sqlite:{}", folder.join("orders.db").display());
        host::serve(&mut command, component, &store).args(options);
        let (sender, log) = sync_channel(LINES);
        let serving = Serving::start(&mut command, Group::Ours, move |line| {
            if field(line, "address").is_some() || number(line, "transactions").is_some() {
                let _ = sender.try_send(line.to_owned());
            } else if field(line, "level") != Some("INFO") {
                eprintln!("{line}");
            }
        })?;
        let line = log.recv_timeout(PATIENCE).unwrap_or_default();
        let admin = field(&line, "admin_address").and_then(|address| address.parse().ok());
        Ok(Self { serving, log, admin, strace: summary })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// Ends it, and gives the commits and transactions that its store made.
    ///
    /// # Errors
    ///
    /// [`Failed`] if it does not end in order, or does not say how many they were.
    pub(crate) fn stop(&mut self) -> Result<(usize, usize), Failed> {
        if let Some(summary) = &self.strace {
            // The host is the child of strace.
            run(Command::new("pkill").args(["-TERM", "-P", &self.serving.process.id().to_string()]))?;
            self.serving.process.succeed_within(PATIENCE)?;
            eprint!("{}", fs::read_to_string(summary).map_err(|error| failed(summary, &error))?);
        } else {
            self.serving.stop()?;
        }
        while let Ok(line) = self.log.recv_timeout(PATIENCE) {
            if let (Some(commits), Some(made)) = (number(&line, "commits"), number(&line, "transactions")) {
                return Ok((commits, made));
            }
        }
        Err(Failed("the host did not say what its store has made".into()))
    }
}

/// The number in a member of a flat JSON object.
fn number(line: &str, name: &str) -> Option<usize> {
    let (_, rest) = line.split_once(&format!("\"{name}\":"))?;
    rest.split(|other: char| !other.is_ascii_digit()).next()?.parse().ok()
}
