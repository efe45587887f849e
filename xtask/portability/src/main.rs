//! `cargo xtask portability`: tests the component on other hosts, composed with an adapter of its store.
//!
//! | file | contents |
//! |---|---|
//! | `compose` | composes the orders component with each adapter, and checks the imports |
//! | `growth` | measures a store that grows |
//! | `report` | the results, and their tables in docs/portability.md |
//! | `suite` | starts a host, and runs the test suite |
//! | `adapters` | tests adapters in `orders-adapter-host` |
//! | `writers` | the same with many writers, a host that is killed, and buckets like those of real hosts |
//! | `jco` | tests `jco serve` |
//! | `languages` | builds test components in other languages |
//! | `wasmtime` | tests `wasmtime serve`, and compares it with our host |
//! | `rates` | measures how fast each host is |
//!
//! Every host must pass `tests/contract/http_lint.py`, as our own host does; a table there lists where a host differs, with
//! the reason. For hosts that cannot be installed here, the imports of the component are compared with the interfaces that
//! the host documents, and the component runs in a small host of our own with the same interfaces.
//!
//! `cargo xtask test` runs everything that package registries provide. `wasmtime serve` is not part of it, because it takes
//! long to build.

mod adapters;
mod compose;
mod growth;
mod jco;
mod languages;
mod rates;
mod report;
mod suite;
mod wasmtime;
mod writers;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};

use orders_bench::wasmtime_cli;
use xtask::{
    adapters::Adapter,
    command::{TaskError, build_programs, exit},
    host::HOST,
    tools,
};

use self::{
    report::TestResult,
    writers::{Effort, Outcome},
};

/// Tests the component on other hosts
#[derive(Parser)]
#[command(bin_name = "xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the component for other hosts, and run it on those that can be installed
    Portability(Options),
    /// Compose the component with each adapter, into target/components
    #[command(hide = true)]
    Compose,
    /// Build the components that tests need: the composed ones, and those in other languages
    #[command(hide = true)]
    Components,
    /// Run the component on the hosts from package registries
    #[command(hide = true)]
    Test,
    /// Run only the writers, over the components in target/components
    #[command(hide = true)]
    Writers(Writers),
    /// Measure only how a store grows
    #[command(hide = true)]
    Growth {
        /// The component, which keeps orders in a bucket
        component: PathBuf,
        /// The numbers of orders
        #[arg(default_values_t = growth::ORDERS)]
        orders: Vec<u32>,
    },
}

#[derive(Args)]
struct Options {
    /// Build wasmtime-cli first, if it is missing: this takes some minutes; the program is stored outside target/
    #[arg(long)]
    with_wasmtime_serve: bool,
    /// Also measure: each host creates orders for this many seconds, five times
    #[arg(long)]
    seconds: Option<u64>,
    /// Measure this program as our host, instead of the release build in target/
    #[arg(long, value_name = "PROGRAM", requires = "seconds")]
    host: Option<PathBuf>,
    #[command(flatten)]
    writers: Writers,
    /// Also measure a store with up to 10 000 orders: this takes some minutes
    #[arg(long)]
    growth: bool,
    /// Write the tables to docs/portability.md
    #[arg(long)]
    write: bool,
}

/// How much the writers do
#[derive(Args)]
struct Writers {
    /// How long the writers write in each mode of a bucket, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = Effort::SHORT.time.as_secs())]
    writers_seconds: u64,
    /// How often their host is killed meanwhile
    #[arg(long, value_name = "COUNT", default_value_t = Effort::SHORT.kills)]
    writers_kills: u32,
}

impl Writers {
    fn effort(&self) -> Effort {
        Effort { time: Duration::from_secs(self.writers_seconds), kills: self.writers_kills }
    }
}

fn main() -> ExitCode {
    exit(match Cli::parse().task {
        Task::Portability(options) => test_everything(&options),
        Task::Compose => compose::all(),
        Task::Components => compose::all().and_then(|()| languages::components()),
        Task::Test => test_registry_hosts(Effort::SHORT).map(drop),
        Task::Writers(writers) => {
            build_programs(&[adapters::HOST]).and_then(|()| writers::run_all(writers.effort())).map(drop)
        }
        Task::Growth { component, orders } => {
            build_programs(&[adapters::HOST]).and_then(|()| growth::measure(&component, &orders)).map(drop)
        }
    })
}

/// Runs all tests and prints the results.
fn test_everything(options: &Options) -> Result<(), TaskError> {
    if options.with_wasmtime_serve {
        wasmtime_cli::install_wasmtime()?;
    }
    let Tested { python, mut results, outcomes } = test_registry_hosts(options.writers.effort())?;
    if wasmtime_cli::wasmtime().exists() {
        wasmtime::test(&python, &mut results)?;
    } else {
        println!("wasmtime serve is not installed: --with-wasmtime-serve builds it");
    }
    let rates = match options.seconds.map(Duration::from_secs) {
        Some(time) => rates::measure(options.host.as_deref(), jco::install(&python)?, time)?,
        None => Vec::new(),
    };
    let sizes =
        if options.growth { growth::measure(&Adapter::Spin.path(), &growth::ORDERS)? } else { Vec::new() };
    let tables = report::markdown(&results, &outcomes, &sizes, &rates)?;
    println!("\n{tables}");
    if options.write { report::write(&tables) } else { Ok(()) }
}

/// What the tests have found.
struct Tested {
    /// The Python that ran them.
    python: PathBuf,
    results: Vec<TestResult>,
    outcomes: Vec<Outcome>,
}

/// Runs the tests that need only package registries.
fn test_registry_hosts(effort: Effort) -> Result<Tested, TaskError> {
    compose::all()?;
    build_programs(&[HOST, adapters::HOST])?;
    let python = tools::python("contract-venv", &tools::requirements())?;
    // `compose` has checked the imports.
    let passed = "its imports are those that docs/portability.md lists for the host; not run, because no registry has the host";
    let compared = [("Spin", Adapter::Spin), ("wasmCloud", Adapter::Keyvalue)];
    let compared = compared.map(|(host, adapter)| TestResult { host, component: adapter.composed(), passed });
    let mut results = Vec::from(compared);
    adapters::test(&python, &mut results)?;
    let outcomes = writers::run_all(effort)?;
    results.push(jco::test(&python)?);
    results.push(test_wasmtime_for_python(&python)?);
    Ok(Tested { python, results, outcomes })
}

fn test_wasmtime_for_python(python: &Path) -> Result<TestResult, TaskError> {
    suite::run_script(python, "wasmtime_python.py", |command| command.arg(Adapter::Memory.path()))?;
    let passed = "linked and instantiated; the package has no way to send it a request";
    Ok(TestResult { host: "wasmtime for Python", component: Adapter::Memory.composed(), passed })
}
