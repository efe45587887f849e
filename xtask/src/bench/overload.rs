//! What becomes of far too many requests: those that are taken on stay quick, the rest are refused at once, memory
//! stays bounded, and afterwards all is as before.

use crate::command::Failed;

use super::{
    contender::Contender,
    process::Serving,
    setup::{self, Setup},
    wrk::{self, Load, figure},
};

/// Connections that are served well.
const USUAL: u32 = 64;
/// Connections that are far too many.
const TOO_MANY: u32 = 2_000;
/// The slowest that an accepted request may be, in microseconds: one of a hundred may be slower.
const BOUND: f64 = 1_000_000.0;
/// Throughput after the overload may be this much less than before: less than runs differ anyway.
const AS_BEFORE: f64 = 0.85;

/// Overloads the host with each store, and prints what came of it.
///
/// # Errors
///
/// [`Failed`] if it was not as it should be.
pub(crate) fn run(setup: &Setup, seconds: u32) -> Result<(), Failed> {
    let mut faults = Vec::new();
    for store in ["memory:".to_owned(), setup::fresh_database()?] {
        let name = store.split(':').next().unwrap_or_default();
        let serving = Serving::start(&mut Contender::Host.command(setup, &store))?;
        faults.extend(overload(&serving, name, seconds)?);
    }
    if faults.is_empty() { Ok(()) } else { Err(Failed(faults.join("; "))) }
}

fn overload(serving: &Serving, store: &str, seconds: u32) -> Result<Vec<String>, Failed> {
    let ids = setup::folder().join("ids");
    let load = |script, connections| wrk::run(script, serving.address, connections, seconds, &ids);
    let before = load("create.lua", USUAL)?;
    let (idle, _) = (serving.resident(), serving.forget_peak());
    let over = load("overload.lua", TOO_MANY)?;
    let peak = serving.peak();
    let after = load("create.lua", USUAL)?;

    let count = |name| figure(&over.printed, "overload ", name).unwrap_or(f64::NAN);
    let (created, refused, others) = (count("created"), count("refused"), count("others"));
    let bound = count("bound");
    let offered = over.rate() / before.rate();
    let recovered = after.rate() / before.rate();
    println!("{store}: {TOO_MANY} connections that create orders without a pause");
    println!("  before          {:>9.0} creates/s over {USUAL} connections", before.rate());
    println!(
        "  overloaded      {:>9.0} answers/s, {offered:.1} times that: as fast as one wrk gets answers",
        over.rate()
    );
    println!(
        "  accepted        {:>9.0} a second, 99 of 100 within {:.0} ms",
        per_second(created, &over),
        bound / 1e3
    );
    println!("  refused (503)   {:>9.0} a second", per_second(refused, &over));
    println!("  other answers   {others:>9.0}");
    let broken = ["connect", "read", "write", "timeout"]
        .map(|name| format!("{name} {}", figure(&over.printed, "figures ", name).unwrap_or(f64::NAN)));
    println!("  broken off      {:>9.0} ({})", over.broken, broken.join(", "));
    println!("  resident memory {idle:>9.0} MiB before, {peak:.0} MiB at most");
    println!("  afterwards      {:>9.0} creates/s, {recovered:.2} of before", after.rate());

    let mut faults = Vec::new();
    let mut expect = |holds: bool, fault: &str| {
        if !holds {
            faults.push(format!("{store}: {fault}"));
        }
    };
    expect(bound < BOUND, "accepted requests were slow");
    expect(others == 0.0, "there were answers other than 201 and 503");
    expect(over.broken == 0.0, "connections or requests broke off");
    expect(recovered >= AS_BEFORE, "it was slower afterwards");
    Ok(faults)
}

fn per_second(count: f64, load: &Load) -> f64 {
    count * 1_000_000.0 / load.duration
}
