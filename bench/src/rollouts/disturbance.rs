//! What happens to a service during rollouts and is no module's fault.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, available_parallelism},
    time::{Duration, Instant},
};

use orders_bench::postgres::Server;
use xtask::{
    command::{TaskError, pause},
    process::{Group, Process},
};

use crate::traffic::Random;

/// How long a burst uses every processor, and with how many threads for each.
const BURST: Duration = Duration::from_millis(300);
const THREADS: usize = 2;
/// The pause between two bursts: at least and at most.
const BETWEEN_BURSTS: [Duration; 2] = [Duration::from_millis(500), Duration::from_millis(2500)];
/// How long PostgreSQL is down.
const OUTAGE: Duration = Duration::from_secs(1);
/// How long another connection holds the write lock of a SQLite database, as the shell of SQLite takes it.
const LOCK: &str = ".shell sleep 1";
/// The pause between two outages, or two locks: at least and at most.
const BETWEEN_OUTAGES: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(7)];
/// How long the shell of SQLite may take to get the lock, and to exit.
const LOCK_WAIT: &str = ".timeout 5000";
const LOCK_LIMIT: Duration = Duration::from_secs(30);
/// How often a pause looks whether to end.
const POLL: Duration = Duration::from_millis(50);

/// A disturbance, which happens at random moments.
pub(super) enum Disturbance {
    None,
    /// Another program uses every processor.
    Processor,
    /// PostgreSQL is stopped and started.
    Outage(Box<Server>),
    /// Another connection holds the write lock of these SQLite databases.
    Lock(Vec<PathBuf>),
}

impl Disturbance {
    /// Disturbs until `done`.
    pub(super) fn run(mut self, done: &AtomicBool) -> Result<(), TaskError> {
        let mut random = Random(1);
        let [shortest, longest] = match self {
            Self::None => return Ok(()),
            Self::Processor => BETWEEN_BURSTS,
            Self::Outage(_) | Self::Lock(_) => BETWEEN_OUTAGES,
        };
        while pause_unless(done, random.between(shortest, longest)) {
            match &mut self {
                Self::None => {}
                Self::Processor => burst(),
                Self::Outage(server) => {
                    server.stop()?;
                    pause(OUTAGE);
                    server.resume()?;
                }
                Self::Lock(databases) => lock(databases)?,
            }
        }
        Ok(())
    }
}

/// Pauses; returns false as soon as it is `done`.
fn pause_unless(done: &AtomicBool, time: Duration) -> bool {
    let end = Instant::now() + time;
    while !done.load(Ordering::Relaxed) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        pause(left.min(POLL));
    }
    false
}

/// Uses every processor for a while.
fn burst() {
    let processors = available_parallelism().map_or(1, usize::from);
    let end = Instant::now() + BURST;
    thread::scope(|scope| {
        for _ in 0..processors * THREADS {
            scope.spawn(|| {
                let mut count = 0_u64;
                while Instant::now() < end {
                    count = std::hint::black_box(count.wrapping_add(1));
                }
            });
        }
    });
}

/// Holds the write lock of all databases at the same time.
fn lock(databases: &[PathBuf]) -> Result<(), TaskError> {
    let locks = databases.iter().map(|database| {
        let mut sqlite = Command::new("sqlite3");
        sqlite.arg(database).args([LOCK_WAIT, "BEGIN IMMEDIATE", LOCK, "COMMIT"]);
        Process::start(sqlite.stdin(Stdio::null()).stdout(Stdio::null()), Group::Ours)
    });
    let locks = locks.collect::<Result<Vec<_>, _>>()?;
    locks.into_iter().try_for_each(|mut lock| lock.succeed_within(LOCK_LIMIT))
}
