//! `bench --overload`: far more requests than the host can serve. Accepted requests have to stay quick, all others have to
//! be rejected immediately, memory has to stay bounded, and throughput has to recover.
//!
//! | file | contents |
//! |---|---|
//! | `open_loop` | the load generator |
//!
//! A closed loop first measures what the host sustains. An open loop then offers a multiple of that. Afterwards the closed
//! loop measures again.

mod open_loop;

use std::time::Duration;

use orders_bench::{
    client::{Connection, ORDER},
    load::Latencies,
};
use xtask::{command::TaskError, serving::Serving};

use self::open_loop::{Offer, Outcome};
use crate::{
    checks::Checks,
    contender::{
        Contender,
        programs::{self, DATABASE},
        setup::Setup,
        usage::Usage,
        wrk,
    },
    host,
};

/// Connections of the closed loop.
const SUSTAINED_CONNECTIONS: u32 = 64;
/// Connections of the open loop.
const OVERLOAD_CONNECTIONS: u32 = 2_000;
/// The offered rate as a multiple of the sustained rate.
const FACTOR: f64 = 4.0;
/// The part of that factor that has to be offered: the difference is smaller than that between two runs.
const OFFERED: f64 = 0.95;
/// The bound of p99 for accepted requests, in milliseconds.
const ACCEPTED_P99: f64 = 1_000.0;
/// The bound of p99 for rejected requests, in milliseconds. A rejection waits for nothing but a processor, which the load
/// generator uses as well: 2 000 responses at the rate of a busy core, and some room.
const REJECTED_P99: f64 = 250.0;
/// The throughput that has to be reached afterwards, relative to before: the difference is smaller than that between two runs.
const RECOVERED: f64 = 0.85;
/// The bound of resident memory in MiB: the idle host; the memory that the pool retains per instance
/// (`docs/adr/0008-resident-instance-memory.md`), for `--max-concurrent` instances; and for each connection hyper's read
/// buffer and the task that serves it.
const MEMORY: f64 = 25.0 + 256.0 * 1.25 + 2_000.0 / 32.0;
/// The duration of the warm-up in seconds.
const WARM_UP: u32 = 1;

/// Overloads the host with each store, and prints the measurements.
pub(crate) fn run(setup: &Setup, seconds: u32) -> Result<(), TaskError> {
    let mut checks = Checks::default();
    for store in [host::empty_database(DATABASE)?, "memory:".to_owned()] {
        let name = store.split(':').next().unwrap_or_default();
        let serving = host::start(&mut Contender::Host.command(&setup.programs, &store))?;
        Overload::measure(&serving, seconds)?.print(name, &mut checks);
    }
    checks.result()
}

/// Measurements before, during and after the overload. Memory in MiB.
struct Overload {
    before: wrk::Load,
    memory_before: f64,
    outcome: Outcome,
    memory_peak: f64,
    after: wrk::Load,
    memory_after: f64,
}

impl Overload {
    fn measure(serving: &Serving, seconds: u32) -> Result<Self, TaskError> {
        let (address, usage) = (serving.address, Usage::of(serving));
        let failed = |error: std::io::Error| TaskError(format!("the load: {error}"));
        Connection::open(address).and_then(|mut connection| connection.create(ORDER)).map_err(failed)?;
        let ids = programs::folder().join("ids");
        let sustained = |seconds| wrk::run("create.lua", address, SUSTAINED_CONNECTIONS, seconds, &ids);
        sustained(WARM_UP)?;
        let before = sustained(seconds)?;
        let memory_before = usage.resident();
        usage.reset_peak();
        let rate = before.rate() * FACTOR;
        let outcome = open_loop::run(Offer { address, connections: OVERLOAD_CONNECTIONS, rate, seconds });
        let (outcome, memory_peak) = (outcome.map_err(failed)?, usage.peak());
        let after = sustained(seconds)?;
        Ok(Self { before, memory_before, outcome, memory_peak, after, memory_after: usage.resident() })
    }

    fn print(self, store: &str, checks: &mut Checks) {
        let Self { before, memory_before, outcome, memory_peak, after, memory_after } = self;
        let mut verdict = |holds, fault: &str| checks.verdict(holds, format!("{store}: {fault}"));
        let offered = f64::from(outcome.sent) / outcome.seconds;
        let factor = offered / before.rate();
        println!("{store}: creates over {OVERLOAD_CONNECTIONS} connections, {FACTOR} × the sustained rate");
        println!("  sustained        {:>8.0}/s over {SUSTAINED_CONNECTIONS} connections", before.rate());
        println!(
            "  offered          {offered:>8.0}/s: {factor:.2} × that; {} more found their connection busy",
            outcome.dropped
        );
        if factor < FACTOR * OFFERED {
            println!(
                "                   the target was {:.0}/s; the load generator and the host share this machine",
                before.rate() * FACTOR
            );
        }
        for (name, latencies, bound, fault) in [
            ("accepted (201)", outcome.accepted, ACCEPTED_P99, "accepted requests were slow"),
            ("refused (503) ", outcome.rejected, REJECTED_P99, "requests were not rejected immediately"),
        ] {
            let rate = f64::from(u32::try_from(latencies.len()).unwrap_or(u32::MAX)) / outcome.seconds;
            let latencies = Latencies::from(latencies);
            println!(
                "  {name}   {rate:>8.0}/s; {}; p99 ≤ {bound} ms: {}",
                percentiles(&latencies),
                verdict(milliseconds(latencies.percentile(990)) <= bound, fault)
            );
        }
        let Outcome { others, broken, unanswered, closed, .. } = outcome;
        let wrong = others + broken + unanswered;
        println!(
            "  anything else    {wrong:>8} ({others} other responses, {broken} broken connections, {unanswered} unanswered): {}",
            verdict(wrong == 0, "there were responses other than 201 and 503, or none")
        );
        println!(
            "  connections      {closed:>8} closed with a response: {}",
            verdict(closed == 0, "connections were closed")
        );
        // With the memory store the orders are in the host's memory, too, so there is no bound.
        let bound = match store {
            "memory" => ", orders included".to_owned(),
            _ => {
                format!("; peak ≤ {MEMORY:.0}: {}", verdict(memory_peak <= MEMORY, "memory was not bounded"))
            }
        };
        println!(
            "  resident memory  {memory_before:>8.0} MiB before, {memory_peak:.0} peak, {memory_after:.0} after{bound}"
        );
        let recovered = after.rate() / before.rate();
        println!(
            "  afterwards       {:>8.0}/s, {recovered:.2} × before; ≥ {RECOVERED}: {}",
            after.rate(),
            verdict(recovered >= RECOVERED && after.errors() == 0.0, "throughput did not recover")
        );
    }
}

fn percentiles(latencies: &Latencies) -> String {
    if latencies.count() == 0 {
        return "p50 - ms, p99 - ms, max - ms".to_owned();
    }
    let [p50, p99, max] = [500, 990, 1000].map(|tenths| milliseconds(latencies.percentile(tenths)));
    format!("p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms")
}

fn milliseconds(latency: Duration) -> f64 {
    latency.as_secs_f64() * 1e3
}
