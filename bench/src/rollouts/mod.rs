//! `cargo xtask rollouts`: is a rollout fair to a good module and hard on a bad one?
//!
//! | file | contents |
//! |---|---|
//! | `request` | what the load requests |
//! | `behaviour` | components that differ only in how they behave |
//! | `disturbance` | what is no module's fault: bursts of processor use, outages of the store |
//! | `service` | a host, the modules pushed to it, and the events of its rollouts |
//! | `simulation` | the same rollouts, simulated |
//! | `null` | the null test: a module is replaced by itself |
//! | `candidate` | the modules of the power test |
//! | `figures` | what a rollout of the power test did to the requests |
//! | `power` | the power test: bad modules |
//!
//! Both tests look from outside: they push components to the release build of the host, and read its log for the outcome. So
//! they measure any program with the same commands and events.

mod behaviour;
mod candidate;
mod disturbance;
mod figures;
mod null;
mod power;
mod request;
mod service;
mod simulation;

use std::path::PathBuf;

use clap::Args;

use xtask::{command::TaskError, components, host, tools};

use self::{
    service::{Program, Terms},
    simulation::Simulator,
};
use crate::{
    checks::Checks,
    host::{build, empty_folder},
    machine, page,
};

/// The folder of both tests in the target folder: components, and the folders of the hosts with their logs.
const FOLDER: &str = "rollouts";
/// The share of a candidate, in percent: the host's default.
const SHARE: u32 = 10;
/// The same, as the option is written.
const CANARY: &str = "10%";

/// The introduction of the null test.
const NULL: &str = "### The same module again

Each rollout replaces a module by the same module with another hash, so that every rollback is a wrong one. Trial and watch
last 5 s each; the trial goes on for up to 20 s while there is too little evidence. **simulated**: the requests of the row,
replayed in thousands of rollouts in which chance decides which module receives each request, with the host's own verdict.
Where the store is disturbed, a latency there is at most the median: the rest is the store's, and only the host can tell.

";
/// The introduction of the power test.
const POWER: &str = "### Bad modules

Each rollout replaces a good module by a bad one. A request is sent when it is due, whatever the responses (an open loop), and
its latency counts from then.

- **hurt**: requests from the beginning of the trial until none was hurt for a second. A request is hurt if it failed, or if it
  took longer than 1.5 × the p99 before the rollout and 2 ms; as many as did so before are left out.
- **allowed**: the candidate's share of the requests, and 10. **of**: requests until the module was gone or had settled.
- **promoted**: includes modules that were rolled back later; **remained** does not.
- **simulated**: rollouts with the host's own verdict, under the load before the rollout.
- **p99**: of the module that served before, over the rollout or its first 10 s if it was shorter.

Bold: target missed. The first module is a good one: its row shows what the machine itself does.

";

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Make only the null test: a module is replaced by itself
    #[arg(long, conflicts_with = "power")]
    null: bool,
    /// Make only the power test: bad modules
    #[arg(long)]
    power: bool,
    /// Measure only rows whose name contains this text
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Rollouts of the null test, in all; 200 take about 15 minutes
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rollouts: u32,
    /// Hosts of the null test at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    hosts: u32,
    /// How often to measure each row of the power test
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// The loads of the power test, in requests per second
    #[arg(long, value_delimiter = ',', default_value = "200,20,1", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rates: Vec<u32>,
    /// --window of the power test [default: the host's own]
    #[arg(long, value_name = "WINDOW")]
    window: Option<String>,
    /// --watch of the power test [default: the host's own]
    #[arg(long, value_name = "TIME")]
    watch: Option<String>,
    /// --max-window of the power test [default: the host's own]
    #[arg(long, value_name = "TIME")]
    max_window: Option<String>,
    /// Simulated rollouts beside each row of the null test, and a twentieth of it beside each row of the power test; 0: none
    #[arg(long, default_value_t = 10_000, value_name = "COUNT")]
    simulations: u32,
    /// Measure this program as our host instead of building one. The simulations still have the verdict of the sources
    #[arg(long, value_name = "PROGRAM")]
    host: Option<PathBuf>,
    /// Replace the section about rollouts in docs/benchmarks.md
    #[arg(long)]
    write: bool,
}

impl Options {
    /// Whether to measure the row with this name.
    fn includes(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| name.contains(text))
    }

    /// The terms of a rollout in the power test.
    fn terms(&self) -> Terms {
        Terms { window: self.window.clone(), watch: self.watch.clone(), max_window: self.max_window.clone() }
    }
}

/// The program and the components to measure with.
struct Setup {
    program: Program,
    simulator: Option<Simulator>,
    orders: PathBuf,
    behaves: PathBuf,
}

impl Setup {
    fn prepare(options: &Options) -> Result<Self, TaskError> {
        check_tools()?;
        let (program, orders) = match &options.host {
            Some(program) => (program.clone(), components::orders()?),
            None => {
                let orders = build()?;
                (host::binary(), orders)
            }
        };
        let program = Program::at(&program)?;
        empty_folder(&format!("{FOLDER}/components"))?;
        let simulator = (options.simulations > 0).then(Simulator::build).transpose()?;
        Ok(Self { program, simulator, orders, behaves: components::fixture("behaves")? })
    }
}

fn check_tools() -> Result<(), TaskError> {
    let programs =
        [("util-linux", "setpriv", &["--version"][..]), ("sqlite3", "sqlite3", &["--version"][..])];
    tools::require("rollouts", "apt-get install util-linux sqlite3", &programs)
}

/// Makes the tests and prints the tables. Fails if a target is missed.
pub(crate) fn run(options: &Options) -> Result<(), TaskError> {
    let setup = Setup::prepare(options)?;
    let (load_average, mut checks) = (machine::load_average(), Checks::default());
    let mut section = format!("{}\n\n", page::ROLLOUTS);
    if !options.power {
        section += NULL;
        section += &null::run(options, &setup, &mut checks)?;
    }
    if !options.null {
        section += POWER;
        section += &terms_line(options);
        section += &power::run(options, &setup, &mut checks)?;
    }
    section += &command_line(options, &load_average);
    println!("\n{section}");
    if options.write {
        page::write_rollouts(&section)?;
    }
    checks.result()
}

/// The terms of the power test, for the page.
fn terms_line(options: &Options) -> String {
    let own = [("window", &options.window), ("watch", &options.watch), ("max-window", &options.max_window)];
    let own: Vec<_> =
        own.iter().filter_map(|(name, value)| Some(format!("`--{name} {}`", value.as_ref()?))).collect();
    let own = if own.is_empty() { String::new() } else { format!(", {}", own.join(", ")) };
    format!("Terms: `--canary {CANARY}`{own}, otherwise the host's defaults. Rounds: {}.\n\n", options.rounds)
}

/// How to repeat the measurement, and on which machine it was made.
fn command_line(options: &Options, load_average: &str) -> String {
    let Options { rollouts, hosts, rounds, rates, simulations, .. } = options;
    let rates: Vec<_> = rates.iter().map(u32::to_string).collect();
    format!(
        "### The run of the rollouts\n\n\
         - `cargo xtask rollouts --rollouts {rollouts} --hosts {hosts} --rounds {rounds} --rates {} \
         --simulations {simulations} --write`\n{}- The load average before: {load_average}\n",
        rates.join(","),
        machine::description()
    )
}

/// A number of requests or rollouts.
fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
