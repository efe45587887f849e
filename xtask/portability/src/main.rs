//! `cargo xtask portability`: tests the component on other hosts, composed with an adapter of its store.
//!
//! | file | contents |
//! |---|---|
//! | `compose` | composes the orders component with each adapter, and checks the imports |
//! | `report` | the results, and their tables in docs/portability.md |
//! | `suite` | starts a host, and runs the test suite |
//! | `adapters` | tests adapters in `orders-adapter-host` |
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
mod jco;
mod languages;
mod rates;
mod report;
mod suite;
mod wasmtime;

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

use self::report::TestResult;

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
    /// Write the tables to docs/portability.md
    #[arg(long)]
    write: bool,
}

fn main() -> ExitCode {
    exit(match Cli::parse().task {
        Task::Portability(options) => test_everything(&options),
        Task::Compose => compose::all(),
        Task::Components => compose::all().and_then(|()| languages::components()),
        Task::Test => test_registry_hosts().map(drop),
    })
}

/// Runs all tests and prints the results.
fn test_everything(options: &Options) -> Result<(), TaskError> {
    if options.with_wasmtime_serve {
        wasmtime_cli::install_wasmtime()?;
    }
    let (python, mut results) = test_registry_hosts()?;
    if wasmtime_cli::wasmtime().exists() {
        wasmtime::test(&python, &mut results)?;
    } else {
        println!("wasmtime serve is not installed: --with-wasmtime-serve builds it");
    }
    let rates = match options.seconds.map(Duration::from_secs) {
        Some(time) => rates::measure(options.host.as_deref(), jco::install(&python)?, time)?,
        None => Vec::new(),
    };
    let tables = report::markdown(&results, &rates)?;
    println!("\n{tables}");
    if options.write { report::write(&tables) } else { Ok(()) }
}

/// Runs the tests that need only package registries; also returns the Python that ran them.
fn test_registry_hosts() -> Result<(PathBuf, Vec<TestResult>), TaskError> {
    compose::all()?;
    build_programs(&[HOST, adapters::HOST])?;
    let python = tools::python("contract-venv", &tools::requirements())?;
    // `compose` has checked the imports.
    let passed = "its imports are those that docs/portability.md lists for the host; not run, because no registry has the host";
    let compared = [("Spin 3", Adapter::Spin), ("wasmCloud", Adapter::Keyvalue)];
    let compared = compared.map(|(host, adapter)| TestResult { host, component: adapter.composed(), passed });
    let mut results = Vec::from(compared);
    adapters::test(&python, &mut results)?;
    results.push(jco::test(&python)?);
    results.push(test_wasmtime_for_python(&python)?);
    Ok((python, results))
}

fn test_wasmtime_for_python(python: &Path) -> Result<TestResult, TaskError> {
    suite::run_script(python, "wasmtime_python.py", |command| command.arg(Adapter::Memory.path()))?;
    let passed = "linked and instantiated; the package has no way to send it a request";
    Ok(TestResult { host: "wasmtime for Python", component: Adapter::Memory.composed(), passed })
}
