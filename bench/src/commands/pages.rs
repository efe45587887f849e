//! `cargo xtask pages`: whether a page costs the same in a small store and in a large one.
//!
//! Two hosts serve at the same time, one on each store, and are asked in turns, so that whatever else the machine does
//! meets both alike. What counts is the ratio of the medians.

use std::time::{Duration, Instant};

use clap::Args;

use orders_bench::{client::Connection, load::create_all};
use xtask::command::Failed;

use crate::host::{Host, build, empty_folder};

/// Orders in the small store.
const SMALL: usize = 1_000;
/// One order in so many is of the customer whose orders are asked for.
const ONE_IN: usize = 40;
/// Connections that fill a store.
const FILLERS: usize = 64;

/// How much dearer a page may be in the large store, in hundredths: what noise makes of 1.
const MOST_HUNDREDTHS: u128 = 150;

/// What is asked for, by name.
const PAGES: [(&str, &str); 5] = [
    ("newest 20", "/api/v1/orders?limit=20"),
    ("oldest 20", "/api/v1/orders?limit=20&sort=created_at"),
    ("20 of a customer", "/api/v1/orders?limit=20&customer=ada"),
    ("20 of a status", "/api/v1/orders?limit=20&status=pending"),
    ("20 of both", "/api/v1/orders?limit=20&customer=ada&status=pending"),
];

/// How much to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Orders in the large store
    #[arg(long, default_value_t = 1_000_000)]
    orders: usize,
    /// How often each page is read from each store
    #[arg(long, default_value_t = 1_000)]
    reads: usize,
}

/// Fills both stores, reads the pages, prints the medians and their ratio.
///
/// # Errors
///
/// [`Failed`] if anything did not go as it should.
pub(crate) fn measure(options: &Options) -> Result<(), Failed> {
    let component = build()?;
    let mut hosts = Vec::new();
    for orders in [SMALL, options.orders] {
        let folder = empty_folder(&format!("pages/{orders}"))?;
        let host = Host::start(&component, &folder, false, &[])?;
        let began = Instant::now();
        create_all(host.address(), orders, FILLERS, order)?;
        println!("{orders} orders made in {:.0?}", began.elapsed());
        hosts.push(host);
    }
    let mut dearer = Vec::new();
    println!("{:<20}{:>12}{:>12}{:>8}", "page", SMALL, options.orders, "ratio");
    for (name, target) in PAGES {
        let [small, large] = medians(&hosts, target, options.reads)?;
        let hundredths = large.as_nanos() * 100 / small.as_nanos().max(1);
        if hundredths > MOST_HUNDREDTHS {
            dearer.push(name);
        }
        println!("{name:<20}{small:>12.1?}{large:>12.1?}{:>5}.{:02}", hundredths / 100, hundredths % 100);
    }
    for host in &mut hosts {
        host.stop()?;
    }
    if dearer.is_empty() {
        Ok(())
    } else {
        Err(Failed(format!("dearer in the large store: {}", dearer.join(", "))))
    }
}

fn order(number: usize) -> String {
    let customer = if number.is_multiple_of(ONE_IN) {
        "ada".to_owned()
    } else {
        format!("customer {}", number % 10_000)
    };
    format!(
        r#"{{"customer":"{customer}","currency":"EUR","items":[{{"sku":"tea-1","quantity":2,"unit_price":450}}]}}"#
    )
}

/// The median time of reading a page from each host, in turns.
fn medians(hosts: &[Host], target: &str, reads: usize) -> Result<[Duration; 2], Failed> {
    let mut times = [Vec::new(), Vec::new()];
    let mut connections = Vec::new();
    for host in hosts {
        connections.push(Connection::open(host.address()).map_err(|error| Failed(error.to_string()))?);
    }
    for _ in 0..reads {
        for (connection, times) in connections.iter_mut().zip(&mut times) {
            let began = Instant::now();
            let page = connection.get(target).map_err(|error| Failed(format!("{target}: {error}")))?;
            times.push(began.elapsed());
            // Twenty of the smallest orders are more than this.
            if page.len() < 4_000 {
                return Err(Failed(format!("{target} gave a short page")));
            }
        }
    }
    Ok(times.map(|mut times| {
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }))
}
