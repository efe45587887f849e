//! What becomes of far too many requests: those that are taken on stay quick, the rest are refused at once, memory
//! stays bounded, and afterwards all is as before.
//!
//! What the service can sustain is measured first (closed loop), then a multiple of that is offered (open loop), and
//! then the first is measured again.

mod connection;
mod open_loop;

use orders_bench::client::{Connection, ORDER};
use xtask::{command::Failed, serving::Serving};

use self::open_loop::{Offer, Outcome, Times};
use crate::contender::{
    self, Contender, programs,
    setup::Setup,
    usage::Usage,
    wrk::{self, Load},
};

/// Connections that are served well.
const USUAL: u32 = 64;
/// Connections that are far too many.
const TOO_MANY: u32 = 2_000;
/// How much more is offered than can be sustained.
const FACTOR: f64 = 4.0;
/// Of that factor, what has to be reached for it to count: less than runs differ anyway.
const OFFERED: f64 = 0.95;
/// The slowest that accepted requests may be, in milliseconds: one of a hundred may be slower.
const ACCEPTED_WITHIN: f64 = 1_000.0;
/// "At once" for those that are refused, in milliseconds: one of a hundred may be slower. Nothing is waited for but the
/// processors, which have the load to make as well: 2 000 answers at the rate of a busy core, and some room.
const REFUSED_WITHIN: f64 = 250.0;
/// Throughput after the overload may be this much less than before: less than runs differ anyway.
const AS_BEFORE: f64 = 0.85;
/// What the memory is bounded by, in MiB: the service when it is idle; what the pool keeps of an instance
/// (`docs/adr/0008-resident-instance-memory.md`), for as many as there may be at once (`--max-concurrent`); and for each
/// connection what hyper reads ahead, and the task that serves it.
const MEMORY: f64 = 25.0 + 256.0 * 1.25 + 2_000.0 / 32.0;
/// How long the service is warmed up, in seconds.
const WARM_UP: u32 = 1;

/// Overloads the host with each store, and prints what came of it.
///
/// # Errors
///
/// [`Failed`] if it was not as it should be.
pub(crate) fn run(setup: &Setup, seconds: u32) -> Result<(), Failed> {
    let mut faults = Vec::new();
    for store in [programs::fresh_database()?, "memory:".to_owned()] {
        let name = store.split(':').next().unwrap_or_default();
        let serving = contender::start(&mut Contender::Host.command(&setup.programs, &store))?;
        let overload = Overload::measure(&serving, seconds)?;
        faults.extend(overload.print(name));
    }
    if faults.is_empty() { Ok(()) } else { Err(Failed(faults.join("; "))) }
}

/// The service before, during and after. Memory in MiB.
struct Overload {
    before: Load,
    memory_before: f64,
    asked: f64,
    outcome: Outcome,
    memory_peak: f64,
    after: Load,
    memory_after: f64,
}

impl Overload {
    fn measure(serving: &Serving, seconds: u32) -> Result<Self, Failed> {
        let usage = Usage::of(serving);
        let failed = |error: std::io::Error| Failed(format!("the load: {error}"));
        Connection::open(serving.address)
            .and_then(|mut connection| connection.create(ORDER))
            .map_err(failed)?;
        let ids = programs::folder().join("ids");
        let sustained = |seconds| wrk::run("create.lua", serving.address, USUAL, seconds, &ids);
        sustained(WARM_UP)?;
        let before = sustained(seconds)?;
        let (memory_before, ()) = (usage.resident(), usage.forget_peak());
        let asked = before.rate() * FACTOR;
        let offer = Offer { address: serving.address, connections: TOO_MANY, rate: asked, seconds };
        let outcome = open_loop::run(offer).map_err(failed)?;
        let memory_peak = usage.peak();
        let after = sustained(seconds)?;
        let memory_after = usage.resident();
        Ok(Self { before, memory_before, asked, outcome, memory_peak, after, memory_after })
    }

    /// Prints it; gives what was not as it should be.
    fn print(&self, store: &str) -> Vec<String> {
        let Self { before, outcome, after, .. } = self;
        let Outcome { sent, given_up, accepted, refused, others, broken, unanswered, closed, seconds } =
            outcome;
        let offered = f64::from(*sent) / seconds;
        let factor = offered / before.rate();
        let recovered = after.rate() / before.rate();
        println!("{store}: creates over {TOO_MANY} connections, {FACTOR} × as many as can be sustained");
        println!("  sustained        {:>8.0} a second, over {USUAL} connections", before.rate());
        println!(
            "  offered          {offered:>8.0} a second: {factor:.2} × that; {given_up} more found their connection busy"
        );
        if factor < FACTOR * OFFERED {
            println!(
                "                   {:.0} were to be offered: the load has this machine in common with the service",
                self.asked
            );
        }

        let mut faults = Vec::new();
        let mut verdict = |holds: bool, fault: &str| {
            if holds {
                return "reached";
            }
            faults.push(format!("{store}: {fault}"));
            "NOT REACHED"
        };
        for (what, times, within, fault) in [
            ("accepted (201) ", accepted, ACCEPTED_WITHIN, "accepted requests were slow"),
            ("refused (503)  ", refused, REFUSED_WITHIN, "requests were not refused at once"),
        ] {
            let p99 = times.percentile(99).unwrap_or(0.0);
            println!(
                "  {what}  {:>8.0} a second; {}; p99 ≤ {within} ms: {}",
                f64::from(times.count()) / seconds,
                percentiles(times),
                verdict(p99 <= within, fault)
            );
        }
        let wrong = others + broken + unanswered;
        println!(
            "  anything else    {wrong:>8} ({others} other answers, {broken} broken off, {unanswered} unanswered): {}",
            verdict(wrong == 0, "there were answers other than 201 and 503, or none")
        );
        println!(
            "  connections      {closed:>8} closed with an answer: {}",
            verdict(*closed == 0, "connections were closed")
        );
        self.print_memory(store, &mut verdict);
        println!(
            "  afterwards       {:>8.0} a second, {recovered:.2} of before; ≥ {AS_BEFORE}: {}",
            after.rate(),
            verdict(
                recovered >= AS_BEFORE && after.refused + after.broken == 0.0,
                "it was not as before afterwards"
            )
        );
        faults
    }

    /// Orders in memory are no load, so that there is a bound only if they lie elsewhere.
    fn print_memory(&self, store: &str, verdict: &mut impl FnMut(bool, &str) -> &'static str) {
        let Self { memory_before, memory_peak, memory_after, .. } = self;
        print!(
            "  resident memory  {memory_before:>8.0} MiB before, {memory_peak:.0} at most, {memory_after:.0} after"
        );
        if store == "memory" {
            println!(", orders included");
        } else {
            println!(
                "; at most ≤ {MEMORY:.0}: {}",
                verdict(*memory_peak <= MEMORY, "memory was not bounded")
            );
        }
    }
}

fn percentiles(times: &Times) -> String {
    let at = |share| times.percentile(share).map_or("-".to_owned(), |time| format!("{time:.1}"));
    format!("p50 {} ms, p99 {} ms, at most {} ms", at(50), at(99), at(100))
}
