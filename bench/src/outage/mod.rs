//! What becomes of requests when PostgreSQL goes away and comes back: stopped and started, then frozen and thawed.
//!
//! Clients create orders and read them back all the while. A create that fails is repeated with its Idempotency-Key until it
//! is acknowledged; at the end each acknowledged order must be there, and no other.

mod clients;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use orders_bench::postgres::Server;
use xtask::command::{Failed, pause};

use self::clients::{Client, Seen};
use crate::contender::{self, Contender, setup::Setup};

/// Clients, each with a connection.
const CLIENTS: usize = 32;
/// `/ready` has to say that the service should not be asked within this.
const NOTICED_WITHIN: Duration = Duration::from_secs(1);
/// And again that it should be within this: attempts to connect are at most 1 s apart.
const BACK_WITHIN: Duration = Duration::from_secs(3);
/// An answer may take as long as a request may, by default, and what the machine adds.
const ANSWERED_WITHIN: Duration = Duration::from_secs(31);

/// A time in which the server was not there, from the first thing done to it to the last.
struct Outage {
    began: &'static str,
    from: Duration,
    ended: &'static str,
    to: Duration,
}

/// Runs it, and prints what came of it. Each part lasts so many seconds.
///
/// # Errors
///
/// [`Failed`] if it was not as it should be.
pub(crate) fn run(setup: &Setup, seconds: u32) -> Result<(), Failed> {
    let mut server = Server::start()?;
    let serving = contender::start(&mut Contender::Host.command(&setup.programs, &server.fresh_database()?))?;
    let (address, began, done) = (serving.address, Instant::now(), AtomicBool::new(false));
    let names: Vec<String> = (1..=CLIENTS).map(|number| format!("client-{number}")).collect();
    let (outages, ready, seen) = thread::scope(|scope| {
        let done = &done;
        let watching = scope.spawn(move || clients::watch(address, began, done));
        let working: Vec<_> = names
            .iter()
            .map(|name| scope.spawn(move || Client::new(address, began).work(name, done)))
            .collect();
        let outages = play(&mut server, began, Duration::from_secs(u64::from(seconds)));
        done.store(true, Ordering::Relaxed);
        let panicked = |_| Failed("a client panicked".to_owned());
        let mut all = Seen::default();
        for client in working {
            all.add(client.join().map_err(panicked)?);
        }
        Ok((outages?, watching.join().map_err(panicked)?, all))
    })?;

    let mut there = Vec::new();
    for name in &names {
        let kept = clients::orders_of(address, name);
        there.extend(kept.map_err(|error| Failed(format!("the orders of {name}: {error}")))?);
    }
    print_seconds(&outages, &ready, &seen);
    let mut faults = Vec::new();
    for outage in &outages {
        faults.extend(outage.print(&ready));
    }
    faults.extend(print_end(&seen, &there));
    if faults.is_empty() { Ok(()) } else { Err(Failed(faults.join("; "))) }
}

/// What is done to the server, and when.
fn play(server: &mut Server, began: Instant, part: Duration) -> Result<Vec<Outage>, Failed> {
    pause(part);
    let from = began.elapsed();
    server.stop()?;
    pause(part);
    server.resume()?;
    let stopped = Outage { began: "stopped", from, ended: "started", to: began.elapsed() };
    pause(part);
    let from = began.elapsed();
    let frozen = server.freeze()?;
    // Longer than a call may take, so that all of them are given up.
    pause(part * 2);
    drop(frozen);
    let frozen = Outage { began: "frozen", from, ended: "thawed", to: began.elapsed() };
    pause(part);
    Ok(vec![stopped, frozen])
}

fn print_seconds(outages: &[Outage], ready: &[(Duration, bool)], seen: &Seen) {
    println!("PostgreSQL goes away and comes back: {CLIENTS} clients create orders and read them back");
    println!("  second     201     200     503   other    none");
    let events: Vec<(Duration, &str)> =
        outages.iter().flat_map(|outage| [(outage.from, outage.began), (outage.to, outage.ended)]).collect();
    for (second, outcomes) in (0_u64..).zip(&seen.seconds) {
        let within = |time: &Duration| time.as_secs() == second;
        let mut happened: Vec<(Duration, String)> = Vec::new();
        for (time, what) in events.iter().filter(|(time, _)| within(time)) {
            happened.push((*time, format!("the server is {what}")));
        }
        for (time, ready) in ready.iter().filter(|(time, _)| within(time)) {
            happened.push((*time, format!("/ready says {}", if *ready { "200" } else { "503" })));
        }
        happened.sort();
        let happened: Vec<_> =
            happened.into_iter().map(|(time, what)| format!("{:.2} s: {what}", time.as_secs_f64())).collect();
        println!(
            "  {second:>6}{:>8}{:>8}{:>8}{:>8}{:>8}   {}",
            outcomes.created,
            outcomes.read,
            outcomes.unavailable,
            outcomes.others,
            outcomes.unanswered,
            happened.join("; ")
        );
    }
}

impl Outage {
    /// Prints when it was noticed, and when its end was; gives what was too late.
    fn print(&self, changes: &[(Duration, bool)]) -> Vec<String> {
        let Self { began, from, ended, to } = *self;
        let mut faults = Vec::new();
        for (ready, event, happened, within) in
            [(false, began, from, NOTICED_WITHIN), (true, ended, to, BACK_WITHIN)]
        {
            let after = changes.iter().find(|(time, says)| *says == ready && *time >= happened);
            let after = after.map(|(time, _)| *time - happened);
            let status = if ready { 200 } else { 503 };
            let late = after.is_none_or(|after| after > within);
            println!(
                "  {event}: /ready says {status} {}; ≤ {} s: {}",
                after.map_or("never".to_owned(), |after| format!("after {:.2} s", after.as_secs_f64())),
                within.as_secs(),
                if late { "NOT REACHED" } else { "reached" }
            );
            if late {
                faults.push(format!("/ready was late when the server was {event}"));
            }
        }
        faults
    }
}

/// Prints what there is in the end; gives what should not be.
fn print_end(seen: &Seen, there: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut verdict = |holds: bool, fault: &str| {
        if holds {
            return "reached";
        }
        faults.push(fault.to_owned());
        "NOT REACHED"
    };
    let total = seen.total();
    println!(
        "  all: {} × 201, {} × 200, {} × 503; anything else {}: {}",
        total.created,
        total.read,
        total.unavailable,
        total.others + total.unanswered,
        verdict(
            total.others + total.unanswered == 0,
            "there were answers other than 201, 200 and 503, or none"
        )
    );
    println!(
        "  the longest answer took {:.2} s; ≤ {} s: {}",
        seen.longest.as_secs_f64(),
        ANSWERED_WITHIN.as_secs(),
        verdict(seen.longest <= ANSWERED_WITHIN, "an answer was late")
    );
    let (missing, surplus) = clients::compare(&seen.acknowledged, there);
    println!(
        "  {} orders were acknowledged, {} creates were never settled; {missing} orders are missing, {surplus} too many: {}",
        seen.acknowledged.len(),
        seen.unsettled,
        verdict(
            missing + surplus == 0 && seen.unsettled == 0 && !seen.acknowledged.is_empty(),
            "orders are missing, too many or unsettled"
        )
    );
    faults
}
