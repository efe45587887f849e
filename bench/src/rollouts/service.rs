//! A host that serves, the modules that are pushed to it, and the events of its rollouts.

use std::{
    fs::File,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    time::{Duration, Instant},
};

use xtask::{
    command::{TaskError, capture, file_error},
    host::{self, field},
    process::{Group, Process},
    serving::Serving,
};

use super::{CANARY, FOLDER};
use crate::host::empty_folder;

/// How long a push without a trial may take: most of it compiles.
const PUSH_LIMIT: Duration = Duration::from_secs(120);
/// How long a host may take to log its addresses, and `module push` to exit after the rollout.
const LIMIT: Duration = Duration::from_secs(60);
/// How long a line that follows the end of a rollout may take to arrive.
const AFTERWARDS: Duration = Duration::from_millis(100);
/// Log lines that wait to be read: more than the rollouts of a host have.
const LINES: usize = 4096;
/// An option that a host from before extended trials does not have.
const MAX_WINDOW: &str = "--max-window";
/// What the help of a host says that can listen on a Unix socket. An earlier one needs no token on a port of loopback.
const UNIX_SOCKET: &str = "unix:PATH";

/// A program that serves and pushes.
#[derive(Clone, Debug)]
pub(super) struct Program {
    path: PathBuf,
    has_max_window: bool,
    has_unix_socket: bool,
}

impl Program {
    /// Asks the program which options it has.
    pub(super) fn at(path: &Path) -> Result<Self, TaskError> {
        let help = capture(Command::new(path).args(["serve", "--help"]))?;
        let (has_max_window, has_unix_socket) = (help.contains(MAX_WINDOW), help.contains(UNIX_SOCKET));
        Ok(Self { path: path.to_owned(), has_max_window, has_unix_socket })
    }

    /// A command that ends with this process, however this process ends: a module that computes forever would otherwise
    /// occupy the machine.
    fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(&self.path);
        command
    }
}

/// The terms of a rollout; the host's own terms replace those that are missing.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    pub(super) window: Option<String>,
    pub(super) watch: Option<String>,
    pub(super) max_window: Option<String>,
}

impl Terms {
    /// The options of `module push`. Without `max_window` for a host that does not have it.
    pub(super) fn arguments(&self, has_max_window: bool) -> Vec<String> {
        let max_window = self.max_window.as_ref().filter(|_| has_max_window);
        let terms =
            [("--window", self.window.as_ref()), ("--watch", self.watch.as_ref()), (MAX_WINDOW, max_window)];
        let terms = terms.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?.clone()]));
        terms.flatten().collect()
    }
}

/// How a rollout ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The module serves, and its watch is over.
    Settled,
    /// The module was withdrawn, for this reason.
    RolledBack(String),
}

impl End {
    /// Why the module was withdrawn.
    pub(super) fn reason(&self) -> Option<&str> {
        match self {
            Self::RolledBack(why) => Some(why),
            Self::Settled => None,
        }
    }
}

/// A rollout that has ended.
#[derive(Clone, Debug)]
pub(super) struct Rollout {
    /// When the module received its first requests.
    pub(super) began: Instant,
    pub(super) ended: Instant,
    /// Whether it was promoted, even if it was rolled back later.
    pub(super) promoted: bool,
    /// Whether there was too little evidence for a verdict.
    pub(super) unproven: bool,
    pub(super) end: End,
}

/// A host on a free port.
pub(super) struct Service {
    program: Program,
    serving: Serving,
    /// The address of the admin API, as `module push --admin` takes it.
    admin: String,
    log: Receiver<(Instant, String)>,
}

impl Service {
    /// Starts a host with a component, a store, and a module folder in an empty folder of this name.
    pub(super) fn start(
        program: &Program,
        component: &Path,
        store: &Store,
        name: &str,
    ) -> Result<Self, TaskError> {
        let folder = empty_folder(&format!("{FOLDER}/{name}"))?;
        let mut command = program.command();
        host::serve(&mut command, component, &store.location(&folder));
        let admin = match program.has_unix_socket {
            true => format!("unix:{}", folder.join("admin").display()),
            false => "127.0.0.1:0".to_owned(),
        };
        command.args(["--admin-listen", &admin, "--canary", CANARY, "--module-dir"]);
        command.arg(folder.join("modules"));
        let path = folder.join("log");
        let mut file = File::create(&path).map_err(|error| file_error(&path, &error))?;
        let (sender, log) = sync_channel(LINES);
        let serving = Serving::start(&mut command, Group::Ours, move |line| {
            let _ = writeln!(file, "{line}");
            let is_rollout = field(line, "event").is_some_and(|event| event.starts_with("rollout."));
            if is_rollout || field(line, "address").is_some() {
                let _ = sender.try_send((Instant::now(), line.to_owned()));
            }
        })?;
        let admin = loop {
            let line = log.recv_timeout(LIMIT).map(|(_, line)| line);
            let line = line.map_err(|_| TaskError("the host did not log its admin address".to_owned()))?;
            if let Some(address) = field(&line, "admin_address") {
                break address.to_owned();
            }
        };
        Ok(Self { program: program.clone(), serving, admin, log })
    }

    /// The address that it serves on.
    pub(super) fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// Makes a component serve immediately. From then on its compiled code is stored.
    pub(super) fn swap(&mut self, component: &Path) -> Result<(), TaskError> {
        let terms = ["--canary", "0", "--watch", "0s"].map(str::to_owned);
        self.push(component, &terms)?.succeed_within(PUSH_LIMIT)?;
        while self.log.try_recv().is_ok() {}
        Ok(())
    }

    /// Rolls a component out and waits for the end of the rollout.
    pub(super) fn roll_out(
        &mut self,
        component: &Path,
        terms: &Terms,
        limit: Duration,
    ) -> Result<Rollout, TaskError> {
        let deadline = Instant::now() + limit;
        while self.log.try_recv().is_ok() {}
        let mut push = self.push(component, &terms.arguments(self.program.has_max_window))?;
        let mut progress = Progress::default();
        let mut rollout = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok((at, line)) = self.log.recv_timeout(left) else {
                return Err(TaskError(format!("a rollout did not end within {} s", limit.as_secs())));
            };
            if let Some(rollout) = progress.add(at, &line)? {
                break rollout;
            }
        };
        // It exits with 1 after a rollback.
        push.exit_within(LIMIT)?;
        // The host says that a watch had too little evidence once it has ended.
        while let Ok((_, line)) = self.log.recv_timeout(AFTERWARDS) {
            rollout.unproven |= is_unproven(&line);
        }
        Ok(rollout)
    }

    fn push(&self, component: &Path, terms: &[String]) -> Result<Process, TaskError> {
        let mut command = self.program.command();
        command.args(["module", "push"]).arg(component).args(terms);
        command.args(["--admin", &self.admin]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Process::start(&mut command, Group::Ours)
    }
}

/// The steps of a rollout so far.
#[derive(Default)]
struct Progress {
    began: Option<Instant>,
    promoted: bool,
    unproven: bool,
}

impl Progress {
    /// Adds a line of the log; returns the rollout if the line ends it.
    fn add(&mut self, at: Instant, line: &str) -> Result<Option<Rollout>, TaskError> {
        let why = || field(line, "why").unwrap_or_default().to_owned();
        self.unproven |= is_unproven(line);
        let end = match field(line, "event").unwrap_or_default() {
            "rollout.trial_started" => {
                self.began = Some(at);
                return Ok(None);
            }
            "rollout.promoted" => {
                self.promoted = true;
                return Ok(None);
            }
            "rollout.settled" => End::Settled,
            "rollout.rolled_back" => End::RolledBack(why()),
            "rollout.refused" => return Err(TaskError(format!("a module was refused: {}", why()))),
            _ => return Ok(None),
        };
        let (began, promoted, unproven) = (self.began.unwrap_or(at), self.promoted, self.unproven);
        Ok(Some(Rollout { began, ended: at, promoted, unproven, end }))
    }
}

fn is_unproven(line: &str) -> bool {
    field(line, "event") == Some("rollout.unproven")
}

/// Where a host keeps its state.
#[derive(Clone, Debug)]
pub(super) enum Store {
    Memory,
    /// A SQLite database in the folder of the host.
    Sqlite,
    /// The URL of a PostgreSQL database.
    Postgres(String),
}

impl Store {
    fn location(&self, folder: &Path) -> String {
        match self {
            Self::Memory => "memory:".to_owned(),
            Self::Sqlite => format!("sqlite:{}", database(folder).display()),
            Self::Postgres(url) => url.clone(),
        }
    }
}

/// The SQLite database in the folder of a host.
pub(super) fn database(folder: &Path) -> PathBuf {
    folder.join("orders.db")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollout_ends_with_its_watch_or_with_a_rollback() {
        let now = Instant::now();
        let mut progress = Progress::default();
        for event in ["trial_started", "promoted", "unproven"] {
            let line = &format!(r#"{{"event":"rollout.{event}"}}"#);
            assert!(progress.add(now, line).is_ok_and(|rollout| rollout.is_none()));
        }
        let later = now + Duration::from_secs(1);
        let settled = progress.add(later, r#"{"event":"rollout.settled"}"#);
        let settled = settled.ok().flatten().unwrap();
        assert_eq!((settled.began, settled.ended, settled.end), (now, later, End::Settled));
        assert!(settled.promoted && settled.unproven);

        let rolled_back = Progress::default().add(now, r#"{"event":"rollout.rolled_back","why":"slow"}"#);
        let rolled_back = rolled_back.ok().flatten().unwrap();
        assert_eq!(rolled_back.end, End::RolledBack("slow".to_owned()));
        assert!(!rolled_back.promoted && !rolled_back.unproven);
        assert!(Progress::default().add(now, r#"{"event":"rollout.refused","why":"no"}"#).is_err());
    }
}
