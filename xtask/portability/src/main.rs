//! `cargo xtask portability`: the component, composed with an adapter of its store, in hosts of others.
//!
//! The suite is `tests/contract/http_lint.py`, the one that our own host is held to; what is otherwise in a host stands there, by
//! name and with its reason. Hosts that cannot be had here are looked at as far as that goes: what the component imports
//! must be what they say they have, and it is run in a small host of our own with the same interfaces.
//!
//! What package registries have is part of `cargo xtask test`. `wasmtime serve` takes long to build, and is not.

mod adapters;
mod compose;
mod hello;
mod jco;
mod languages;
mod rates;
mod report;
mod results;
mod suite;
mod wasmtime;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use clap::{Args, Parser, Subcommand};

use orders_bench::wasmtime_cli;
use xtask::{
    adapters::Adapter,
    command::{Failed, build_programs, exit},
    host::HOST,
    process::Process,
    tools, workspace,
};

use self::{results::Row, suite::SUITE};

/// The component in other hosts.
#[derive(Parser)]
#[command(bin_name = "xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the component for hosts of others, and run it in those that can be had
    Portability(Options),
    /// Compose the component with each adapter, into target/components
    #[command(hide = true)]
    Compose,
    /// Build the components that tests need: the composed ones, and those of other languages
    #[command(hide = true)]
    Components,
    /// Run the component in the hosts that package registries have
    #[command(hide = true)]
    Test,
}

/// What to run.
#[derive(Args)]
struct Options {
    /// Build wasmtime-cli first, if it is not there: takes some minutes, and is kept outside target/
    #[arg(long)]
    with_wasmtime_serve: bool,
    /// Measure, too: each host answers creates for so many seconds, five times
    #[arg(long)]
    seconds: Option<u64>,
    /// Measure this program as our host, rather than the release build that is there
    #[arg(long, value_name = "PROGRAM", requires = "seconds")]
    host: Option<PathBuf>,
    /// Write docs/portability.md's table
    #[arg(long)]
    write: bool,
}

fn main() -> ExitCode {
    exit(match Cli::parse().task {
        Task::Portability(options) => run_all(&options),
        Task::Compose => compose::all(),
        Task::Components => compose::all().and_then(|()| languages::components()),
        Task::Test => everywhere().map(drop),
    })
}

/// Runs all that can be run, and prints what passed.
///
/// # Errors
///
/// [`Failed`] with the first that does not do what it should.
fn run_all(options: &Options) -> Result<(), Failed> {
    if options.with_wasmtime_serve {
        wasmtime_cli::install_wasmtime()?;
    }
    let (python, mut rows) = everywhere()?;
    if wasmtime_cli::wasmtime().exists() {
        wasmtime::check(&python, &mut rows)?;
        rows.push(hello::check()?);
    } else {
        println!("wasmtime serve is not here: --with-wasmtime-serve builds it");
    }
    let rates = options.seconds.map(|seconds| {
        rates::measure(options.host.as_deref(), jco::command(&python)?, Duration::from_secs(seconds))
    });
    let table = report::markdown(&rows, rates.transpose()?.as_deref())?;
    println!("\n{table}");
    if options.write { report::write(&table) } else { Ok(()) }
}

/// The part for which package registries have everything; gives the Python that it was done with, too.
///
/// # Errors
///
/// [`Failed`] with the first that does not do what it should.
fn everywhere() -> Result<(PathBuf, Vec<Row>), Failed> {
    compose::all()?;
    build_programs(&[HOST, adapters::HOST])?;
    let python = tools::python("contract-venv", &tools::requirements())?;
    let mut rows = structural();
    adapters::check(&python, &mut rows)?;
    rows.push(jco::check(&python)?);
    rows.push(in_python(&python)?);
    Ok((python, rows))
}

/// What only the imports say; `compose` has looked at them.
fn structural() -> Vec<Row> {
    let what = "its imports are those that docs/portability.md names for the host; not run: it cannot be had from a registry";
    vec![
        Row::new("Spin 3", Adapter::Spin.composed(), what),
        Row::new("wasmCloud", Adapter::Keyvalue.composed(), what),
    ]
}

fn in_python(python: &Path) -> Result<Row, Failed> {
    let mut script = Command::new(python);
    script.arg("-B").arg(workspace().join("tests/contract/wasmtime_python.py")).arg(Adapter::Memory.path());
    Process::run(&mut script, SUITE)?;
    let what = "linked and instantiated; the package has no way to ask it";
    Ok(Row::new("wasmtime for Python", Adapter::Memory.composed(), what))
}
