//! The power test: bad modules are rolled out under load. It counts the requests that they hurt, from outside.
//!
//! The load is steady and open. Before the rollout it shows how quick the service is; a request during the rollout is hurt
//! if it fails, or if it takes longer than a limit derived from that. Afterwards the load continues until the last request
//! that the module received must have ended.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use orders_bench::load::Latencies;
use xtask::command::{TaskError, pause};

use super::{
    FOLDER, Options, SHARE, Setup, behaviour,
    candidate::{CANDIDATES, Candidate},
    count,
    figures::{CONTROL, Figures, SLOW_MARGIN, p99},
    request::Request,
    service::{Service, Store, Terms},
    simulation::Outcomes,
};
use crate::{
    checks::Checks,
    host::empty_folder,
    table::Table,
    traffic::{Sample, Schedule, Traffic},
};

/// How long the load warms up.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long the load is observed before the rollout, and how many requests at least.
const BEFORE: Duration = Duration::from_secs(10);
const BEFORE_REQUESTS: u32 = 30;
/// How long the load continues after the rollout: longer than the host's deadline for a request, 10 s.
const AFTER: Duration = Duration::from_secs(12);
/// How long a rollout may last: a trial that is extended to the host's default of 10 minutes, its watch, and some time.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// The requests that a bad module may hurt beyond its share.
const HANDFUL: f64 = 10.0;
/// How many times longer the p99 of the serving module may be during the rollout. A difference below [`SLOW_MARGIN`] may
/// be that of two measurements.
const MAX_RATIO: f64 = 2.0;
/// Rows with at most this rate are measured at the same time, unless the module uses the processor.
const LOW_RATE: u32 = 20;
/// The part of the simulations of the null test that are made for a row here: a simulation of the host's default terms takes
/// many times longer than one of a few seconds.
const FEWER_SIMULATIONS: u32 = 20;
/// The most hosts at once.
const HOSTS: usize = 16;

/// A module, and the rate of the load.
#[derive(Clone, Copy)]
struct Row {
    candidate: &'static Candidate,
    rate: u32,
}

impl Row {
    fn is_cheap(self) -> bool {
        self.rate <= LOW_RATE && !self.candidate.computes
    }
}

/// Measures every row; returns the table.
pub(super) fn run(options: &Options, setup: &Setup, checks: &mut Checks) -> Result<String, TaskError> {
    let included = || CANDIDATES.iter().filter(|candidate| options.includes(candidate.name));
    let rows =
        options.rates.iter().flat_map(|rate| included().map(|candidate| Row { candidate, rate: *rate }));
    let rows: Vec<_> = rows.collect();
    let mut totals: Vec<Total> = rows.iter().map(|_| Total::default()).collect();
    for round in 1..=options.rounds {
        let numbered: Vec<_> = rows.iter().copied().enumerate().collect();
        let (cheap, others): (Vec<_>, Vec<_>) = numbered.into_iter().partition(|(_, row)| row.is_cheap());
        let groups = others.chunks(1).chain(cheap.chunks(HOSTS));
        for group in groups {
            for (number, figures) in measure_all(group, options, setup)? {
                if let (Some(row), Some(total)) = (rows.get(number), totals.get_mut(number)) {
                    eprintln!(
                        "round {round}  {:>4}/s  {:<24} {}",
                        row.rate,
                        row.candidate.name,
                        figures.line()
                    );
                    total.add(figures);
                }
            }
        }
    }
    let header = [
        "module",
        "load",
        "hurt",
        "failed",
        "slow",
        "allowed",
        "of",
        "gone after",
        "promoted",
        "remained",
        "simulated: promoted",
        "remained",
        "p99 before, ms",
        "during, ms",
        "ratio",
    ];
    let mut table = Table::new(header);
    for (row, total) in rows.iter().zip(totals) {
        let simulated = setup.simulator.as_ref().map(|simulator| {
            let recording = std::slice::from_ref(&total.before);
            let runs = options.simulations.div_ceil(FEWER_SIMULATIONS);
            simulator.run(runs, recording, 200, &options.terms(), &row.candidate.simulated())
        });
        table.row(total.row(*row, simulated.transpose()?, checks));
    }
    Ok(table.markdown())
}

/// Measures some rows at the same time.
fn measure_all(
    rows: &[(usize, Row)],
    options: &Options,
    setup: &Setup,
) -> Result<Vec<(usize, Figures)>, TaskError> {
    let prepared = rows.iter().map(|(number, row)| Prepared::new(*row, *number, setup));
    let prepared = prepared.collect::<Result<Vec<_>, _>>()?;
    thread::scope(|scope| {
        let measuring = rows.iter().zip(prepared).map(|((number, row), prepared)| {
            let (number, rate) = (*number, row.rate);
            scope.spawn(move || Ok((number, prepared.measure(rate, &options.terms())?)))
        });
        let measuring: Vec<_> = measuring.collect();
        let panicked = |_| Err(TaskError("a measurement panicked".to_owned()));
        measuring.into_iter().map(|row| row.join().unwrap_or_else(panicked)).collect()
    })
}

/// A host in which the control serves.
struct Prepared {
    service: Service,
    module: PathBuf,
}

impl Prepared {
    /// Starts a host, and has it compile both modules, so that nothing is compiled during the measurement.
    fn new(row: Row, number: usize, setup: &Setup) -> Result<Self, TaskError> {
        let folder = empty_folder(&format!("{FOLDER}/components-{number}"))?;
        let [before, own] = row.candidate.behaviours();
        let control = behaviour::write(&setup.behaves, CONTROL, &before, &folder)?;
        let module = behaviour::write(&setup.behaves, '2', &own, &folder)?;
        let name = format!("power-{number}");
        let mut service = Service::start(&setup.program, &module, &Store::Memory, &name)?;
        service.swap(&control)?;
        Ok(Self { service, module })
    }

    fn measure(mut self, rate: u32, terms: &Terms) -> Result<Figures, TaskError> {
        let address = self.service.address();
        let traffic = Traffic::start(address, Request::Get.text(address), Schedule::Steady(rate), 1);
        pause(WARM_UP);
        let observed = Instant::now();
        pause(BEFORE.max(Duration::from_secs(1) * BEFORE_REQUESTS / rate.max(1)));
        let pushed = Instant::now();
        let rollout = self.service.roll_out(&self.module, terms, LIMIT)?;
        pause(AFTER);
        let samples = traffic.stop()?;
        Ok(Figures::of(&samples, observed, pushed, &rollout))
    }
}

/// The figures of all rounds.
#[derive(Default)]
struct Total {
    rounds: usize,
    failed: usize,
    slow: usize,
    requests: usize,
    allowed: f64,
    gone: Vec<Duration>,
    promoted: usize,
    before: Vec<Sample>,
    during: Vec<Sample>,
}

impl Total {
    fn add(&mut self, figures: Figures) {
        self.rounds += 1;
        self.failed += figures.failed;
        self.slow += figures.slow;
        self.requests += figures.requests;
        self.allowed += count(figures.requests) * f64::from(SHARE) / 100.0 + HANDFUL;
        self.gone.extend(figures.gone);
        self.promoted += usize::from(figures.promoted);
        self.before.extend(figures.before);
        self.during.extend(figures.during);
    }

    fn row(self, row: Row, simulated: Option<Outcomes>, checks: &mut Checks) -> Vec<String> {
        let name = format!("{}, {}/s", row.candidate.name, row.rate);
        let mut cell = |holds: bool, text: String, fault: &str| {
            checks.verdict(holds, format!("{name}: {fault}"));
            if holds { text } else { format!("**{text}**") }
        };
        let [before, during] = [&self.before, &self.during].map(|samples| p99(samples));
        let ratio = during.as_secs_f64() / before.as_secs_f64();
        let hurt = self.failed + self.slow;
        let remained = self.rounds - self.gone.len();
        let gone = Latencies::from(self.gone);
        vec![
            row.candidate.name.to_owned(),
            format!("{}/s", row.rate),
            cell(count(hurt) <= self.allowed, hurt.to_string(), "too many requests were hurt"),
            self.failed.to_string(),
            self.slow.to_string(),
            format!("{:.0}", self.allowed),
            self.requests.to_string(),
            if gone.count() == 0 {
                "–".to_owned()
            } else {
                format!("{:.1} s", gone.percentile(500).as_secs_f64())
            },
            format!("{} of {}", self.promoted, self.rounds),
            format!("{remained} of {}", self.rounds),
            percentage(simulated.map(|simulated| simulated.promoted)),
            percentage(simulated.map(|simulated| simulated.settled)),
            format!("{:.2}", before.as_secs_f64() * 1e3),
            format!("{:.2}", during.as_secs_f64() * 1e3),
            cell(
                ratio <= MAX_RATIO || during <= before + SLOW_MARGIN,
                format!("{ratio:.2}"),
                "the p99 of the serving module was too long",
            ),
        ]
    }
}

fn percentage(simulated: Option<f64>) -> String {
    simulated.map(|percent| format!("{percent:.0} %")).unwrap_or_default()
}
