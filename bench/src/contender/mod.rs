//! The contenders, and how each is started.
//!
//! | file | contents |
//! |---|---|
//! | `programs` | the contenders' programs |
//! | `setup` | builds the contenders, and records which are not available |
//! | `usage` | memory and processor time of a running contender |
//! | `wrk` | the load generator |

pub(crate) mod programs;
pub(crate) mod setup;
pub(crate) mod usage;
pub(crate) mod wrk;

use std::{fmt, path::Path, process::Command};

use clap::ValueEnum;

use orders_bench::wasmtime_cli::wasmtime;
use xtask::host;

use self::programs::{Programs, compiled, gin, native};

/// Each contender's connections to PostgreSQL.
pub(crate) const STORE_CONNECTIONS: &str = "8";
/// The number of requests after which a reused instance is discarded.
const REUSE: &str = "1000";

/// An implementation of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Contender {
    /// The same handlers without a sandbox, behind axum: the upper limit
    Native,
    /// The same service in Go
    Gin,
    /// The same component in the stock host with its defaults
    WasmtimeServe,
    /// Our host: a fresh instance for every request
    Host,
    /// Our host: instances that serve many requests
    HostReuse,
}

impl Contender {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::value_variants().iter().copied()
    }

    /// The name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native axum",
            Self::Gin => "Gin",
            Self::WasmtimeServe => "wasmtime serve",
            Self::Host => "orders-host",
            Self::HostReuse => "orders-host, reuse",
        }
    }

    /// The command that starts it on a free port with a store: `memory:`, `sqlite:PATH` or a URL of PostgreSQL. For the
    /// stores that each supports, see [`Workload::suits`](crate::compare::workload::Workload::suits).
    pub(crate) fn command(self, programs: &Programs, store: &str) -> Command {
        let listen = ["--listen", "127.0.0.1:0"];
        match self {
            Self::Native => {
                let mut command = Command::new(native());
                command.args(listen).args(["--store", store]);
                command
            }
            Self::Gin => {
                let mut command = Command::new(gin());
                command.args(listen);
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

/// A cold start of a contender, with orders in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Start {
    Native,
    Gin,
    /// The host compiles the component.
    WasmtimeServe,
    /// The host loads the compiled component from its cache.
    WasmtimeServeCached,
    /// The host compiles the component.
    Host,
    /// The host loads a component that was compiled ahead of time.
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

    /// The contender that starts, and the name in tables.
    fn parameters(self) -> (Contender, &'static str) {
        match self {
            Self::Native => (Contender::Native, "native axum"),
            Self::Gin => (Contender::Gin, "Gin"),
            Self::WasmtimeServe => (Contender::WasmtimeServe, "wasmtime serve, compiling"),
            Self::WasmtimeServeCached => (Contender::WasmtimeServe, "wasmtime serve, from its cache"),
            Self::Host => (Contender::Host, "orders-host, compiling"),
            Self::HostAhead => (Contender::Host, "orders-host, compiled ahead of time"),
        }
    }

    pub(crate) fn contender(self) -> Contender {
        self.parameters().0
    }

    pub(crate) fn name(self) -> &'static str {
        self.parameters().1
    }

    /// The command that starts it.
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

/// Our host as it ships: with the component compiled ahead of time.
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
