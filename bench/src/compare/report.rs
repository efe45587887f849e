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

`cargo xtask bench --write` writes this page. `bench/src/compare/mod.rs` describes the method.

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

/// What stands above the tables with PostgreSQL.
const POSTGRES: &str = "One server with default settings, so every acknowledged commit is on the disk. It runs on the same machine, is reached
over its Unix socket, and gets an empty database for each measurement. Each contender has CONNECTIONS connections to it.
Gin's create inserts one row with id, version and the order's JSON; its get reads that row by its primary key and sends the
JSON unchanged. **round trips**: the calls that the server executed per request, by its own statistics (`calls` in
`pg_stat_statements`, and in `pg_stat_user_functions` for procedures); less than one if creates share a call. Processor and
memory are those of the service, not of the server.

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
        "## Targets\n\nThe median of each run, with the minimum and maximum of its rounds. Bold: target missed.\n\n\
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
