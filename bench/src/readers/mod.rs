//! `cargo xtask readers`: what clients that read slowly, or not at all, cost the others.
//!
//! | file | contents |
//! |---|---|
//! | `orders` | the orders of which a page consists |
//! | `clients` | the clients |
//! | `row` | a row of the table: a host, and the load before and while the clients are there |
//!
//! Each row starts a host with an empty SQLite store and fills it with orders, more than a page holds. An open loop gets one
//! small order, as the others do. First, as many clients come and read at once: the pages themselves cost processor time. Then the
//! clients of the row come. Each client has one request for the largest page.

mod clients;
mod orders;
mod row;

use std::path::PathBuf;

use clap::Args;

use xtask::{command::TaskError, components, host};

use self::row::{Measured, Row};
use crate::{checks::Checks, host::build, machine, page, table::Table};

/// The introduction of the section.
const INTRODUCTION: &str = "Some clients each send one request for a full page (`limit=100`, 1 MiB), and then read slowly or not
at all. The others get one small order, when each request is due (an open loop). **served**: clients that got a 200; those
beyond `--max-concurrent` get a 503. **whole**: clients that read all of it. **others**, **503**, **failed**: requests of the
others while the clients are there. Latencies are those of the others' 200s; **before**, as many clients come at the same pace
and read at once, so that the ratio is what not reading costs. The first row has no target and no clients before: it shows what
the pages themselves cost.

Bold: target missed (no 503, no failure, p99 at most doubled, at most 512 MiB; 60 clients that read 30 kB/s get it all, because
their pages fit into `--max-answers`).

";

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Measure only rows whose name contains this text
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// How long the others are observed before the clients come, and how long the clients stay at least, in seconds
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Requests of the others in a second
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Clients that come in a second: so few that their pages alone do not overload the machine, as the first row shows
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    arrivals: u32,
    /// Measure this program as our host instead of building one
    #[arg(long, value_name = "PROGRAM")]
    host: Option<PathBuf>,
    /// Let the host serve this component instead of building the orders component
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    /// Replace the section about readers in docs/benchmarks.md
    #[arg(long)]
    write: bool,
}

impl Options {
    fn includes(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| name.contains(text))
    }
}

/// Measures the rows and prints the table. Fails if a target is missed.
pub(crate) fn run(options: &Options) -> Result<(), TaskError> {
    let (program, component) = match (&options.host, &options.component) {
        (Some(program), Some(component)) => (program.clone(), component.clone()),
        (Some(program), None) => (program.clone(), components::orders()?),
        (None, component) => {
            let built = build()?;
            (host::binary(), component.clone().unwrap_or(built))
        }
    };
    let (load_average, mut checks) = (machine::load_average(), Checks::default());
    let mut table = Table::new(Measured::HEADER);
    for row in Row::all().into_iter().filter(|row| options.includes(&row.name())) {
        let cells = row.measure(&program, &component, options)?.cells(row, &mut checks);
        eprintln!("{}", cells.join("  "));
        table.row(cells);
    }
    println!("{}", table.text());
    if options.write {
        let Options { seconds, rate, arrivals, .. } = options;
        page::write_readers(&format!(
            "{}\n\n{INTRODUCTION}{}### The run of the readers\n\n\
             - `cargo xtask readers --seconds {seconds} --rate {rate} --arrivals {arrivals} --write`\n\
             {}- The load average before: {load_average}\n",
            page::READERS,
            table.markdown(),
            machine::description()
        ))?;
    }
    checks.result()
}
