//! `cargo xtask bench`: the service beside others, on this machine, in one run.
//!
//! | file | what it does |
//! |---|---|
//! | `options` | what to measure |
//! | `measure` | one measurement of one contender: a workload, or a cold start |
//! | `results` | all measurements; medians and ratios |
//! | `targets` | what is to be reached |
//! | `report` | tables in Markdown |
//! | `chart` | bars in SVG |
//! | `machine` | what it ran on, and in which versions |
//!
//! Contenders take turns within each round, so that whatever else the machine does meets all of them. A ratio is taken
//! within a round, and its median and spread over the rounds.

pub(crate) mod measure;
pub(crate) mod options;

mod chart;
mod machine;
mod report;
mod results;
mod targets;

use std::{fs, path::Path};

use xtask::{
    command::{Failed, failed},
    workspace,
};

use self::{measure::Workload, options::Options, results::Results};
use crate::contender::{Contender, Start, setup::Setup};

/// Measures, and prints what came of it.
///
/// # Errors
///
/// [`Failed`] if something is missing, or a contender does not start. A measurement with a wrong answer in it is void
/// and left out.
pub(crate) fn run(options: &Options) -> Result<(), Failed> {
    let host = options.host.as_deref();
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
    fs::write(path, text).map_err(|error| failed(path, &error))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
