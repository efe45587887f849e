//! `cargo xtask bench`: the service compared with other implementations, on this machine, in one run.
//!
//! | file | contents |
//! |---|---|
//! | `workload` | the workloads |
//! | `options` | what to measure |
//! | `measure` | one measurement of one contender |
//! | `results` | all measurements; medians and ratios |
//! | `targets` | the targets |
//! | `report` | the report in Markdown |
//! | `chart` | a bar chart in SVG |
//!
//! Contenders take turns within each round, so that other work on the machine affects all of them. A ratio is computed within
//! a round; its median, minimum and maximum are those over all rounds.

mod chart;
pub(crate) mod measure;
pub(crate) mod options;
mod report;
mod results;
mod targets;
pub(crate) mod workload;

use orders_bench::postgres::Server;
use xtask::command::TaskError;

use self::{options::Options, results::Results, workload::Workload};
use crate::{
    contender::{Contender, Start, setup::Setup},
    machine, page,
};

/// Measures, and prints the report. A measurement with a wrong response is void and left out.
pub(crate) fn run(options: &Options) -> Result<(), TaskError> {
    let host = options.host.as_deref();
    let includes = |contender| options.includes(contender);
    let mut setup = Setup::prepare(includes, options.with_wasmtime_serve, host)?;
    if Workload::all().any(|workload| workload.needs_postgres() && options.measures(workload)) {
        setup.server = Some(Server::start(None)?);
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
        page::write_comparison(&format!("{}{report}{}", report::HEAD, machine::markdown(options)))?;
        page::write_chart(&chart::svg(&results))?;
    }
    Ok(())
}

fn measure_all(options: &Options, setup: &Setup, round: u32, results: &mut Results) -> Result<(), TaskError> {
    let measured = |contender| options.includes(contender) && setup.unavailable(contender).is_none();
    for workload in Workload::all().filter(|workload| options.measures(*workload)) {
        let suits = |contender: &Contender| workload.suits(*contender) && measured(*contender);
        for contender in Contender::all().filter(suits) {
            let figures = measure::workload(setup, contender, workload, options.seconds)?;
            let outcome = match &figures {
                Ok(figures) => format!(
                    "{:>8.0} requests/s  p50 {:>7.2} ms  p99 {:>7.2} ms",
                    figures.rate,
                    figures.p50 / 1000.0,
                    figures.p99 / 1000.0
                ),
                Err(why) => format!("void: {why}"),
            };
            eprintln!("round {round}  {workload:<15} {contender:<22} {outcome}");
            results.add(workload, contender, figures.ok());
        }
    }
    if !options.no_cold_start {
        for start in Start::ALL.into_iter().filter(|start| measured(start.contender())) {
            results.add_start(start, measure::cold_start(setup, start)?);
        }
    }
    Ok(())
}
