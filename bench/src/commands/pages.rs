//! `cargo xtask pages`: whether a page costs the same in a small store and in a large one.
//!
//! Two hosts serve at the same time, one for each store, and get requests in turn, so that other work on the machine affects
//! both alike. The result is the ratio of the medians.

use std::io;

use clap::Args;

use orders_bench::{
    client::Connection,
    load::{Latencies, create_all},
};
use xtask::command::TaskError;

use crate::{
    host::{Host, build, empty_folder},
    table::Table,
};

/// Orders in the small store.
const SMALL: usize = 1_000;
/// One order in this many belongs to the customer whose orders are listed.
const ORDERS_PER_MATCH: usize = 40;
/// Connections that fill a store.
const CONNECTIONS: usize = 64;
/// The bound of the ratio, in hundredths: noise alone stays below it.
const MAX_RATIO: u128 = 150;
/// Fewer bytes than a page of twenty of the smallest orders has.
const MIN_PAGE: usize = 4_000;

/// The pages to read.
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
    /// How often to read each page from each store
    #[arg(long, default_value_t = 1_000)]
    reads: usize,
}

/// Fills both stores, reads the pages, prints the medians and their ratio.
pub(crate) fn run(options: &Options) -> Result<(), TaskError> {
    let component = build()?;
    let mut hosts = Vec::new();
    for orders in [SMALL, options.orders] {
        let folder = empty_folder(&format!("pages/{orders}"))?;
        let host = Host::start(&component, &folder, false, &[])?;
        let filled = create_all(host.address(), orders, CONNECTIONS, order)?;
        println!("{orders} orders created in {:.0?}", filled.elapsed);
        hosts.push(host);
    }
    let mut slower = Vec::new();
    let mut table =
        Table::new(["page".to_owned(), SMALL.to_string(), options.orders.to_string(), "ratio".into()]);
    for (name, path) in PAGES {
        let latencies = read(&hosts, path, options.reads);
        let latencies = latencies.map_err(|error| TaskError(format!("{path}: {error}")))?;
        let medians: Vec<_> = latencies.iter().map(|latencies| latencies.percentile(500)).collect();
        let [small, large] = *medians.as_slice() else { continue };
        let ratio = large.as_nanos() * 100 / small.as_nanos().max(1);
        if ratio > MAX_RATIO {
            slower.push(name);
        }
        let ratio = format!("{}.{:02}", ratio / 100, ratio % 100);
        table.row([name.to_owned(), format!("{small:.1?}"), format!("{large:.1?}"), ratio]);
    }
    print!("{}", table.text());
    for host in &mut hosts {
        host.stop()?;
    }
    if slower.is_empty() {
        return Ok(());
    }
    Err(TaskError(format!("slower in the large store: {}", slower.join(", "))))
}

fn order(number: usize) -> String {
    let customer = if number.is_multiple_of(ORDERS_PER_MATCH) {
        "ada".to_owned()
    } else {
        format!("customer {}", number % 10_000)
    };
    let items = r#"[{"sku":"tea-1","quantity":2,"unit_price":450}]"#;
    format!(r#"{{"customer":"{customer}","currency":"EUR","items":{items}}}"#)
}

/// Reads a page from each host in turn; returns the latencies of each.
fn read(hosts: &[Host], path: &str, reads: usize) -> io::Result<Vec<Latencies>> {
    let connections = hosts.iter().map(|host| Connection::open(host.address()));
    let mut connections = connections.collect::<io::Result<Vec<_>>>()?;
    for _ in 0..reads {
        for connection in &mut connections {
            if connection.get(path)?.len() < MIN_PAGE {
                return Err(io::Error::other("the page is too short"));
            }
        }
    }
    Ok(connections.into_iter().map(|connection| connection.latencies.into()).collect())
}
