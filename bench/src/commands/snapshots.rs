//! `cargo xtask snapshots`: what an open transaction of PostgreSQL, such as a backup, costs those who create orders with
//! idempotency keys.
//!
//! A server keeps what was removed since the transaction began, and each scan passes over it. With `--before`, another component is
//! measured in turn with this one, so that other work on the machine affects both alike.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use clap::Args;

use orders_bench::{
    client::{Connection, ORDER},
    load::{Load, closed_loop},
    postgres::Server,
};
use xtask::{command::TaskError, host};

use crate::{
    checks::Checks,
    host::{build, start},
    table::{Table, median},
};

/// Connections that create orders.
const CREATING: usize = 32;
/// The least rate with an open transaction, as a part of the rate without.
const LEAST_RATIO: f64 = 0.9;

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Another component to compare with, such as one of the version before
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,
    /// Measure with this program as our host instead of building one
    #[arg(long, value_name = "PROGRAM")]
    host: Option<PathBuf>,
    /// Expired keys that are removed while the transaction is open
    #[arg(long, default_value_t = 400_000)]
    removed: u32,
    /// How often each component is measured
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of one measurement
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

/// Measures the components in turn, and prints the medians.
pub(crate) fn run(options: &Options) -> Result<(), TaskError> {
    let (program, component) = match &options.host {
        Some(program) => (program.clone(), xtask::components::orders()?),
        None => {
            let component = build()?;
            (host::binary(), component)
        }
    };
    let components: Vec<_> = options.before.iter().cloned().chain([component.clone()]).collect();
    let postgres = Server::start(None)?;
    let mut all = vec![Vec::new(); components.len()];
    for _ in 0..options.rounds {
        for (component, rounds) in components.iter().zip(&mut all) {
            rounds.push(measure(&postgres, &program, component, options)?);
        }
    }
    let at_least = format!("{LEAST_RATIO} or more");
    let mut table =
        Table::new(["component", "creates/s", "p99", "with an open transaction", "p99", "ratio", &at_least]);
    let mut checks = Checks::default();
    for (measured, rounds) in components.iter().zip(all) {
        let median = |of: fn(&Round) -> f64| median(rounds.iter().map(of).collect());
        let ratio = median(|round| round.held.rate / round.free.rate);
        let verdict = if *measured == component {
            let fault = format!("with an open transaction, only {ratio:.2} of the creates take place");
            checks.verdict(ratio >= LEAST_RATIO, fault)
        } else {
            ""
        };
        table.row([
            measured.display().to_string(),
            format!("{:.0}", median(|round| round.free.rate)),
            format!("{:.0} ms", median(|round| round.free.p99)),
            format!("{:.0}", median(|round| round.held.rate)),
            format!("{:.0} ms", median(|round| round.held.p99)),
            format!("{ratio:.2}"),
            verdict.to_owned(),
        ]);
    }
    print!("{}", table.text());
    checks.result()
}

/// The measurements of one round.
#[derive(Clone, Copy)]
struct Round {
    /// While the transaction is open.
    held: Figures,
    /// After it has ended, and the server has cleaned up.
    free: Figures,
}

#[derive(Clone, Copy)]
struct Figures {
    /// Creates per second.
    rate: f64,
    /// In milliseconds.
    p99: f64,
}

impl From<Load> for Figures {
    fn from(load: Load) -> Self {
        Self { rate: load.rate(), p99: load.latencies.percentile(990).as_secs_f64() * 1000.0 }
    }
}

fn measure(
    postgres: &Server,
    program: &Path,
    component: &Path,
    options: &Options,
) -> Result<Round, TaskError> {
    let location = postgres.fresh_database()?;
    let mut host = start(host::serve(&mut Command::new(program), component, &location))?;
    let expired = "FROM orders_state.entries WHERE key >= 'x/' AND key < 'x/000000100000000'";
    postgres.query(&format!(
        "INSERT INTO orders_state.entries \
         SELECT convert_to('x/' || lpad(n::text, 15, '0') || '/' || md5(n::text), 'UTF8'), '', 0 \
         FROM generate_series(1, {}) AS n",
        options.removed
    ))?;
    postgres.query("VACUUM ANALYZE orders_state.entries")?;
    let transaction = postgres.open_transaction()?;
    postgres.query(&format!("DELETE {expired}"))?;
    let time = Duration::from_secs(options.seconds);
    let held = create(host.address, time)?.into();
    drop(transaction);
    postgres.query("VACUUM ANALYZE orders_state.entries")?;
    let free = create(host.address, time)?.into();
    host.stop()?;
    Ok(Round { held, free })
}

/// Creates orders with keys for a time.
fn create(address: SocketAddr, time: Duration) -> Result<Load, TaskError> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let end = Instant::now() + time;
    let step = |connection: &mut Connection| {
        let key = format!("key-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let response = connection.create_with_key(ORDER, &key)?;
        response.expect(201).map_err(|error| io::Error::other(format!("{key}: {error}")))?;
        Ok(Instant::now() < end)
    };
    closed_loop(address, CREATING, step, || Ok(())).map(|(load, ())| load)
}
