//! A row of the table: a host, and the load before and while the clients are there.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use orders_bench::{
    client::{Connection, ORDER},
    load::{Latencies, create_all},
};
use xtask::{
    command::{TaskError, pause},
    host::{field, serve},
};

use super::{
    Options,
    clients::{Clients, Outcome, Reading},
    orders::Size,
};
use crate::{
    checks::{Checks, REACHED},
    contender::usage::Usage,
    host::{empty_database, start},
    traffic::{Sample, Schedule, Traffic},
};

/// What the clients request.
const PAGE: &str = "/api/v1/orders?limit=100";
/// Connections that create the orders.
const CONNECTIONS: usize = 4;
/// How long the load of the others warms up.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long a slow client needs for a page: 1 MiB at 30 kB/s, and some time for a busy machine.
const SLOW: Duration = Duration::from_secs(45);
/// The most clients whose pages of 1 MiB fit into the default of `--max-answers`. Beyond it, some responses must be cut.
const FITTING: u32 = 64;
/// The bound of the peak of resident memory, in MiB. A task in the cloud has 1 GiB or more.
const MAX_MEMORY: f64 = 512.0;
/// The bound of the ratio of p99 while the clients are there to p99 before.
const MAX_RATIO: f64 = 2.0;

/// Which clients come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) reading: Reading,
    pub(super) count: u32,
    pub(super) size: Size,
}

/// What was measured. Memory in MiB.
pub(super) struct Measured {
    before: Vec<Sample>,
    during: Vec<Sample>,
    clients: Vec<Outcome>,
    memory_before: f64,
    memory_peak: f64,
}

impl Row {
    /// The rows, in the order of the table.
    pub(super) fn all() -> Vec<Self> {
        let rows = [
            (Reading::AtOnce, Size::Long, &[256][..]),
            (Reading::Never, Size::Long, &[60, 256, 1000]),
            (Reading::Never, Size::Largest, &[60, 256, 1000]),
            (Reading::Slowly, Size::Long, &[60, 256]),
        ];
        let row = |(reading, size, counts): (_, _, &'static [u32])| {
            counts.iter().map(move |count| Self { reading, count: *count, size })
        };
        rows.into_iter().flat_map(row).collect()
    }

    /// The name of the row, for the table and `--only`.
    pub(super) fn name(self) -> String {
        let reading = match self.reading {
            Reading::Never => "do not read",
            Reading::Slowly => "read 30 kB/s",
            Reading::AtOnce => "read at once",
        };
        format!("{} that {reading}, {}", self.count, self.size.name())
    }

    /// Starts a host, fills its store, and measures.
    pub(super) fn measure(
        self,
        program: &Path,
        component: &Path,
        options: &Options,
    ) -> Result<Measured, TaskError> {
        let failed = |error: std::io::Error| TaskError(format!("{}: {error}", self.name()));
        let store = empty_database("readers")?;
        let serving = start(serve(&mut Command::new(program), component, &store))?;
        let address = serving.address;
        let order = Connection::open(address).and_then(|mut connection| connection.create(ORDER));
        let order = order.map_err(failed)?;
        create_all(address, self.size.count(), CONNECTIONS, |_| self.size.order())?;

        let id = field(&order, "id").unwrap_or_default();
        let get = format!("GET /api/v1/orders/{id} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        let traffic = Traffic::start(address, get, Schedule::Steady(options.rate), 1);
        pause(WARM_UP);
        let clients = Clients {
            address,
            reading: self.reading,
            count: self.count,
            arrivals: options.arrivals,
            lasting: self.arriving(options) + self.staying(options),
        };
        let began = Instant::now();
        if self.reading == Reading::AtOnce {
            pause(Duration::from_secs(options.seconds.into()));
        } else {
            let lasting = self.arriving(options) + Duration::from_secs(options.seconds.into());
            Clients { reading: Reading::AtOnce, lasting, ..clients }.run(PAGE).map_err(failed)?;
        }
        let usage = Usage::of(&serving);
        let memory_before = usage.resident();
        usage.reset_peak();
        let come = Instant::now();
        let clients = clients.run(PAGE).map_err(failed)?;
        let (gone, memory_peak) = (Instant::now(), usage.peak());
        let samples = traffic.stop()?;
        let due = |from: Instant, to: Instant| -> Vec<_> {
            samples.iter().filter(|sample| from <= sample.due && sample.due < to).copied().collect()
        };
        Ok(Measured {
            before: due(began, come),
            during: due(come, gone),
            clients,
            memory_before,
            memory_peak,
        })
    }

    fn arriving(self, options: &Options) -> Duration {
        Duration::from_secs(1) * self.count / options.arrivals.max(1)
    }

    fn staying(self, options: &Options) -> Duration {
        let stay = Duration::from_secs(options.seconds.into());
        if self.reading == Reading::Slowly { stay.max(SLOW) } else { stay }
    }
}

impl Measured {
    /// The header of the table.
    pub(super) const HEADER: [&str; 13] = [
        "clients",
        "served",
        "whole",
        "others",
        "503",
        "failed",
        "p50 before, ms",
        "during, ms",
        "p99 before, ms",
        "during, ms",
        "ratio",
        "memory before, MiB",
        "peak, MiB",
    ];

    /// The cells of a row. Clients that read at once have no target: nobody comes before them, so that they show what the pages
    /// themselves cost.
    pub(super) fn cells(&self, row: Row, checks: &mut Checks) -> Vec<String> {
        let name = row.name();
        let mut cell = |text: String, holds: bool, fault: &str| {
            if row.reading == Reading::AtOnce || checks.verdict(holds, format!("{name}: {fault}")) == REACHED
            {
                return text;
            }
            format!("**{text}**")
        };
        let served = self.clients.iter().filter(|client| client.status == Some(200)).count();
        let whole = self.clients.iter().filter(|client| client.whole && client.status == Some(200)).count();
        let others =
            |status: Option<u16>| self.during.iter().filter(|sample| sample.status == status).count();
        let refused = others(Some(503));
        let failed = self.during.len() - others(Some(200)) - refused;
        let [before, during] = [&self.before, &self.during].map(|samples| latencies(samples));
        let ms = |latencies: &Latencies, tenths| latencies.percentile(tenths).as_secs_f64() * 1e3;
        let ratio = ms(&during, 990) / ms(&before, 990);
        let whole = match row.reading {
            Reading::Never => String::new(),
            _ => cell(whole.to_string(), whole == served || row.count > FITTING, "responses were cut"),
        };
        vec![
            name.clone(),
            served.to_string(),
            whole,
            self.during.len().to_string(),
            cell(refused.to_string(), refused == 0, "others were rejected"),
            cell(failed.to_string(), failed == 0, "requests of others failed"),
            format!("{:.2}", ms(&before, 500)),
            format!("{:.2}", ms(&during, 500)),
            format!("{:.2}", ms(&before, 990)),
            format!("{:.2}", ms(&during, 990)),
            cell(format!("{ratio:.2}"), ratio <= MAX_RATIO, "others became slow"),
            format!("{:.0}", self.memory_before),
            cell(
                format!("{:.0}", self.memory_peak),
                self.memory_peak <= MAX_MEMORY,
                "memory was not bounded",
            ),
        ]
    }
}

/// The latencies of the responses that a good service gives.
fn latencies(samples: &[Sample]) -> Latencies {
    let served = samples.iter().filter(|sample| sample.status == Some(200));
    served.map(|sample| sample.latency).collect::<Vec<_>>().into()
}
