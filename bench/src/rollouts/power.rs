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
    FOLDER, Options, SHARE, Setup, behaviour, count,
    schedule::Schedule,
    service::{Rollout, Service, Store, Terms},
    traffic::{Request, Sample, Traffic},
};
use crate::{checks::Checks, host::empty_folder, table::Table};

/// How long the load warms up.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long the load is observed before the rollout, and how many requests at least.
const BEFORE: Duration = Duration::from_secs(10);
const BEFORE_REQUESTS: u32 = 30;
/// How long the load continues after the rollout: longer than the host's deadline for a request, 10 s.
const AFTER: Duration = Duration::from_secs(12);
/// The aftermath of a rollout is over once no request was hurt for this time.
const CALM: Duration = Duration::from_secs(1);
/// The time from the beginning of the trial over which p99 is computed, at least: for a rollout of half a second it would
/// be the p99 of half a second.
const DURING: Duration = Duration::from_secs(10);
/// How long a rollout may last: a trial that is extended to the host's default of 10 minutes, its watch, and some time.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// A response is slow if it takes longer than this multiple of the p99 before the rollout and this time.
const SLOW_FACTOR: f64 = 1.5;
const SLOW_MARGIN: Duration = Duration::from_millis(2);
/// The requests that a bad module may hurt beyond its share.
const HANDFUL: f64 = 10.0;
/// How many times longer the p99 of the serving module may be during the rollout. A difference below [`SLOW_MARGIN`] may
/// be that of two measurements.
const MAX_RATIO: f64 = 2.0;
/// Rows with at most this rate are measured at the same time, unless the module uses the processor.
const LOW_RATE: u32 = 20;
/// The most hosts at once.
const HOSTS: usize = 16;
/// The version of the module that serves before the rollout.
const CONTROL: char = '1';

/// A module to roll out. `control` and `module` are words of the fixture `behaves`.
struct Candidate {
    name: &'static str,
    control: &'static str,
    module: &'static str,
    /// It computes forever, and has to be the only one that does.
    computes: bool,
}

const fn candidate(name: &'static str, module: &'static str) -> Candidate {
    Candidate { name, control: "", module, computes: false }
}

const CANDIDATES: [Candidate; 10] = [
    candidate("the same", ""),
    candidate("fails 5 %", "share=5 status=500"),
    candidate("fails 20 %", "share=20 status=500"),
    candidate("fails 100 %", "status=500"),
    Candidate { control: "wait=25", ..candidate("twice as slow", "wait=50") },
    Candidate { control: "wait=25", ..candidate("ten times as slow", "wait=250") },
    candidate("404 instead of 200", "status=404"),
    candidate("hangs", "hang"),
    Candidate { computes: true, ..candidate("loops", "spin") },
    Candidate { computes: true, ..candidate("eats memory, then loops", "eat=56") },
];

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
        "p99 before, ms",
        "during, ms",
        "ratio",
    ];
    let mut table = Table::new(header);
    for (row, total) in rows.iter().zip(totals) {
        table.row(total.row(*row, checks));
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
        let control = behaviour::write(&setup.behaves, CONTROL, row.candidate.control, &folder)?;
        let module = behaviour::write(&setup.behaves, '2', row.candidate.module, &folder)?;
        let name = format!("power-{number}");
        let mut service = Service::start(&setup.program, &module, &Store::Memory, &name)?;
        service.swap(&control)?;
        Ok(Self { service, module })
    }

    fn measure(mut self, rate: u32, terms: &Terms) -> Result<Figures, TaskError> {
        let traffic = Traffic::start(self.service.address(), Request::Get, Schedule::Steady(rate), 1);
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

/// What a rollout did to the requests.
struct Figures {
    /// Requests that failed, from the beginning of the trial until no more are hurt.
    failed: usize,
    /// Requests that were slow, less those that would have been slow without the rollout.
    slow: usize,
    /// Requests until the module was gone, or had settled.
    requests: usize,
    /// The time until the module was gone.
    gone: Option<Duration>,
    promoted: bool,
    /// Latencies of the module that served before, before and during the rollout.
    before: Vec<Duration>,
    during: Vec<Duration>,
}

impl Figures {
    fn of(samples: &[Sample], observed: Instant, pushed: Instant, rollout: &Rollout) -> Self {
        let Rollout { began, ended, promoted, ref end, .. } = *rollout;
        let latencies = |from: Instant, to: Instant| -> Vec<_> {
            let due = samples.iter().filter(|sample| from <= sample.due && sample.due < to);
            let own = due.filter(|sample| {
                sample.status == Some(200) && sample.version.map(char::from) == Some(CONTROL)
            });
            own.map(|sample| sample.latency).collect()
        };
        let before = latencies(observed, pushed);
        let p99 = Latencies::from(before.clone()).percentile(990);
        let limit = p99.mul_f64(SLOW_FACTOR) + SLOW_MARGIN;
        let failed = |sample: &Sample| sample.status != Some(200);
        let slow = |sample: &Sample| !failed(sample) && sample.latency > limit;
        let calm = aftermath(samples, ended, |sample| failed(sample) || slow(sample));
        let affected = || samples.iter().filter(|sample| began <= sample.due && sample.due <= calm);
        let slow_before = before.iter().filter(|latency| **latency > limit).count();
        let expected = slow_before * affected().count() / before.len().max(1);
        Self {
            failed: affected().filter(|sample| failed(sample)).count(),
            slow: affected().filter(|sample| slow(sample)).count().saturating_sub(expected),
            requests: affected().filter(|sample| sample.due < ended).count(),
            gone: end.reason().map(|_| ended - began),
            promoted,
            during: latencies(began, ended.max(began + DURING)),
            before,
        }
    }

    fn line(&self) -> String {
        let Self { failed, slow, requests, gone, promoted, .. } = self;
        format!("{failed} failed, {slow} slow, of {requests}; gone after {gone:?}, promoted: {promoted}")
    }
}

/// When requests are no longer hurt after the end of a rollout.
fn aftermath(samples: &[Sample], ended: Instant, hurt: impl Fn(&Sample) -> bool) -> Instant {
    let mut last = ended;
    for sample in samples.iter().filter(|sample| sample.due >= ended) {
        if sample.due > last + CALM {
            break;
        }
        if hurt(sample) {
            last = sample.due;
        }
    }
    last
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
    before: Vec<Duration>,
    during: Vec<Duration>,
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

    fn row(self, row: Row, checks: &mut Checks) -> Vec<String> {
        let name = format!("{}, {}/s", row.candidate.name, row.rate);
        let mut cell = |holds: bool, text: String, fault: &str| {
            checks.verdict(holds, format!("{name}: {fault}"));
            if holds { text } else { format!("**{text}**") }
        };
        let [before, during] = [self.before, self.during].map(|times| Latencies::from(times).percentile(990));
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
            format!("{:.2}", before.as_secs_f64() * 1e3),
            format!("{:.2}", during.as_secs_f64() * 1e3),
            cell(ratio <= MAX_RATIO, format!("{ratio:.2}"), "the p99 of the serving module was too long"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollouts::service::End;

    #[test]
    fn a_request_is_hurt_if_it_fails_or_is_slower_than_before() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let sample = |due, latency, status, version| Sample {
            due: at(due),
            latency: Duration::from_millis(latency),
            status,
            version,
        };
        let mut samples: Vec<_> = (0..100).map(|due| sample(due, 10, Some(200), Some(b'1'))).collect();
        samples.extend([
            sample(150, 99, Some(500), None),
            sample(201, 17, Some(200), Some(b'2')),
            sample(202, 18, Some(200), Some(b'2')),
            sample(203, 10, Some(404), Some(b'2')),
            sample(204, 0, None, None),
            sample(205, 20, Some(200), Some(b'1')),
            sample(500, 30, Some(200), Some(b'1')),
            sample(1400, 30, Some(200), Some(b'1')),
            sample(2401, 30, Some(200), Some(b'1')),
        ]);
        let end = End::RolledBack("slow".to_owned());
        let rollout = Rollout { began: at(200), ended: at(400), promoted: false, unproven: false, end };
        let figures = Figures::of(&samples, at(0), at(100), &rollout);
        // The limit is 10 ms × 1.5 + 2 ms.
        assert_eq!((figures.failed, figures.slow, figures.requests), (2, 4, 5));
        assert_eq!(figures.gone, Some(Duration::from_millis(200)));
        assert_eq!((figures.before.len(), figures.during.len()), (100, 4));
    }
}
