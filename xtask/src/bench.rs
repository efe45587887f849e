//! `cargo xtask bench`: the service beside others, on this machine, in one run.
//!
//! | file | what it does |
//! |---|---|
//! | `setup` | builds what takes part, and finds out what cannot |
//! | `contender` | who takes part, and how each is started |
//! | `process` | a running contender: its address, memory and processor time |
//! | `wrk` | the load generator |
//! | `measure` | one measurement of one contender: a workload, or a cold start |
//! | `results` | all measurements; medians and ratios |
//! | `targets` | what is to be reached |
//! | `report` | tables in Markdown |
//! | `chart` | bars in SVG |
//! | `machine` | what it ran on, and in which versions |
//! | `overload` | another question: what becomes of far too many requests |
//! | `open_loop` | the load generator for that |
//! | `outage` | yet another: what becomes of requests while PostgreSQL is away |
//! | `clients` | those who ask all the while, and remember what they were told |
//!
//! Contenders take turns within each round, so that whatever else the machine does meets all of them. A ratio is taken
//! within a round, and its median and spread over the rounds.

mod chart;
mod clients;
mod contender;
mod machine;
mod measure;
mod open_loop;
mod outage;
mod overload;
mod process;
mod report;
mod results;
mod setup;
mod targets;
mod wrk;

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;

use crate::{command::Failed, workspace};

use self::{
    contender::{Contender, Start},
    measure::Workload,
    results::Results,
    setup::Setup,
};

/// Where wasmtime-cli is, if it has been built.
pub(crate) fn wasmtime() -> PathBuf {
    setup::wasmtime()
}

/// Builds wasmtime-cli, if it is not there.
///
/// # Errors
///
/// [`Failed`] if it does not build.
pub(crate) fn install_wasmtime() -> Result<(), Failed> {
    setup::install_wasmtime()
}

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// How many runs to make; the tables are of the last one, the targets of all
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// How often each measurement is made in a run
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// How long each measurement takes, in seconds
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Only these contenders
    #[arg(long, value_enum)]
    only: Vec<Contender>,
    /// Only these workloads
    #[arg(long, value_enum)]
    workload: Vec<Workload>,
    /// Leave out the cold starts
    #[arg(long)]
    no_cold_start: bool,
    /// Build wasmtime-cli first, if it is not there: takes some minutes, and is kept outside target/
    #[arg(long)]
    with_wasmtime_serve: bool,
    /// Measure this program as our host, rather than one that is built for it
    #[arg(long, value_name = "PROGRAM")]
    host: Option<PathBuf>,
    /// Instead of all this: what becomes of requests when PostgreSQL is stopped and started, frozen and thawed
    #[arg(long, conflicts_with = "overload")]
    outage: bool,
    /// Instead of all this: what becomes of four times the load that our host sustains, over 2 000 connections
    #[arg(long)]
    overload: bool,
    /// Write docs/benchmarks.md and docs/benchmarks.svg
    #[arg(long)]
    write: bool,
}

impl Options {
    fn takes(&self, contender: Contender) -> bool {
        self.only.is_empty() || self.only.contains(&contender)
    }

    fn measures(&self, workload: Workload) -> bool {
        self.workload.is_empty() || self.workload.contains(&workload)
    }
}

/// Measures, and prints what came of it.
///
/// # Errors
///
/// [`Failed`] if something is missing, or a contender does not start. A measurement with a wrong answer in it is void
/// and left out.
pub(crate) fn run(options: &Options) -> Result<(), Failed> {
    let host = options.host.as_deref();
    if options.overload || options.outage {
        let setup = Setup::prepare(|contender| contender == Contender::Host, false, host)?;
        return if options.outage {
            outage::run(&setup, options.seconds)
        } else {
            overload::run(&setup, options.seconds)
        };
    }
    let mut setup = Setup::prepare(|contender| options.takes(contender), options.with_wasmtime_serve, host)?;
    if Workload::ALL.into_iter().any(|workload| workload.needs_postgres() && options.measures(workload)) {
        setup.start_server()?;
    }
    let (mut results, mut targets) = (Results::default(), Vec::new());
    for run in 1..=options.runs {
        results = Results::default();
        for round in 1..=options.rounds {
            eprintln!("run {run}, round {round}: the load average is {}", machine::load_average());
            measure_all(options, &setup, round, &mut results)?;
        }
        targets.push(targets::all(&results));
    }
    let report = report::markdown(&setup, &results, &targets);
    println!("\n{report}");
    if options.write {
        let docs = workspace().join("docs");
        let page = format!("{}{report}{}", report::HEAD, machine::markdown(options));
        write(&docs.join("benchmarks.md"), &page)?;
        write(&docs.join("benchmarks.svg"), &chart::svg(&results))?;
    }
    Ok(())
}

fn measure_all(options: &Options, setup: &Setup, round: u32, results: &mut Results) -> Result<(), Failed> {
    for workload in Workload::ALL.into_iter().filter(|workload| options.measures(*workload)) {
        for contender in Contender::ALL.into_iter().filter(|contender| options.takes(*contender)) {
            if !workload.suits(contender) || setup.missing(contender).is_some() {
                continue;
            }
            let figures = measure::workload(setup, contender, workload, options.seconds)?;
            match &figures {
                Ok(figures) => eprintln!(
                    "round {round}  {workload:<15} {contender:<22} {:>8.0} requests/s  p50 {:>7.2} ms  p99 {:>7.2} ms",
                    figures.rate,
                    figures.p50 / 1000.0,
                    figures.p99 / 1000.0
                ),
                Err(why) => eprintln!("round {round}  {workload:<15} {contender:<22} void: {why}"),
            }
            results.add(workload, contender, figures.ok());
        }
    }
    if !options.no_cold_start {
        for start in Start::ALL.into_iter().filter(|start| options.takes(start.contender())) {
            if setup.cannot(start).is_none() {
                results.add_start(start, measure::cold_start(setup, start)?);
            }
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failed> {
    fs::write(path, text).map_err(|error| Failed(format!("{}: {error}", path.display())))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
