//! What to measure.

use std::path::PathBuf;

use clap::Args;

use super::measure::Workload;
use crate::contender::Contender;

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// How many runs to make; the tables are of the last one, the targets of all
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) runs: u32,
    /// How often each measurement is made in a run
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: u32,
    /// How long each measurement takes, in seconds
    #[arg(long, default_value_t = 5)]
    pub(crate) seconds: u32,
    /// Only these contenders
    #[arg(long, value_enum)]
    pub(crate) only: Vec<Contender>,
    /// Only these workloads
    #[arg(long, value_enum)]
    pub(crate) workload: Vec<Workload>,
    /// Leave out the cold starts
    #[arg(long)]
    pub(crate) no_cold_start: bool,
    /// Build wasmtime-cli first, if it is not there: takes some minutes, and is kept outside target/
    #[arg(long)]
    pub(crate) with_wasmtime_serve: bool,
    /// Measure this program as our host, rather than one that is built for it
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) host: Option<PathBuf>,
    /// Instead of all this: what becomes of requests when PostgreSQL is stopped and started, frozen and thawed
    #[arg(long, conflicts_with = "overload")]
    pub(crate) outage: bool,
    /// Instead of all this: what becomes of four times the load that our host sustains, over 2 000 connections
    #[arg(long)]
    pub(crate) overload: bool,
    /// Write docs/benchmarks.md and docs/benchmarks.svg
    #[arg(long)]
    pub(crate) write: bool,
}

impl Options {
    /// Whether this contender takes part.
    pub(super) fn takes(&self, contender: Contender) -> bool {
        self.only.is_empty() || self.only.contains(&contender)
    }

    /// Whether this workload is measured.
    pub(super) fn measures(&self, workload: Workload) -> bool {
        self.workload.is_empty() || self.workload.contains(&workload)
    }
}
