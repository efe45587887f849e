//! `bench --outage`: PostgreSQL is stopped and started, then frozen and thawed, while clients create orders and read them
//! back. They retry a failed create with the same Idempotency-Key until it is acknowledged. In the end the store must have
//! each acknowledged order, and no other.
//!
//! | file | contents |
//! |---|---|
//! | `clients` | the clients, and what they record |

mod clients;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use orders_bench::{load::run_clients, postgres::Server};
use xtask::command::{TaskError, pause};

use self::clients::{Client, Record};
use crate::{
    checks::Checks,
    contender::{Contender, setup::Setup},
    host,
    table::Table,
};

/// Clients, each with one connection.
const CLIENTS: usize = 32;
/// `/ready` has to become 503 within this time.
const NOTICED_WITHIN: Duration = Duration::from_secs(1);
/// `/ready` has to become 200 again within this time: attempts to connect are at most 1 s apart.
const RECOVERED_WITHIN: Duration = Duration::from_secs(3);
/// The bound of the latency: the host's default deadline, and what a busy machine adds.
const LATENCY: Duration = Duration::from_secs(31);

/// Something done to the server: what, and when it began or, if the server is back, ended. With the response that `/ready`
/// has to change to, and how soon.
struct Event {
    name: &'static str,
    at: Duration,
    ready: bool,
    within: Duration,
}

/// Runs both outages and prints the measurements. Each phase lasts `seconds`.
pub(crate) fn run(setup: &Setup, seconds: u32) -> Result<(), TaskError> {
    let mut server = Server::start(None)?;
    let serving = host::start(&mut Contender::Host.command(&setup.programs, &server.fresh_database()?))?;
    let (address, began, done) = (serving.address, Instant::now(), AtomicBool::new(false));
    let customer = |number| format!("client-{}", number + 1);
    let client = |number| Ok(Client::new(address, began).run(&customer(number), &done));
    let (records, (events, ready)) = run_clients(CLIENTS, client, || {
        thread::scope(|scope| {
            let ready = scope.spawn(|| clients::watch_ready(address, began, &done));
            let events = run_outages(&mut server, began, Duration::from_secs(seconds.into()));
            done.store(true, Ordering::Relaxed);
            let ready = ready.join().map_err(|_| TaskError("the watch of /ready panicked".to_owned()))?;
            Ok((events?, ready))
        })
    })?;
    let record = records.into_iter().fold(Record::default(), Record::merge);

    let mut stored = Vec::new();
    for customer in (0..CLIENTS).map(customer) {
        let orders = clients::orders_of(address, &customer);
        stored.extend(orders.map_err(|error| TaskError(format!("the orders of {customer}: {error}")))?);
    }
    print_seconds(&events, &ready, &record);
    let mut checks = Checks::default();
    print_events(&events, &ready, &mut checks);
    print_totals(&record, &stored, &mut checks);
    checks.result()
}

/// Stops and starts the server, then freezes and thaws it.
fn run_outages(server: &mut Server, began: Instant, phase: Duration) -> Result<Vec<Event>, TaskError> {
    let gone = |name| Event { name, at: began.elapsed(), ready: false, within: NOTICED_WITHIN };
    let back = |name| Event { name, at: began.elapsed(), ready: true, within: RECOVERED_WITHIN };
    pause(phase);
    let stopped = gone("stopped");
    server.stop()?;
    pause(phase);
    server.resume()?;
    let started = back("started");
    pause(phase);
    let frozen = gone("frozen");
    let processes = server.freeze()?;
    // Longer than a call's deadline, so that all calls time out.
    pause(phase * 2);
    drop(processes);
    let thawed = back("thawed");
    pause(phase);
    Ok(vec![stopped, started, frozen, thawed])
}

fn print_seconds(events: &[Event], ready: &[(Duration, bool)], record: &Record) {
    println!("PostgreSQL goes away and comes back: {CLIENTS} clients create orders and read them back");
    let mut log: Vec<(Duration, String)> =
        events.iter().map(|event| (event.at, format!("the server is {}", event.name))).collect();
    log.extend(ready.iter().map(|(at, ready)| (*at, format!("/ready is {}", status(*ready)))));
    log.sort();
    let mut table = Table::new(["  second", "201", "200", "503", "other", "none"]);
    let last = record.requests.iter().map(|request| request.ended.as_secs()).max().unwrap_or_default();
    for second in 0..=last {
        let of_second = log.iter().filter(|(at, _)| at.as_secs() == second);
        let of_second: Vec<_> =
            of_second.map(|(at, what)| format!("{:.2} s: {what}", at.as_secs_f64())).collect();
        let mut row = vec![format!("  {second:>6}")];
        row.extend(record.outcomes(Some(second)).map(|count| count.to_string()));
        row.push(of_second.join("; "));
        table.row(row);
    }
    print!("{}", table.text());
}

/// Prints how soon `/ready` followed each event.
fn print_events(events: &[Event], changes: &[(Duration, bool)], checks: &mut Checks) {
    for Event { name, at, ready, within } in events {
        let change = changes.iter().find(|(changed, now)| now == ready && changed >= at);
        let after = change.map(|(changed, _)| *changed - *at);
        println!(
            "  {name}: /ready is {} {}; ≤ {} s: {}",
            status(*ready),
            after.map_or("never".to_owned(), |after| format!("after {:.2} s", after.as_secs_f64())),
            within.as_secs(),
            checks.verdict(
                after.is_some_and(|after| after <= *within),
                format!("/ready was late when the server was {name}")
            )
        );
    }
}

fn print_totals(record: &Record, stored: &[String], checks: &mut Checks) {
    let [created, read, unavailable, others, unanswered] = record.outcomes(None);
    let wrong = others + unanswered;
    println!(
        "  all: {created} × 201, {read} × 200, {unavailable} × 503; anything else {wrong}: {}",
        checks.verdict(wrong == 0, "there were responses other than 201, 200 and 503, or none")
    );
    let longest = record.requests.iter().map(|request| request.latency).max().unwrap_or_default();
    println!(
        "  longest latency {:.2} s; ≤ {} s: {}",
        longest.as_secs_f64(),
        LATENCY.as_secs(),
        checks.verdict(longest <= LATENCY, "a response was late")
    );
    let (missing, surplus) = clients::compare(&record.acknowledged, stored);
    let complete = missing + surplus == 0 && record.unsettled == 0 && !record.acknowledged.is_empty();
    println!(
        "  {} orders acknowledged, {} creates unsettled; {missing} orders missing, {surplus} surplus: {}",
        record.acknowledged.len(),
        record.unsettled,
        checks.verdict(complete, "orders are missing, surplus or unsettled")
    );
}

fn status(ready: bool) -> u16 {
    if ready { 200 } else { 503 }
}
