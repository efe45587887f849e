//! `orders-bench`: the programs that measure the service. `cargo xtask bench | load | pages | probes | readers | rollouts |
//! snapshots | swaps` run it.
//!
//! | file or folder | contents |
//! |---|---|
//! | `table` | tables in Markdown and as text |
//! | `checks` | the verdicts of a measurement |
//! | `page` | `docs/benchmarks.md` |
//! | `host` | starts what is measured |
//! | `profiled` | `build-host`: the build of our host that `bench` measures and `cargo xtask build` distributes |
//! | `machine` | the machine and the versions of a run |
//! | `open_files` | the limit of open files |
//! | `traffic/` | an open-loop load generator |
//! | `contender/` | the contenders of `bench`, and how each is built, started and loaded |
//! | `compare/` | `bench`: the contenders compared |
//! | `overload/` | `bench --overload`: four times the load that the host sustains |
//! | `outage/` | `bench --outage`: PostgreSQL goes away and comes back |
//! | `rollouts/` | `rollouts`: good and bad modules, rolled out under load |
//! | `readers/` | `readers`: clients that read slowly, or not at all |
//! | `commands/` | `load`, `pages`, `probes`, `snapshots`, `swaps`: our host alone |

mod checks;
mod commands;
mod compare;
mod contender;
mod host;
mod machine;
mod open_files;
mod outage;
mod overload;
mod page;
mod profiled;
mod readers;
mod rollouts;
mod table;
mod traffic;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use xtask::command::{TaskError, exit};

use commands::{load, pages, probes, snapshots, swaps};
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
    /// Create orders over several connections as fast as possible, and count the fsyncs
    Load(load::Options),
    /// Replace the component repeatedly under load, and measure the effect on requests
    Swaps(swaps::Options),
    /// Roll out good and bad modules under load
    Rollouts(rollouts::Options),
    /// Let clients request large pages without reading them, and measure the effect on others
    Readers(readers::Options),
    /// Read pages from a store of 1 000 orders and from one of 1 000 000, and compare
    Pages(pages::Options),
    /// Let many connections request /ready, and measure the effect on creates
    Probes(probes::Options),
    /// Create orders with keys while a transaction of PostgreSQL is open, and without
    Snapshots(snapshots::Options),
    /// Compare the service with other implementations: throughput, latency, memory, cold start
    Bench(Options),
    /// Build our host with profile-guided optimization
    #[command(hide = true)]
    BuildHost,
}

fn main() -> ExitCode {
    exit(match Cli::parse().task {
        Task::Load(options) => load::run(&options),
        Task::Swaps(options) => swaps::run(&options),
        Task::Rollouts(options) => rollouts::run(&options),
        Task::Readers(options) => readers::run(&options),
        Task::Pages(options) => pages::run(&options),
        Task::Probes(options) => probes::run(&options),
        Task::Snapshots(options) => snapshots::run(&options),
        Task::Bench(options) => bench(&options),
        Task::BuildHost => profiled::build().map(drop),
    })
}

fn bench(options: &Options) -> Result<(), TaskError> {
    if !options.overload && !options.outage {
        return compare::run(options);
    }
    let setup = Setup::prepare(|contender| contender == Contender::Host, false, options.host.as_deref())?;
    if options.outage { outage::run(&setup, options.seconds) } else { overload::run(&setup, options.seconds) }
}
