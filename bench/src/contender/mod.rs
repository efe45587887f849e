//! Who takes part, and how each is started.
//!
//! | file | what it does |
//! |---|---|
//! | `programs` | the programs that take part |
//! | `setup` | builds what takes part, and finds out what cannot |
//! | `usage` | memory and processor time of a running contender |
//! | `wrk` | the load generator |

pub(crate) mod programs;
pub(crate) mod setup;
pub(crate) mod usage;
pub(crate) mod wrk;

use std::{fmt, path::Path, process::Command};

use clap::ValueEnum;

use orders_bench::wasmtime_cli::wasmtime;
use xtask::{command::Failed, host, process::Group, serving::Serving};

use self::programs::{Programs, compiled, gin, native};

/// Connections to PostgreSQL, of each contender.
pub(crate) const STORE_CONNECTIONS: &str = "8";
/// After how many requests a reused instance is thrown away.
const REUSE: &str = "1000";

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Contender {
    /// The same handlers without a sandbox, behind axum: the limit
    Native,
    /// The same service in Go
    Gin,
    /// The same component in the stock host, as it comes
    WasmtimeServe,
    /// Our host: a fresh instance for every request
    Host,
    /// Our host: instances that serve many requests
    HostReuse,
}

impl Contender {
    pub(crate) const ALL: [Self; 5] =
        [Self::Native, Self::Gin, Self::WasmtimeServe, Self::Host, Self::HostReuse];

    /// How the tables call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native axum",
            Self::Gin => "Gin",
            Self::WasmtimeServe => "wasmtime serve",
            Self::Host => "orders-host",
            Self::HostReuse => "orders-host, reuse",
        }
    }

    /// What starts it on a free port over a store, `memory:`, `sqlite:PATH` or a URL of PostgreSQL. Not all know all:
    /// see [`Workload::suits`](crate::compare::measure::Workload::suits).
    pub(crate) fn command(self, programs: &Programs, store: &str) -> Command {
        match self {
            Self::Native => {
                let mut command = Command::new(native());
                command.args(["--listen", "127.0.0.1:0", "--store", store]);
                command
            }
            Self::Gin => {
                let mut command = Command::new(gin());
                command.args(["--listen", "127.0.0.1:0"]);
                if store.starts_with("postgres:") {
                    command.args(["--store", store, "--store-connections", STORE_CONNECTIONS]);
                }
                command
            }
            Self::WasmtimeServe => wasmtime_serve(programs, &[]),
            Self::Host => serve_compiled(programs, store),
            Self::HostReuse => {
                let mut command = serve_compiled(programs, store);
                command.args(["--instance-reuse", REUSE]);
                command
            }
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A way to start from nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Start {
    /// The process is all there is.
    Native,
    /// The same.
    Gin,
    /// Compiles the component first.
    WasmtimeServe,
    /// Finds the component in its cache of compiled ones.
    WasmtimeServeCached,
    /// Compiles the component first.
    Host,
    /// Loads a component that was compiled ahead of time.
    HostAhead,
}

impl Start {
    pub(crate) const ALL: [Self; 6] = [
        Self::Native,
        Self::Gin,
        Self::WasmtimeServe,
        Self::WasmtimeServeCached,
        Self::Host,
        Self::HostAhead,
    ];

    /// Who starts.
    pub(crate) fn contender(self) -> Contender {
        match self {
            Self::Native => Contender::Native,
            Self::Gin => Contender::Gin,
            Self::WasmtimeServe | Self::WasmtimeServeCached => Contender::WasmtimeServe,
            Self::Host | Self::HostAhead => Contender::Host,
        }
    }

    /// How the tables call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native | Self::Gin => self.contender().name(),
            Self::WasmtimeServe => "wasmtime serve, compiling",
            Self::WasmtimeServeCached => "wasmtime serve, from its cache",
            Self::Host => "orders-host, compiling",
            Self::HostAhead => "orders-host, compiled ahead of time",
        }
    }

    /// What starts it, with orders in memory.
    pub(crate) fn command(self, programs: &Programs) -> Command {
        match self {
            Self::Native | Self::Gin | Self::HostAhead => self.contender().command(programs, "memory:"),
            Self::Host => serve(programs, &programs.component, "memory:"),
            Self::WasmtimeServe => wasmtime_serve(programs, &["-C", "cache=n"]),
            Self::WasmtimeServeCached => wasmtime_serve(programs, &["-C", "cache=y"]),
        }
    }
}

fn serve(programs: &Programs, component: &Path, store: &str) -> Command {
    let mut command = Command::new(&programs.host);
    host::serve(&mut command, component, store);
    command
}

/// As it is shipped: the component compiled ahead of time.
fn serve_compiled(programs: &Programs, store: &str) -> Command {
    let mut command = serve(programs, &compiled(), store);
    command.args(["--trust-compiled", "--store-connections", STORE_CONNECTIONS]);
    command
}

fn wasmtime_serve(programs: &Programs, options: &[&str]) -> Command {
    let mut command = Command::new(wasmtime());
    command.arg("serve").args(options).args(["--addr", "127.0.0.1:0"]).arg(&programs.portable);
    command
}

/// Starts a contender and waits until it says where it listens.
///
/// # Errors
///
/// [`Failed`] if it does not.
pub(crate) fn start(command: &mut Command) -> Result<Serving, Failed> {
    Serving::start(command, Group::Ours, |_| ())
}
