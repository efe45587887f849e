//! One measurement of one contender.

use std::{fmt, fs, io::Write, net::SocketAddr, path::Path};

use clap::ValueEnum;

use orders_bench::{
    client::{Connection, ORDER},
    postgres::Server,
};
use xtask::{command::Failed, host::field};

use crate::contender::{
    self, Contender, Start, programs,
    setup::Setup,
    usage::Usage,
    wrk::{self, Load},
};

/// Orders that are there before others are read.
const SEEDED: u32 = 1_000;
/// How long a contender is warmed up, in seconds. Its figures begin after that.
const WARM_UP: u32 = 1;

/// What is asked of a contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Workload {
    /// Create orders; in memory
    Create,
    /// Read single orders; in memory
    Get,
    /// List the newest 20 orders; in memory
    List,
    /// Nine reads to one create; in memory
    Mix,
    /// Read single orders over 256 connections, for the memory that takes
    Wide,
    /// Create orders over 64 connections; durable, with SQLite
    Durable,
    /// Create orders; durable, with PostgreSQL
    PostgresCreate,
    /// Read single orders; with PostgreSQL
    PostgresGet,
}

impl Workload {
    pub(crate) const ALL: [Self; 8] = [
        Self::Create,
        Self::Get,
        Self::List,
        Self::Mix,
        Self::Wide,
        Self::Durable,
        Self::PostgresCreate,
        Self::PostgresGet,
    ];

    /// How the tables call it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Create => "Create an order",
            Self::Get => "Get an order",
            Self::List => "List 20 orders",
            Self::Mix => "Nine gets to one create",
            Self::Wide => "Get an order, 256 connections",
            Self::Durable => "Create an order durably: SQLite, 64 connections",
            Self::PostgresCreate => "Create an order durably: PostgreSQL, 32 connections",
            Self::PostgresGet => "Get an order: PostgreSQL, 32 connections",
        }
    }

    /// Whether a contender can do it: wasmtime serve forgets each order with its instance, Gin knows no SQLite, and the
    /// native one no PostgreSQL.
    pub(crate) fn suits(self, contender: Contender) -> bool {
        match contender {
            Contender::WasmtimeServe => self == Self::Create,
            Contender::Gin => self != Self::Durable,
            Contender::Native => !self.needs_postgres(),
            Contender::Host | Contender::HostReuse => true,
        }
    }

    /// Whether it takes a PostgreSQL server.
    pub(crate) fn needs_postgres(self) -> bool {
        matches!(self, Self::PostgresCreate | Self::PostgresGet)
    }

    /// Whom the table compares the others with.
    pub(crate) fn measure(self) -> Contender {
        if self.needs_postgres() { Contender::Gin } else { Contender::Native }
    }

    fn script(self) -> &'static str {
        match self {
            Self::Create | Self::Durable | Self::PostgresCreate => "create.lua",
            Self::Get | Self::Wide | Self::PostgresGet => "get.lua",
            Self::List => "list.lua",
            Self::Mix => "mix.lua",
        }
    }

    fn connections(self) -> u32 {
        match self {
            Self::Create | Self::Get | Self::List | Self::Mix | Self::PostgresCreate | Self::PostgresGet => {
                32
            }
            Self::Durable => 64,
            Self::Wide => 256,
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::List => "list",
            Self::Mix => "mix",
            Self::Wide => "wide",
            Self::Durable => "durable",
            Self::PostgresCreate => "postgres-create",
            Self::PostgresGet => "postgres-get",
        })
    }
}

/// What one measurement gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figures {
    /// Requests a second.
    pub(crate) rate: f64,
    /// Half of the answers take no longer than this, in microseconds.
    pub(crate) p50: f64,
    /// 99 of 100 take no longer than this.
    pub(crate) p99: f64,
    /// Processor time for a request, in microseconds.
    pub(crate) processor: f64,
    /// Resident memory before the first request, in MiB.
    pub(crate) idle: f64,
    /// The most of it under load.
    pub(crate) peak: f64,
    /// What it has had the database server execute for a request, if there is one: round trips.
    pub(crate) round_trips: Option<f64>,
}

/// Starts a contender and measures one workload. The inner error says why the measurement is void.
///
/// # Errors
///
/// [`Failed`] if it does not start, or does not do what is asked even once.
pub(crate) fn workload(
    setup: &Setup,
    contender: Contender,
    workload: Workload,
    seconds: u32,
) -> Result<Result<Figures, String>, Failed> {
    let store = match workload {
        Workload::Durable => programs::fresh_database()?,
        Workload::PostgresCreate | Workload::PostgresGet => setup.server()?.fresh_database()?,
        _ => "memory:".to_owned(),
    };
    let serving = contender::start(&mut contender.command(&setup.programs, &store))?;
    let usage = Usage::of(&serving);
    let idle = usage.resident();
    let ids = programs::folder().join("ids");
    let prepared = prepare(serving.address, workload, &ids)
        .map_err(|error| Failed(format!("{contender} cannot be asked to {workload}: {error}")))?;

    let load = |seconds| wrk::run(workload.script(), serving.address, workload.connections(), seconds, &ids);
    let warm = load(WARM_UP)?;
    usage.forget_peak();
    let before = usage.processor_time();
    let measured = load(seconds)?;
    let processor = (usage.processor_time() - before) / measured.requests.max(1.0);
    if let Some(why) = void(&measured) {
        return Ok(Err(why));
    }
    let (rate, peak) = (measured.rate(), usage.peak());
    drop(serving);
    // Of its whole life: the server counts some things only when a client is gone.
    let requests = prepared + warm.requests + measured.requests;
    let server = setup.server.as_ref().filter(|_| workload.needs_postgres());
    let round_trips = server.map(Server::round_trips).transpose()?.map(|all| all / requests);
    Ok(Ok(Figures { rate, p50: measured.p50, p99: measured.p99, processor, idle, peak, round_trips }))
}

/// Checks that the contender answers as it should, and writes the ids of some orders to a file. Gives the number of
/// requests that took.
fn prepare(address: SocketAddr, workload: Workload, ids: &Path) -> std::io::Result<f64> {
    let mut connection = Connection::open(address)?;
    let mut file = std::io::BufWriter::new(fs::File::create(ids)?);
    let seeded = if matches!(workload.script(), "create.lua") { 1 } else { SEEDED };
    let (mut last, mut requests) = (String::new(), f64::from(seeded));
    for _ in 0..seeded {
        let order = connection.create(ORDER)?;
        last = field(&order, "id").unwrap_or_default().to_owned();
        writeln!(file, "{last}")?;
    }
    file.flush()?;
    if seeded == SEEDED {
        let order = connection.get(&format!("/api/v1/orders/{last}"))?;
        let list = connection.get("/api/v1/orders?limit=20")?;
        requests += 2.0;
        let listed = list.matches("\"total\":8600").count();
        if !order.contains(&last) || !list.contains(&last) || listed != 20 {
            return Err(std::io::Error::other("what is read is not what was written"));
        }
    }
    Ok(requests)
}

fn void(load: &Load) -> Option<String> {
    let (refused, broken) = (load.refused, load.broken);
    (refused + broken > 0.0)
        .then(|| format!("{refused} wrong answers, {broken} connections or requests broken off"))
}

/// Milliseconds from the start of the program to its first 201.
///
/// # Errors
///
/// [`Failed`] if there is none.
pub(crate) fn cold_start(setup: &Setup, start: Start) -> Result<f64, Failed> {
    // It says where it listens once it does: nobody has to try again and again, and take processor time for that.
    let serving = contender::start(&mut start.command(&setup.programs))?;
    Connection::open(serving.address)
        .and_then(|mut connection| connection.create(ORDER))
        .map_err(|error| Failed(format!("{}: {error}", start.name())))?;
    Ok(serving.began.elapsed().as_secs_f64() * 1000.0)
}
