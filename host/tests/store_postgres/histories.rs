//! Histories of one order on two copies of the service, on a network that cuts their connections to the server: one
//! sequence of changes must explain each history.
//!
//! Each change increases the version of the order, so the versions are the sequence. It remains to check that every
//! version has one content, that a call that began after another had ended saw no older version, and that no change
//! was seen before it was requested. A change without a response may have taken effect at any time after it began, or
//! never.

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
/// The number of calls of each client that get a response.
const CALLS: usize = 150;
/// The number of times that connections are cut, alternating between the copies.
const CUTS: usize = 12;

/// One recorded call. The times are ticks of one counter.
#[derive(Debug)]
struct Call {
    began: u64,
    /// The requested change; `None` for a read.
    change: Option<String>,
    /// The response; `None` if the outcome is unknown.
    response: Option<Seen>,
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
    // All clients use one order, which makes it likely that their commits overlap.
    let order = one.create().await.field("location").to_owned();
    let (clock, answered) = (Arc::<AtomicU64>::default(), watch::Sender::new(0));
    let clients = (0..CLIENTS).map(|number| {
        let service = Arc::clone(if number % 2 == 0 { &one } else { &other });
        tokio::spawn(client(number, service, order.clone(), Arc::clone(&clock), answered.clone()))
    });
    let clients: Vec<_> = clients.collect();
    // The cuts are spread over the calls.
    let mut progress = answered.subscribe();
    for cut in 0..CUTS {
        let due = CLIENTS * CALLS * (cut + 1) / (CUTS + 2);
        within("some calls", progress.wait_for(|answered| *answered >= due)).await.unwrap();
        if cut % 2 == 0 { one.proxy.cut() } else { other.proxy.cut() }
    }
    let mut calls = Vec::new();
    for client in clients {
        calls.extend(within("a client to finish", client).await.unwrap());
    }
    let changes = calls.iter().filter(|call| call.change.is_some() && call.response.is_some()).count();
    assert!(changes > CLIENTS * CALLS / 8, "only {changes} changes got a response");
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
    let mut remaining = CALLS;
    for step in 0.. {
        if remaining == 0 {
            break;
        }
        let change = (step % 2 == number / 2 % 2).then(|| format!("{number}.{step}"));
        let tick = || clock.fetch_add(1, Ordering::SeqCst);
        let began = tick();
        let response = send(&mut connection, &order, change.as_deref()).await;
        let ended = tick();
        if response.is_some() {
            remaining -= 1;
            answered.send_modify(|count| *count += 1);
        }
        let response = response.map(|order| Seen {
            ended,
            version: order["version"].as_u64().unwrap(),
            notes: order["notes"].as_str().unwrap_or_default().to_owned(),
        });
        calls.push(Call { began, change, response });
    }
    calls
}

/// Returns the order in the response, or `None` if the outcome is unknown.
async fn send(connection: &mut Client, order: &str, change: Option<&str>) -> Option<Value> {
    let request = match change {
        None => Request::get(order).body(Full::default()).unwrap(),
        Some(notes) => Request::patch(order)
            .header("content-type", "application/merge-patch+json")
            .body(Full::new(format!(r#"{{"notes":"{notes}"}}"#).into()))
            .unwrap(),
    };
    let response = connection.send(request).await.expect("a response");
    match response.status() {
        200 => Some(response.json()),
        // Lost with its connection, or one of too many concurrent changes.
        409 | 412 | 503 => None,
        _ => panic!("{response:?}"),
    }
}

/// Checks that one sequence of changes explains the calls.
fn verify(calls: &[Call]) -> Result<(), String> {
    let requested: BTreeMap<&str, u64> =
        calls.iter().filter_map(|call| Some((call.change.as_deref()?, call.began))).collect();
    let mut contents: BTreeMap<u64, &str> = BTreeMap::new();
    let mut changed = BTreeMap::new();
    let answered: Vec<_> = calls.iter().filter_map(|call| Some((call, call.response.as_ref()?))).collect();
    for (call, seen) in &answered {
        if *contents.entry(seen.version).or_insert(&seen.notes) != seen.notes {
            return Err(format!("version {} has two contents: {call:?}", seen.version));
        }
        match &call.change {
            Some(notes) if *notes != seen.notes => {
                return Err(format!("the response shows another change: {call:?}"));
            }
            Some(_) if changed.insert(seen.version, call).is_some() => {
                return Err(format!("two changes made version {}", seen.version));
            }
            _ => {}
        }
        if !seen.notes.is_empty()
            && requested.get(seen.notes.as_str()).is_none_or(|began| *began > seen.ended)
        {
            return Err(format!("seen before it was requested: {call:?}"));
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
                return Err(format!("{later:?} came after {earlier:?} and saw an older version"));
            }
        }
    }
    Ok(())
}
