//! One measurement of one contender: a workload, or a cold start.

use std::{fs, io, io::Write, net::SocketAddr, path::Path};

use orders_bench::{
    client::{Connection, ORDER},
    postgres::Server,
};
use xtask::{command::TaskError, host::field};

use super::workload::Workload;
use crate::{
    contender::{
        Contender, Start,
        programs::{self, DATABASE},
        setup::Setup,
        usage::Usage,
        wrk,
    },
    host,
};

/// Orders that are created before a workload reads.
const SEEDED: u32 = 1_000;
/// The duration of the warm-up in seconds. Its requests are not measured.
const WARM_UP: u32 = 1;

/// The figures of one measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    /// Throughput in requests per second.
    pub(crate) rate: f64,
    /// The median latency in microseconds.
    pub(crate) p50: f64,
    /// The 99th percentile of the latency in microseconds.
    pub(crate) p99: f64,
    /// Processor time per request in microseconds.
    pub(crate) processor: f64,
    /// Resident memory before the first request, in MiB.
    pub(crate) idle: f64,
    /// Peak resident memory under load, in MiB.
    pub(crate) peak: f64,
    /// Calls that the PostgreSQL server executed per request, if there is one.
    pub(crate) round_trips: Option<f64>,
}

/// Starts a contender and measures a workload. The inner error says why the measurement is void.
pub(crate) fn workload(
    setup: &Setup,
    contender: Contender,
    workload: Workload,
    seconds: u32,
) -> Result<Result<Figures, String>, TaskError> {
    let store = match workload {
        Workload::Durable => host::empty_database(DATABASE)?,
        Workload::PostgresCreate | Workload::PostgresGet => setup.server()?.fresh_database()?,
        _ => "memory:".to_owned(),
    };
    let serving = host::start(&mut contender.command(&setup.programs, &store))?;
    let usage = Usage::of(&serving);
    let idle = usage.resident();
    let ids = programs::folder().join("ids");
    let prepared = prepare(serving.address, workload, &ids)
        .map_err(|error| TaskError(format!("{contender} failed before the workload {workload}: {error}")))?;

    let load = |seconds| wrk::run(workload.script(), serving.address, workload.connections(), seconds, &ids);
    let warm_up = load(WARM_UP)?;
    usage.reset_peak();
    let before = usage.processor_time();
    let measured = load(seconds)?;
    let processor = (usage.processor_time() - before) / measured.requests.max(1.0);
    if measured.errors() > 0.0 {
        let (rejected, broken) = (measured.rejected, measured.broken);
        return Ok(Err(format!("{rejected} wrong responses, {broken} broken connections or requests")));
    }
    let (rate, peak) = (measured.rate(), usage.peak());
    drop(serving);
    // Over the contender's whole life: the server counts some calls only when a client has disconnected.
    let requests = prepared + warm_up.requests + measured.requests;
    let server = setup.server.as_ref().filter(|_| workload.needs_postgres());
    let round_trips = server.map(Server::round_trips).transpose()?.map(|all| all / requests);
    Ok(Ok(Figures { rate, p50: measured.p50, p99: measured.p99, processor, idle, peak, round_trips }))
}

/// Checks that the contender responds correctly, and writes the ids of some orders to a file. Returns the number of requests.
fn prepare(address: SocketAddr, workload: Workload, ids: &Path) -> io::Result<f64> {
    let mut connection = Connection::open(address)?;
    let mut file = io::BufWriter::new(fs::File::create(ids)?);
    let seeded = if workload.only_creates() { 1 } else { SEEDED };
    let mut last = String::new();
    for _ in 0..seeded {
        let order = connection.create(ORDER)?;
        last = field(&order, "id").unwrap_or_default().to_owned();
        writeln!(file, "{last}")?;
    }
    file.flush()?;
    if workload.only_creates() {
        return Ok(f64::from(seeded));
    }
    let order = connection.get(&format!("/api/v1/orders/{last}"))?;
    let list = connection.get("/api/v1/orders?limit=20")?;
    let listed = list.matches("\"total\":8600").count();
    if !order.contains(&last) || !list.contains(&last) || listed != 20 {
        return Err(io::Error::other("the orders read are not those created"));
    }
    Ok(f64::from(seeded) + 2.0)
}

/// Milliseconds from the start of the program to its first 201.
pub(crate) fn cold_start(setup: &Setup, start: Start) -> Result<f64, TaskError> {
    // The program prints its address once it listens, so no attempts to connect take processor time.
    let serving = host::start(&mut start.command(&setup.programs))?;
    Connection::open(serving.address)
        .and_then(|mut connection| connection.create(ORDER))
        .map_err(|error| TaskError(format!("{}: {error}", start.name())))?;
    Ok(serving.began.elapsed().as_secs_f64() * 1000.0)
}
