//! `cargo xtask probes`: what many requests for `/ready` cost those who create orders.
//!
//! With `--before`, another build is measured in turn with this one, so that other work on the machine affects both alike.

use std::{
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use clap::Args;

use orders_bench::{
    client::{Connection, ORDER},
    load::{closed_loop, run_clients},
    postgres::Server,
};
use xtask::{
    command::{TaskError, pause},
    host,
};

use crate::{
    host::{build, empty_database, start},
    table::{Table, median},
};

/// Connections that create orders.
const CREATING: usize = 32;
/// The pause of a connection between two requests for `/ready`: without it, all would measure how fast this machine responds.
const PAUSE: Duration = Duration::from_millis(50);

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Another build of the host to compare with, such as one of the version before
    #[arg(long, value_name = "PROGRAM")]
    before: Option<PathBuf>,
    /// Connections that request /ready, each 20 times a second
    #[arg(long, default_value_t = 256)]
    probes: usize,
    /// How often each program is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of one measurement
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

/// Measures the programs in turn over both stores, and prints the medians.
pub(crate) fn run(options: &Options) -> Result<(), TaskError> {
    let component = build()?;
    let programs: Vec<_> = options.before.iter().cloned().chain([host::binary()]).collect();
    let postgres = Server::start(None)?;
    let probed = format!("with {} on /ready", options.probes);
    let mut table = Table::new(["store and program", "creates/s", &probed, "/ready per s"]);
    for store in ["SQLite", "PostgreSQL"] {
        let mut rates = vec![Rates::default(); programs.len()];
        for _ in 0..options.rounds {
            for (program, rates) in programs.iter().zip(&mut rates) {
                let location = match store {
                    "SQLite" => empty_database("probes")?,
                    _ => postgres.fresh_database()?,
                };
                let mut command = Command::new(program);
                measure(host::serve(&mut command, &component, &location), options, rates)?;
            }
        }
        for (program, rates) in programs.iter().zip(rates) {
            let name = format!("{store}, {}", program.display());
            let medians =
                [rates.alone, rates.probed, rates.probes].map(|rates| format!("{:.0}", median(rates)));
            table.row([name].into_iter().chain(medians));
        }
    }
    print!("{}", table.text());
    Ok(())
}

/// Requests per second, one for each round.
#[derive(Clone, Default)]
struct Rates {
    alone: Vec<f64>,
    probed: Vec<f64>,
    probes: Vec<f64>,
}

fn measure(command: &mut Command, options: &Options, rates: &mut Rates) -> Result<(), TaskError> {
    let mut host = start(command)?;
    let address = host.address;
    let time = Duration::from_secs(options.seconds);
    let create = || {
        let end = Instant::now() + time;
        let step = |connection: &mut Connection| connection.create(ORDER).map(|_| Instant::now() < end);
        closed_loop(address, CREATING, step, || Ok(())).map(|(load, ())| load.rate())
    };
    rates.alone.push(create()?);
    let done = AtomicBool::new(false);
    let probe = |_| {
        let mut connection = Connection::open(address)?;
        while !done.load(Ordering::Relaxed) {
            connection.fetch("/ready")?;
            pause(PAUSE);
        }
        Ok(connection.latencies.len())
    };
    let (counts, rate) = run_clients(options.probes, probe, || {
        let rate = create();
        done.store(true, Ordering::Relaxed);
        rate
    })?;
    rates.probed.push(rate);
    let probes = u32::try_from(counts.iter().sum::<usize>()).unwrap_or(u32::MAX);
    rates.probes.push(f64::from(probes) / time.as_secs_f64());
    host.stop()
}
