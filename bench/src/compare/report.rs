//! The report in Markdown.

use super::{
    measure::Figures,
    results::Results,
    targets::{Bound, Target},
    workload::Workload,
};
use crate::{
    contender::{Contender, STORE_CONNECTIONS, Start, setup::Setup},
    table::Table,
};

/// The introduction of the page.
pub(crate) const HEAD: &str = "# Benchmarks

`cargo xtask bench --write` writes this page, except the sections about rollouts and about clients that do not read, which
`cargo xtask rollouts --write` and `cargo xtask readers --write` write. The methods are described in `bench/src/compare/mod.rs`,
`bench/src/rollouts/mod.rs` and `bench/src/readers/mod.rs`.

![Requests a second, by workload and contender](benchmarks.svg)

- **native axum**: the same handlers without a sandbox, as the upper limit. No deadlines, no admission control, no access log.
- **Gin**: the same create, get and list in Go, with a map in memory, or with pgx and a table in PostgreSQL.
- **wasmtime serve**: the stock host with the same component and its defaults. Each request gets a fresh instance with its
  own store, so only creates can be measured.
- **orders-host**: this service as it ships: built with profile-guided optimization (the others are not;
  [ADR 12](adr/0012-profile-guided-optimization.md) has the gain), with its component compiled ahead of time.
  Deadlines and limits are on. Its access log is off, because the others have none. **reuse**: an instance serves up to 1 000 requests.

Every contender gets the same requests: an order of three lines, sent by wrk with one thread on the same machine.
A figure is the median over all rounds, followed by their minimum and maximum. During creates the store grows and needs more
memory; a faster contender therefore shows a higher peak.

";

/// The introduction of the tables with PostgreSQL.
const POSTGRES: &str = "One server with default settings, so every acknowledged commit is on the disk. It runs on the same machine, is reached
over its Unix socket, and gets an empty database for each measurement. Each contender has CONNECTIONS connections to it.
Gin's create inserts one row with id, version and the order's JSON; its get reads that row by its primary key and sends the
JSON unchanged. **round trips**: the calls that the server executed per request, by its own statistics (`calls` in
`pg_stat_statements`, and in `pg_stat_user_functions` for procedures); less than one if creates share a call. Processor and
memory are those of the service, not of the server.

";

/// All tables: the measurements of the last run, and the targets of all runs.
pub(crate) fn markdown(setup: &Setup, results: &Results, runs: &[Vec<Target>]) -> String {
    let workloads = Workload::all().filter(|workload| results.has(*workload));
    let mut page: String = workloads.map(|workload| workload_section(setup, results, workload)).collect();
    page += &starts(setup, results);
    page += &targets(runs);
    if results.void() > 0 {
        page +=
            &format!("{} measurements are void and left out: they had wrong responses.\n", results.void());
    }
    page
}

fn workload_section(setup: &Setup, results: &Results, workload: Workload) -> String {
    let mut header =
        vec!["", "requests/s", "p50, ms", "p99, ms", "processor, µs a request", "idle, MiB", "peak, MiB"];
    let mut introduction = String::new();
    if workload.needs_postgres() {
        header.extend(["round trips", "of Gin"]);
        // The section with the other PostgreSQL table follows this one.
        if workload == Workload::PostgresCreate {
            introduction = POSTGRES.replace("CONNECTIONS", STORE_CONNECTIONS);
        }
    } else {
        header.push("of native");
    }
    let mut table = Table::new(header);
    for contender in Contender::all().filter(|contender| workload.suits(*contender)) {
        let figure = |figure: fn(&Figures) -> f64| results.figure(workload, contender, figure);
        let Some(rate) = figure(|f| f.rate) else {
            if let Some(why) = setup.unavailable(contender) {
                table.row([contender.to_string(), format!("not available: {why}")]);
            }
            continue;
        };
        let mut row = vec![contender.to_string(), rate.to_string()];
        let latencies = [figure(|f| f.p50 / 1000.0), figure(|f| f.p99 / 1000.0)];
        row.extend(latencies.into_iter().flatten().map(|latency| format!("{latency:.2}")));
        row.extend(figure(|f| f.processor).map(|time| format!("{:.1}", time.median)));
        let memory = [figure(|f| f.idle), figure(|f| f.peak)];
        row.extend(memory.into_iter().flatten().map(|memory| format!("{:.0}", memory.median)));
        let round_trips = results.figure(workload, contender, |f| f.round_trips);
        row.extend(round_trips.map(|round_trips| format!("{round_trips:.2}")));
        let ratio = results.ratio(workload, contender, workload.baseline());
        row.extend(ratio.map(|ratio| format!("{ratio:.2}")));
        table.row(row);
    }
    format!("## {}\n\n{introduction}{}", workload.title(), table.markdown())
}

fn starts(setup: &Setup, results: &Results) -> String {
    let mut table = Table::new(["", "ms"]);
    for start in Start::ALL {
        if let Some(time) = results.start(start) {
            table.row([start.name().to_owned(), format!("{time:.1}")]);
        } else if let Some(why) = setup.unavailable(start.contender()) {
            table.row([start.name().to_owned(), format!("not available: {why}")]);
        }
    }
    format!("## Cold start\n\nFrom the start of the program to its first 201.\n\n{}", table.markdown())
}

/// The targets, with the measurements of each run.
fn targets(runs: &[Vec<Target>]) -> String {
    let mut header = vec![String::new(), "target".to_owned()];
    header.extend((1..=runs.len()).map(|run| format!("run {run}")));
    let mut table = Table::new(header);
    for (index, target) in runs.first().into_iter().flatten().enumerate() {
        let bound = match target.bound {
            Bound::AtLeast(bound) => format!("≥ {bound}{}", target.unit),
            Bound::AtMost(bound) => format!("≤ {bound}{}", target.unit),
        };
        let mut row = vec![target.name.to_owned(), bound];
        row.extend(runs.iter().filter_map(|run| run.get(index)).map(verdict));
        table.row(row);
    }
    format!(
        "## Targets\n\nThe median of each run, with the minimum and maximum of its rounds. Bold: target missed.\n\n{}",
        table.markdown()
    )
}

fn verdict(target: &Target) -> String {
    match (&target.measured, target.reached()) {
        (Some(spread), Some(false)) => format!("**{spread:.2}**"),
        (Some(spread), _) => format!("{spread:.2}"),
        (None, _) => "not available".to_owned(),
    }
}
