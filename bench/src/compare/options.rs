//! The options of `cargo xtask bench`.

use std::path::PathBuf;

use clap::Args;

use super::workload::Workload;
use crate::contender::Contender;

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// How many runs to make; the tables show the last one, the targets all of them
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) runs: u32,
    /// How often to repeat each measurement within a run
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: u32,
    /// The duration of each measurement, in seconds
    #[arg(long, default_value_t = 5)]
    pub(crate) seconds: u32,
    /// Measure only these contenders
    #[arg(long, value_enum)]
    pub(crate) only: Vec<Contender>,
    /// Measure only these workloads
    #[arg(long, value_enum)]
    pub(crate) workload: Vec<Workload>,
    /// Leave out the cold starts
    #[arg(long)]
    pub(crate) no_cold_start: bool,
    /// Build wasmtime-cli first if it is missing: takes some minutes, and is installed outside target/
    #[arg(long)]
    pub(crate) with_wasmtime_serve: bool,
    /// Measure this program as our host instead of building one
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) host: Option<PathBuf>,
    /// Instead of the comparison, observe requests while PostgreSQL is stopped and started, frozen and thawed
    #[arg(long, conflicts_with = "overload")]
    pub(crate) outage: bool,
    /// Instead of the comparison, offer four times the load that our host sustains, over 2 000 connections
    #[arg(long)]
    pub(crate) overload: bool,
    /// Write docs/benchmarks.md and docs/benchmarks.svg
    #[arg(long)]
    pub(crate) write: bool,
}

impl Options {
    /// Whether to measure this contender.
    pub(super) fn includes(&self, contender: Contender) -> bool {
        self.only.is_empty() || self.only.contains(&contender)
    }

    /// Whether to measure this workload.
    pub(super) fn measures(&self, workload: Workload) -> bool {
        self.workload.is_empty() || self.workload.contains(&workload)
    }
}
