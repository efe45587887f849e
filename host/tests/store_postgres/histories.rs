//! Histories of one order over two copies of the service, on a network that cuts their connections to the server: each must
//! be explained by one sequence of changes.
//!
//! A change gives the order its next version, so the versions are the sequence. What is left to check is
//! that every version has one content, that whoever began after another had ended saw no older version, and that nothing was
//! seen before it was asked for. A change without an answer may have taken place at any time after it began, or never.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::Request;
use http_body_util::Full;
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    harness::{Client, within},
    postgres,
    service::Service,
};

const CLIENTS: usize = 8;
/// Calls of each client that are answered.
const CALLS: usize = 150;
/// How often connections are cut, on the way of each copy.
const CUTS: usize = 12;

/// One call as it happened; the times are ticks of one counter.
#[derive(Debug)]
struct Call {
    began: u64,
    /// The change that was asked for; none for a look.
    change: Option<String>,
    /// What was answered; none if that is not known.
    answer: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    ended: u64,
    version: u64,
    notes: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_over_two_copies_are_linearizable() {
    let server = postgres::shared();
    let one = Arc::new(Service::start(server).await);
    let other = Arc::new(Service::start_as(server, &one.database, "postgres").await);
    // All clients meet on one order: the likelier they are to meet within a commit.
    let order = one.create().await.field("location").to_owned();
    let (clock, answered) = (Arc::<AtomicU64>::default(), watch::Sender::new(0));
    let clients = (0..CLIENTS).map(|number| {
        let service = Arc::clone(if number % 2 == 0 { &one } else { &other });
        tokio::spawn(client(number, service, order.clone(), Arc::clone(&clock), answered.clone()))
    });
    let clients: Vec<_> = clients.collect();
    // Spread over the calls.
    let mut progress = answered.subscribe();
    for cut in 0..CUTS {
        let due = CLIENTS * CALLS * (cut + 1) / (CUTS + 2);
        within("some calls", progress.wait_for(|answered| *answered >= due)).await.unwrap();
        if cut % 2 == 0 { one.proxy.cut() } else { other.proxy.cut() }
    }
    let mut calls = Vec::new();
    for client in clients {
        calls.extend(within("a client to end", client).await.unwrap());
    }
    let changes = calls.iter().filter(|call| call.change.is_some() && call.answer.is_some()).count();
    assert!(changes > CLIENTS * CALLS / 8, "only {changes} changes were answered");
    verify(&calls).unwrap_or_else(|why| panic!("{why}"));
}

async fn client(
    number: usize,
    service: Arc<Service>,
    order: String,
    clock: Arc<AtomicU64>,
    answered: watch::Sender<usize>,
) -> Vec<Call> {
    let mut connection = service.host.connect().await;
    let mut calls = Vec::new();
    let mut left = CALLS;
    for step in 0.. {
        if left == 0 {
            break;
        }
        let change = (step % 2 == number / 2 % 2).then(|| format!("{number}.{step}"));
        let tick = || clock.fetch_add(1, Ordering::SeqCst);
        let began = tick();
        let answer = ask(&mut connection, &order, change.as_deref()).await;
        let ended = tick();
        if answer.is_some() {
            left -= 1;
            answered.send_modify(|count| *count += 1);
        }
        let answer = answer.map(|order| Seen {
            ended,
            version: order["version"].as_u64().unwrap(),
            notes: order["notes"].as_str().unwrap_or_default().to_owned(),
        });
        calls.push(Call { began, change, answer });
    }
    calls
}

/// The order as it was answered; none if there was no answer that says.
async fn ask(connection: &mut Client, order: &str, change: Option<&str>) -> Option<Value> {
    let request = match change {
        None => Request::get(order).body(Full::default()).unwrap(),
        Some(notes) => Request::patch(order)
            .header("content-type", "application/merge-patch+json")
            .body(Full::new(format!(r#"{{"notes":"{notes}"}}"#).into()))
            .unwrap(),
    };
    let answer = connection.send(request).await.expect("the copies go on");
    match answer.status() {
        200 => Some(answer.json()),
        // Lost with its connection, or one of too many at once.
        409 | 412 | 503 => None,
        _ => panic!("{answer:?}"),
    }
}

/// Whether one sequence of changes explains the calls.
fn verify(calls: &[Call]) -> Result<(), String> {
    let asked: BTreeMap<&str, u64> =
        calls.iter().filter_map(|call| Some((call.change.as_deref()?, call.began))).collect();
    let mut contents: BTreeMap<u64, &str> = BTreeMap::new();
    let mut changed = BTreeMap::new();
    let answered: Vec<_> = calls.iter().filter_map(|call| Some((call, call.answer.as_ref()?))).collect();
    for (call, seen) in &answered {
        if *contents.entry(seen.version).or_insert(&seen.notes) != seen.notes {
            return Err(format!("version {} has two contents: {call:?}", seen.version));
        }
        match &call.change {
            Some(notes) if *notes != seen.notes => {
                return Err(format!("another change was answered: {call:?}"));
            }
            Some(_) if changed.insert(seen.version, call).is_some() => {
                return Err(format!("two changes made version {}", seen.version));
            }
            _ => {}
        }
        if !seen.notes.is_empty() && asked.get(seen.notes.as_str()).is_none_or(|began| *began > seen.ended) {
            return Err(format!("seen before it was asked for: {call:?}"));
        }
    }
    let mut versions: BTreeMap<&str, u64> = BTreeMap::new();
    for (version, notes) in &contents {
        if let Some(other) = versions.insert(notes, *version) {
            return Err(format!("the change {notes} made the versions {other} and {version}"));
        }
    }
    for (earlier, before) in &answered {
        for (later, after) in &answered {
            let forward = if later.change.is_some() {
                before.version < after.version
            } else {
                before.version <= after.version
            };
            if before.ended < later.began && !forward {
                return Err(format!("{later:?} came after {earlier:?} and saw less"));
            }
        }
    }
    Ok(())
}
