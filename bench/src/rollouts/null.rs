//! The null test: a module is replaced by itself, with another hash, again and again. Every rollback is a wrong one.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::Duration,
};

use orders_bench::{load::Latencies, postgres::Server};
use xtask::{command::TaskError, components::another_version, target};

use super::{
    FOLDER, Options, Setup, behaviour, count,
    disturbance::Disturbance,
    request::Request,
    service::{End, Rollout, Service, Store, Terms, database},
    simulation::Outcomes,
};
use crate::{
    checks::Checks,
    table::Table,
    traffic::{Sample, Schedule, Traffic},
};

/// The length of the trial and of the watch.
const WINDOW: &str = "5s";
/// How long a trial without enough evidence may last.
const MAX_WINDOW: &str = "20s";
/// How long a rollout may last: all of these, and preparing the module on a busy machine.
const LIMIT: Duration = Duration::from_secs(5 + 20 + 5 + 60);
/// The bound of rollbacks, in percent.
const MAX_ROLLED_BACK: f64 = 1.0;
/// The most reasons of rollbacks that a row shows.
const REASONS: usize = 2;

/// What the service goes through during the rollouts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scenario {
    Steady,
    Processor,
    Outage,
    Lock,
    Sparse,
    Spikes,
}

impl Scenario {
    const ALL: [Self; 6] =
        [Self::Steady, Self::Processor, Self::Outage, Self::Lock, Self::Sparse, Self::Spikes];

    fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady load",
            Self::Processor => "bursts of processor use",
            Self::Outage => "PostgreSQL is restarted",
            Self::Lock => "SQLite is locked",
            Self::Sparse => "1 request/s",
            Self::Spikes => "bursts of load",
        }
    }

    fn schedule(self) -> Schedule {
        match self {
            Self::Steady | Self::Processor | Self::Outage | Self::Lock => Schedule::Steady(200),
            Self::Sparse => Schedule::Steady(1),
            Self::Spikes => Schedule::Spikes { calm: 20, spike: 1_000 },
        }
    }

    /// The load, for people.
    fn load(self) -> String {
        match self.schedule() {
            Schedule::Steady(rate) => format!("{rate}/s"),
            Schedule::Spikes { calm, spike } => format!("{calm}/s, {spike}/s"),
        }
    }

    /// The orders component is used where the store matters.
    fn request(self) -> Request {
        if matches!(self, Self::Outage | Self::Lock) { Request::CreateOrder } else { Request::Get }
    }
}

/// Measures every scenario; returns the table.
pub(super) fn run(options: &Options, setup: &Setup, checks: &mut Checks) -> Result<String, TaskError> {
    let scenarios: Vec<_> =
        Scenario::ALL.into_iter().filter(|scenario| options.includes(scenario.name())).collect();
    let each = options.rollouts.div_ceil(u32::try_from(scenarios.len()).unwrap_or(u32::MAX).max(1));
    let mut table = Table::new([
        "the same module again",
        "load",
        "rollouts",
        "rolled back",
        "unproven",
        "simulated: rolled back",
        "unproven",
        "reasons",
    ]);
    let mut all = Vec::new();
    for scenario in scenarios {
        let mut measured = measure(scenario, options.hosts.min(each), each, setup)?;
        if scenario.request() == Request::CreateOrder {
            measured.requests = without_waits(measured.requests);
        }
        let simulated = setup.simulator.as_ref().map(|simulator| {
            simulator.run(
                options.simulations,
                &measured.requests,
                scenario.request().success(),
                &terms(),
                &[],
            )
        });
        let row = row(scenario.name(), scenario.load(), &measured.rollouts, simulated.transpose()?);
        eprintln!("{}", row.join("  "));
        table.row(row);
        all.extend(measured.rollouts);
    }
    let mut total = row("all", String::new(), &all, None);
    total.pop();
    table.row(total);
    let rolled_back = 100.0 * count(reasons(&all).len()) / count(all.len()).max(1.0);
    let fault = format!("{rolled_back:.1} % of the rollouts of the same module were rolled back");
    let verdict = checks.verdict(rolled_back <= MAX_ROLLED_BACK, fault);
    Ok(format!("{}Rolled back: {rolled_back:.1} %; ≤ {MAX_ROLLED_BACK} %: {verdict}.\n\n", table.markdown()))
}

fn row(name: &str, load: String, rollouts: &[Rollout], simulated: Option<Outcomes>) -> Vec<String> {
    let reasons = reasons(rollouts);
    let unproven = rollouts.iter().filter(|rollout| rollout.unproven).count();
    let mut shown = reasons.iter().take(REASONS).copied().collect::<Vec<_>>().join("; ");
    if reasons.len() > REASONS {
        shown += &format!("; and {} more", reasons.len() - REASONS);
    }
    let counts = [rollouts.len(), reasons.len(), unproven].map(|count| count.to_string());
    let simulated = simulated.map_or([String::new(), String::new()], |simulated| {
        [format!("{:.2} %", simulated.rolled_back), format!("{:.0} %", simulated.unproven)]
    });
    [vec![name.to_owned(), load], counts.to_vec(), simulated.to_vec(), vec![shown]].concat()
}

/// Why modules were rolled back.
fn reasons(rollouts: &[Rollout]) -> Vec<&str> {
    rollouts.iter().filter_map(|rollout| rollout.end.reason()).collect()
}

/// The terms of every rollout.
fn terms() -> Terms {
    Terms {
        window: Some(WINDOW.to_owned()),
        watch: Some(WINDOW.to_owned()),
        max_window: Some(MAX_WINDOW.to_owned()),
    }
}

/// The rollouts of a scenario, and the requests of each host.
#[derive(Default)]
struct Measured {
    rollouts: Vec<Rollout>,
    requests: Vec<Vec<Sample>>,
}

/// The requests, with latencies that are at most the median. For the time that a request waits for the store is not the
/// module's, and only the host can tell it from the rest.
fn without_waits(mut requests: Vec<Vec<Sample>>) -> Vec<Vec<Sample>> {
    let latencies: Vec<_> = requests.iter().flatten().map(|sample| sample.latency).collect();
    let median = Latencies::from(latencies).percentile(500);
    for sample in requests.iter_mut().flatten() {
        sample.latency = sample.latency.min(median);
    }
    requests
}

/// Rolls out on some hosts at once, until there were enough rollouts.
fn measure(scenario: Scenario, hosts: u32, rollouts: u32, setup: &Setup) -> Result<Measured, TaskError> {
    let folder = target().join(FOLDER).join("components");
    let versions = match scenario.request() {
        Request::CreateOrder => {
            [another_version(&setup.orders, 1, &folder)?, another_version(&setup.orders, 2, &folder)?]
        }
        Request::Get => [
            behaviour::write(&setup.behaves, '1', "", &folder)?,
            behaviour::write(&setup.behaves, '2', "", &folder)?,
        ],
    };
    let name = |number: u32| format!("null-{number}");
    let (store, disturbance) = match scenario {
        Scenario::Outage => {
            let server = Server::start(None)?;
            (Store::Postgres(server.fresh_database()?), Disturbance::Outage(Box::new(server)))
        }
        Scenario::Lock => {
            let database = |number| database(&target().join(FOLDER).join(name(number)));
            (Store::Sqlite, Disturbance::Lock((0..hosts).map(database).collect()))
        }
        Scenario::Processor => (Store::Memory, Disturbance::Processor),
        Scenario::Steady | Scenario::Sparse | Scenario::Spikes => (Store::Memory, Disturbance::None),
    };
    let mut services = Vec::new();
    for number in 0..hosts {
        let [first, second] = &versions;
        let mut service = Service::start(&setup.program, second, &store, &name(number))?;
        // From here on the code of both versions is stored.
        service.swap(first)?;
        services.push(service);
    }
    let (left, done) = (AtomicU32::new(rollouts), AtomicBool::new(false));
    thread::scope(|scope| {
        let disturbing = scope.spawn(|| disturbance.run(&done));
        let running: Vec<_> = services
            .into_iter()
            .zip(1..)
            .map(|(service, seed)| {
                let (left, versions) = (&left, &versions);
                scope.spawn(move || roll_out(service, scenario, seed, versions, left))
            })
            .collect();
        let mut measured = Measured::default();
        let panicked = |_| Err(TaskError("a rollout panicked".to_owned()));
        let ended: Vec<_> = running.into_iter().map(|host| host.join().unwrap_or_else(panicked)).collect();
        done.store(true, Ordering::Relaxed);
        disturbing.join().map_err(|_| TaskError("the disturbance panicked".to_owned()))??;
        for ended in ended {
            let (rollouts, requests) = ended?;
            measured.rollouts.extend(rollouts);
            measured.requests.push(requests);
        }
        Ok(measured)
    })
}

/// Replaces each version by the other one under load, as long as rollouts are left.
fn roll_out(
    mut service: Service,
    scenario: Scenario,
    seed: u64,
    [first, second]: &[PathBuf; 2],
    left: &AtomicU32,
) -> Result<(Vec<Rollout>, Vec<Sample>), TaskError> {
    let traffic = Traffic::start(
        service.address(),
        scenario.request().text(service.address()),
        scenario.schedule(),
        seed,
    );
    let (mut serving, mut other) = (first, second);
    let mut rollouts = Vec::new();
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        let rollout = service.roll_out(other, &terms(), LIMIT)?;
        if rollout.end == End::Settled {
            std::mem::swap(&mut serving, &mut other);
        }
        rollouts.push(rollout);
    }
    Ok((rollouts, traffic.stop()?))
}
