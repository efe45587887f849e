//! `cargo xtask portability`: the component, composed with an adapter of its store, in hosts of others.
//!
//! The suite is `tests/contract/http_lint.py`, the one that our own host is held to; what is otherwise in a host stands there, by
//! name and with its reason. Hosts that cannot be had here are looked at as far as that goes: what the component imports
//! must be what they say they have, and it is run in a small host of our own with the same interfaces.
//!
//! What package registries have is part of `cargo xtask test`. `wasmtime serve` takes long to build, and is not.

mod adapters;
mod hello;
mod jco;
mod rates;
mod report;
mod serving;
mod wasmtime;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use clap::Args;

use crate::{
    bench,
    command::{Failed, cargo, failed, run},
    compose::{self, Composed, Kind},
    process::Process,
    target, tools, workspace,
};

use self::{report::Row, serving::Serving};

/// How long the suite may take in one host.
const SUITE: Duration = Duration::from_secs(120);

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
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

/// Runs all that can be run, and prints what passed.
///
/// # Errors
///
/// [`Failed`] with the first that does not do what it should.
pub(crate) fn run_all(options: &Options) -> Result<(), Failed> {
    if options.with_wasmtime_serve {
        bench::install_wasmtime()?;
    }
    let Everywhere { python, composed, mut rows } = everywhere()?;
    if bench::wasmtime().exists() {
        wasmtime::check(&python, &mut rows)?;
        rows.push(hello::check()?);
    } else {
        println!("wasmtime serve is not here: --with-wasmtime-serve builds it");
    }
    let rates = options.seconds.map(|seconds| {
        rates::measure(options.host.as_deref(), jco::command(&python)?, Duration::from_secs(seconds))
    });
    let table = report::markdown(&rows, &composed, rates.transpose()?.as_deref())?;
    println!("\n{table}");
    if options.write { report::write(&table) } else { Ok(()) }
}

/// The part for which package registries have everything.
///
/// # Errors
///
/// [`Failed`] with the first that does not do what it should.
pub(crate) fn test() -> Result<(), Failed> {
    everywhere().map(drop)
}

/// What came of that part, and what it was done with.
struct Everywhere {
    python: PathBuf,
    composed: Vec<Composed>,
    rows: Vec<Row>,
}

fn everywhere() -> Result<Everywhere, Failed> {
    let composed = compose::all()?;
    // The whole workspace, as for `serve`.
    run(&mut cargo(["build", "--workspace", "--bins", "--locked"]))?;
    let python = tools::python("contract-venv", &tools::requirements())?;
    let mut rows = structural();
    adapters::check(&python, &mut rows)?;
    rows.push(jco::check(&python)?);
    rows.push(in_python(&python)?);
    Ok(Everywhere { python, composed, rows })
}

/// What only the imports say; `compose` has looked at them.
fn structural() -> Vec<Row> {
    let what = "its imports are those that docs/portability.md names for the host; not run: it cannot be had from a registry";
    vec![Row::new("Spin 3", Kind::Spin.file(), what), Row::new("wasmCloud", Kind::Keyvalue.file(), what)]
}

fn in_python(python: &Path) -> Result<Row, Failed> {
    let mut script = Command::new(python);
    script.arg("-B").arg(workspace().join("tests/contract/wasmtime_python.py")).arg(path(Kind::Memory));
    Process::run(&mut script, SUITE)?;
    let what = "linked and instantiated; the package has no way to ask it";
    Ok(Row::new("wasmtime for Python", Kind::Memory.file(), what))
}

/// The suite, with what it expects of this host.
fn suite(python: &Path, serving: &Serving, host: &str) -> Result<(), Failed> {
    let mut command = Command::new(python);
    command.arg("-B").arg(workspace().join("tests/contract/http_lint.py"));
    command.arg(format!("http://{}", serving.address)).arg(host).env("NO_PROXY", "127.0.0.1");
    Process::run(&mut command, SUITE)
}

/// An empty folder of this name.
fn fresh(name: &str) -> Result<PathBuf, Failed> {
    let folder = target().join("portability").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
    Ok(folder)
}

fn path(kind: Kind) -> PathBuf {
    target().join("components").join(kind.file())
}
