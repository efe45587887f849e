//! `orders-bench`: everything that measures. `cargo xtask bench | load | pages | swaps` run it.
//!
//! | file or folder | what it does |
//! |---|---|
//! | `compare/` | `bench`: the service beside others |
//! | `overload/` | `bench --overload`: what becomes of far too many requests |
//! | `outage/` | `bench --outage`: what becomes of requests while PostgreSQL is away |
//! | `commands/` | `load`, `pages`, `swaps`: our host alone |
//! | `contender/` | who takes part in `bench`, and how each is started and loaded |
//! | `host` | the release build of our host, for `commands/` |
//! | `profiled` | `build-host`: the build of our host that `bench` measures, and `cargo xtask build` gives away |

mod commands;
mod compare;
mod contender;
mod host;
mod outage;
mod overload;
mod profiled;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use xtask::command::{Failed, exit};

use commands::{load, pages, swaps};
use compare::options::Options;
use contender::{Contender, setup::Setup};

/// Measures the service.
#[derive(Parser)]
#[command(bin_name = "xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Create orders as fast as some connections can, and count the fsyncs that took
    Load(load::Options),
    /// Replace the component again and again under load, and see what requests notice of it
    Swaps(swaps::Options),
    /// Read pages from a store of 1 000 orders and from one of 1 000 000, and compare
    Pages(pages::Options),
    /// Measure the service beside others: throughput, latency, memory, cold start
    Bench(Options),
    /// Build our host with a profile of itself under load
    #[command(hide = true)]
    BuildHost,
}

fn main() -> ExitCode {
    exit(match Cli::parse().task {
        Task::Load(options) => load::measure(&options),
        Task::Swaps(options) => swaps::measure(&options),
        Task::Pages(options) => pages::measure(&options),
        Task::Bench(options) => bench(&options),
        Task::BuildHost => profiled::build().map(drop),
    })
}

fn bench(options: &Options) -> Result<(), Failed> {
    if !options.overload && !options.outage {
        return compare::run(options);
    }
    let setup = Setup::prepare(|contender| contender == Contender::Host, false, options.host.as_deref())?;
    if options.outage { outage::run(&setup, options.seconds) } else { overload::run(&setup, options.seconds) }
}
