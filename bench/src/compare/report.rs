//! Tables in Markdown.

use std::fmt::Write;

use super::{
    measure::Workload,
    results::Results,
    targets::{Bound, Target},
};
use crate::contender::{Contender, STORE_CONNECTIONS, Start, setup::Setup};

/// What stands above the tables on the page.
pub(crate) const HEAD: &str = "# Benchmarks

Written by `cargo xtask bench --write`; how it measures is told in `bench/src/compare/mod.rs`.

![Requests a second, by workload and contender](benchmarks.svg)

- **native axum**: the same handlers without a sandbox: the limit. No deadlines, no admission, no access log.
- **Gin**: the same create, get and list in Go, with a map in memory, or with pgx and a table in PostgreSQL.
- **wasmtime serve**: the stock host with the same component and its defaults. Each request has a fresh instance with a
  store of its own, so that it can only be asked to create.
- **orders-host**: this service as it is shipped: built with a profile of itself (the others are not;
  [ADR 12](adr/0012-built-with-a-profile.md) says what that is worth), and its component compiled ahead of time.
  Deadlines and limits are on; its access log is off, for the others have none. **reuse**: an instance serves up to 1 000 requests.

Every contender answers the same requests: an order of three lines, sent by wrk with one thread on the same machine.
A figure is the median over all rounds, with the least and the most of them. Under create the store grows, and the memory
with it: the faster, the more.

";

/// What stands above the tables with PostgreSQL.
const POSTGRES: &str = "One server, with its settings as they come: what it acknowledges is on the disk. It lies on the same machine, is
reached over its socket, and gets an empty database for each measurement; each contender has CONNECTIONS connections to it.
Gin's create inserts one row, of id, version and the order's JSON; its get reads that row by its primary key and sends the
JSON as it is. **round trips**: what the server has executed for a request, by its own count (`calls` in its `pg_stat_statements`,
and of procedures in `pg_stat_user_functions`); fewer than one if creates share a call. Processor and memory are
those of the service, not of the server.

";

/// All tables: of one run, and the targets of all.
pub(crate) fn markdown(setup: &Setup, results: &Results, runs: &[Vec<Target>]) -> String {
    let mut page = String::new();
    for workload in Workload::ALL.into_iter().filter(|workload| results.has(*workload)) {
        page += &table(setup, results, workload);
    }
    page += &starts(setup, results);
    page += &reached(runs);
    if results.void() > 0 {
        line(
            &mut page,
            format_args!(
                "{} measurements were void and are left out: they had wrong answers.",
                results.void()
            ),
        );
    }
    page
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(page, "{text}");
}

fn table(setup: &Setup, results: &Results, workload: Workload) -> String {
    let mut page = format!("## {}\n\n", workload.title());
    let (mut column, mut line_below, mut compared) = ("", "", "native");
    if workload.needs_postgres() {
        // The other table follows this one.
        if workload == Workload::PostgresCreate {
            page += &POSTGRES.replace("CONNECTIONS", STORE_CONNECTIONS);
        }
        (column, line_below, compared) = (" round trips |", "--:|", "Gin");
    }
    line(
        &mut page,
        format_args!(
            "| | requests/s | p50, ms | p99, ms | processor, µs a request | idle, MiB | peak, MiB |{column} of {compared} |\n\
             |---|--:|--:|--:|--:|--:|--:|{line_below}--:|"
        ),
    );
    for contender in Contender::ALL.into_iter().filter(|contender| workload.suits(*contender)) {
        let of = |figure: fn(&super::measure::Figures) -> f64| results.of(workload, contender, figure);
        let (Some(rate), Some(p50), Some(p99)) =
            (of(|f| f.rate), of(|f| f.p50 / 1000.0), of(|f| f.p99 / 1000.0))
        else {
            if let Some(why) = setup.missing(contender) {
                line(&mut page, format_args!("| {contender} | not available: {why} | | | | | | |"));
            }
            continue;
        };
        let median = |figure| of(figure).map_or(f64::NAN, |spread| spread.median);
        let round_trips = results.round_trips(workload, contender);
        let round_trips = round_trips.map_or(String::new(), |round_trips| format!(" {round_trips:.2} |"));
        let ratio = results.ratio(workload, contender, workload.measure());
        let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
        line(
            &mut page,
            format_args!(
                "| {contender} | {rate} | {p50:.2} | {p99:.2} | {:.1} | {:.0} | {:.0} |{round_trips} {ratio} |",
                median(|f| f.processor),
                median(|f| f.idle),
                median(|f| f.peak)
            ),
        );
    }
    page.push('\n');
    page
}

fn starts(setup: &Setup, results: &Results) -> String {
    let mut page = String::from(
        "## Cold start\n\nFrom the start of the program to its first 201.\n\n| | ms |\n|---|--:|\n",
    );
    for start in Start::ALL {
        let name = start.name();
        match (results.start(start), setup.cannot(start)) {
            (Some(time), _) => line(&mut page, format_args!("| {name} | {time:.1} |")),
            (None, Some(why)) => line(&mut page, format_args!("| {name} | not available: {why} |")),
            (None, None) => {}
        }
    }
    page.push('\n');
    page
}

/// The targets, with what each run has measured of them.
fn reached(runs: &[Vec<Target>]) -> String {
    let mut page = format!(
        "## Targets\n\nThe median of each run, with the least and the most of its rounds. In bold: not reached.\n\n\
         | | target |{}\n|---|--:|{}\n",
        (1..=runs.len()).map(|run| format!(" run {run} |")).collect::<String>(),
        "--:|".repeat(runs.len())
    );
    for (index, target) in runs.first().into_iter().flatten().enumerate() {
        let (sign, bound) = match target.bound {
            Bound::AtLeast(bound) => ("≥", bound),
            Bound::AtMost(bound) => ("≤", bound),
        };
        let measured = runs.iter().filter_map(|run| run.get(index)).map(verdict).collect::<String>();
        line(&mut page, format_args!("| {} | {sign} {bound}{} |{measured}", target.what, target.unit));
    }
    page.push('\n');
    page
}

fn verdict(target: &Target) -> String {
    match (&target.measured, target.reached()) {
        (Some(spread), Some(false)) => format!(" **{spread:.2}** |"),
        (Some(spread), _) => format!(" {spread:.2} |"),
        (None, _) => " not available |".to_owned(),
    }
}
