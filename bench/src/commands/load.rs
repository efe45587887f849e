//! `cargo xtask load`: durable creates as fast as some connections can ask for them, and what they cost.
//!
//! It measures the release build over a real socket and a real disk. Ratios against other services are the
//! business of a benchmark; here the question is how many commits share one fsync.

use std::time::{Duration, Instant};

use clap::Args;

use orders_bench::{client::ORDER, load::create_all};
use xtask::command::Failed;

use crate::host::{Host, build, empty_folder};

/// How much load.
#[derive(Args)]
pub(crate) struct Options {
    /// Orders to create in all
    #[arg(long, default_value_t = 10_000)]
    creates: usize,
    /// Connections that create at once
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Run the host under strace and count its system calls as well; slower
    #[arg(long)]
    strace: bool,
}

/// Runs the load and prints what came of it.
///
/// # Errors
///
/// [`Failed`] if anything did not go as it should: an answer other than 201 counts as that.
pub(crate) fn measure(options: &Options) -> Result<(), Failed> {
    let component = build()?;
    let folder = empty_folder("load")?;
    let mut host = Host::start(&component, &folder, options.strace, &[])?;
    let began = Instant::now();
    let mut times = create_all(host.address(), options.creates, options.connections, |_| ORDER.to_owned())?;
    let elapsed = began.elapsed();
    let (commits, transactions) = host.stop()?;

    times.sort_unstable();
    let at =
        |share: usize| times.get(times.len().saturating_sub(1) * share / 100).copied().unwrap_or_default();
    println!("creates        {} over {} connections, in {:.2?}", times.len(), options.connections, elapsed);
    println!("creates/s      {}", per_second(times.len(), elapsed));
    println!("fsyncs/s       {} (one a transaction)", per_second(transactions, elapsed));
    println!(
        "creates/fsync  {}.{:02}",
        commits / transactions.max(1),
        commits * 100 / transactions.max(1) % 100
    );
    println!("time           median {:.2?}, 99th percentile {:.2?}", at(50), at(99));
    Ok(())
}

fn per_second(count: usize, elapsed: Duration) -> u128 {
    let count = u128::try_from(count).unwrap_or(u128::MAX);
    count.saturating_mul(1_000_000) / elapsed.as_micros().max(1)
}
