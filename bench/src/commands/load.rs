//! `cargo xtask load`: durable creates as fast as several connections can send them, and how many commits share one fsync.
//!
//! It measures the release build over a socket and a disk. `bench` compares it with other implementations; `--before` compares
//! it with another build of itself.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use clap::Args;

use orders_bench::{
    client::{Connection, ORDER},
    load::{Load, closed_loop, create_all},
};
use xtask::{command::TaskError, host::binary};

use crate::{
    host::{Host, build, empty_folder},
    table::Table,
};

/// How often each of two programs is measured, in turns, so that a slower moment of the machine affects both.
const ROUNDS: usize = 5;
/// Connections that read while orders are created: as many as SQLite reads at once.
const READERS: usize = 4;

/// The load to generate.
#[derive(Args)]
pub(crate) struct Options {
    /// Orders to create in total; with --before, in each of 5 rounds, and as many to read
    #[arg(long, default_value_t = 10_000)]
    creates: usize,
    /// Concurrent connections
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Run the host under strace and count its system calls as well; slower
    #[arg(long)]
    strace: bool,
    /// Another build of orders-host, which is measured in turns with this one: creates, reads of one order, and creates beside
    /// 4 connections that read
    #[arg(long, value_name = "PROGRAM", conflicts_with = "strace")]
    before: Option<PathBuf>,
}

/// Generates the load and prints the measurements.
pub(crate) fn run(options: &Options) -> Result<(), TaskError> {
    let component = build()?;
    match &options.before {
        None => measure_one(options, &component),
        Some(before) => compare(options, &component, before),
    }
}

fn measure_one(options: &Options, component: &Path) -> Result<(), TaskError> {
    let folder = empty_folder("load")?;
    let mut host = Host::start(component, &folder, options.strace, &[])?;
    let load = create_all(host.address(), options.creates, options.connections, |_| ORDER.to_owned())?;
    let (commits, transactions) = host.stop()?;
    let hundredths = commits * 100 / transactions.max(1);
    println!(
        "creates        {} over {} connections, in {:.2?}",
        load.count(),
        options.connections,
        load.elapsed
    );
    println!("creates/s      {}", per_second(load.count(), load.elapsed));
    println!("fsyncs/s       {} (one per transaction)", per_second(transactions, load.elapsed));
    println!("creates/fsync  {}.{:02}", hundredths / 100, hundredths % 100);
    let [p50, p99] = [500, 990].map(|tenths| load.latencies.percentile(tenths));
    println!("time           median {p50:.2?}, 99th percentile {p99:.2?}");
    Ok(())
}

/// What one program did in all rounds.
#[derive(Default)]
struct Measured {
    creates: Option<Load>,
    reads: Option<Load>,
    /// Creates beside connections that read.
    beside: Option<Load>,
}

impl Measured {
    /// One more round, on an empty store.
    fn round(self, program: &Path, options: &Options, component: &Path) -> Result<Self, TaskError> {
        let folder = empty_folder("load")?;
        let mut host = Host::start_program(program, component, &folder, false, &[])?;
        let address = host.address();
        let creates = create_all(address, options.creates, options.connections, |_| ORDER.to_owned())?;
        let paths = some_orders(address)?;
        let reads = read_all(address, options, &paths)?;
        let beside = create_beside_readers(address, options, &paths)?;
        host.stop()?;
        let add = |sum: Option<Load>, round: Load| {
            Some(match sum {
                Some(sum) => sum.merge(round),
                None => round,
            })
        };
        Ok(Self {
            creates: add(self.creates, creates),
            reads: add(self.reads, reads),
            beside: add(self.beside, beside),
        })
    }
}

/// Measures both programs in turns and prints them side by side.
fn compare(options: &Options, component: &Path, before: &Path) -> Result<(), TaskError> {
    let (mut old, mut new) = (Measured::default(), Measured::default());
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        old = old.round(before, options, component)?;
        new = new.round(&binary(), options, component)?;
    }
    let mut table = Table::new(["", "before", "now"]);
    let parts = [
        ("creates", old.creates, new.creates),
        ("reads of one order", old.reads, new.reads),
        ("creates beside 4 readers", old.beside, new.beside),
    ];
    for (name, old, new) in parts {
        let (Some(old), Some(new)) = (old, new) else { continue };
        let row = |what: &str, value: &dyn Fn(&Load) -> String| {
            [format!("{name}, {what}"), value(&old), value(&new)]
        };
        table.row(row("per second", &|load| per_second(load.count(), load.elapsed).to_string()));
        table.row(row("median", &|load| format!("{:.2?}", load.latencies.percentile(500))));
        table.row(row("99th percentile", &|load| format!("{:.2?}", load.latencies.percentile(990))));
    }
    println!(
        "{ROUNDS} rounds in turns, each with {} requests over {} connections",
        options.creates, options.connections
    );
    print!("{}", table.text());
    Ok(())
}

/// The paths of the newest orders.
fn some_orders(address: SocketAddr) -> Result<Vec<String>, TaskError> {
    let page = Connection::open(address).and_then(|mut client| client.get("/api/v1/orders?limit=100"));
    let page = page.map_err(|error| TaskError(format!("a request failed: {error}")))?;
    let ids = page.split("\"id\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    let paths: Vec<_> = ids.map(|id| format!("/api/v1/orders/{id}")).collect();
    if paths.is_empty() { Err(TaskError(format!("no orders are listed: {page:.200}"))) } else { Ok(paths) }
}

fn read_all(address: SocketAddr, options: &Options, paths: &[String]) -> Result<Load, TaskError> {
    let left = AtomicUsize::new(options.creates);
    let step = |connection: &mut Connection| {
        let number = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok();
        let path = number.and_then(|number| paths.get(number % paths.len().max(1)));
        path.map(|path| connection.get(path)).transpose().map(|read| read.is_some())
    };
    closed_loop(address, options.connections, step, || Ok(())).map(|(load, ())| load)
}

fn create_beside_readers(
    address: SocketAddr,
    options: &Options,
    paths: &[String],
) -> Result<Load, TaskError> {
    let (done, next) = (AtomicBool::new(false), AtomicUsize::new(0));
    let read = |connection: &mut Connection| {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if let Some(path) = paths.get(number % paths.len().max(1)) {
            connection.get(path)?;
        }
        Ok(!done.load(Ordering::Relaxed))
    };
    let creates = || {
        let created = create_all(address, options.creates, options.connections, |_| ORDER.to_owned());
        done.store(true, Ordering::Relaxed);
        created
    };
    closed_loop(address, READERS, read, creates).map(|(_, created)| created)
}

fn per_second(count: usize, elapsed: Duration) -> u128 {
    let count = u128::try_from(count).unwrap_or(u128::MAX);
    count.saturating_mul(1_000_000) / elapsed.as_micros().max(1)
}
