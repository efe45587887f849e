//! `cargo xtask load`: durable creates as fast as several connections can send them, and how many commits share one fsync.
//!
//! It measures the release build over a socket and a disk. `bench` compares it with other implementations.

use std::time::Duration;

use clap::Args;

use orders_bench::{client::ORDER, load::create_all};
use xtask::command::TaskError;

use crate::host::{Host, build, empty_folder};

/// The load to generate.
#[derive(Args)]
pub(crate) struct Options {
    /// Orders to create in total
    #[arg(long, default_value_t = 10_000)]
    creates: usize,
    /// Concurrent connections
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Run the host under strace and count its system calls as well; slower
    #[arg(long)]
    strace: bool,
}

/// Generates the load and prints the measurements.
pub(crate) fn run(options: &Options) -> Result<(), TaskError> {
    let component = build()?;
    let folder = empty_folder("load")?;
    let mut host = Host::start(&component, &folder, options.strace, &[])?;
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

fn per_second(count: usize, elapsed: Duration) -> u128 {
    let count = u128::try_from(count).unwrap_or(u128::MAX);
    count.saturating_mul(1_000_000) / elapsed.as_micros().max(1)
}
