//! The command line: every option with its meaning, unit, default and environment variable.
//!
//! Nothing else reads the environment, except the fault injection of tests ([`fault`](crate::lifecycle::fault)). An invalid
//! value is rejected here, before anything is opened or bound.
//!
//! | file | what it does |
//! |---|---|
//! | `values` | types of option values: each is parsed once, and a value that exists is valid |
//! | `outbound` | `--allow-outbound`: a server that a component may send requests to |
//! | `store` | the location of the state |
//! | `trust` | which components are accepted: compiled ones, signed ones |
//! | `limits` | limits of a request and of a connection |
//! | `rollout` | how a module is checked, compared and promoted; the module folder |
//! | `token` | the tokens of operators |
//! | `admin` | the admin API: where it listens, and which tokens it accepts |
//! | `log` | what is logged: the filter, the format, the access log and the load balancers that it trusts |
//! | `serve` | `orders-host serve` |
//! | `commands` | `orders-host healthcheck`, `inspect` and `compile` |
//! | `module_terms` | how `orders-host module push` and `activate` roll a module out |
//! | `module_client` | `orders-host module push`, `activate`, `list`, `status` and `rollback` |
//! | `module` | the other `orders-host module` commands |
//! | `state` | `orders-host state` |
//! | `mistake` | a command line that cannot be understood, on one line; variables that no option reads |

mod admin;
mod commands;
mod limits;
mod log;
mod mistake;
mod module;
mod module_client;
mod module_terms;
mod outbound;
mod rollout;
mod serve;
mod state;
mod store;
mod token;
mod trust;
mod values;

use clap::{Parser, Subcommand};

pub use admin::{AdminConfig, AdminListen, MAX_SOCKET_PATH, socket_folder};
pub use commands::{CompileConfig, HealthcheckConfig, InspectConfig};
pub use limits::LimitsConfig;
pub use log::{AccessLines, LogConfig, LogFilter, LogFormat, TrustedProxies};
pub use mistake::{one_line, unknown_variables};
pub use module::{KeygenConfig, ModuleCommand, SignConfig, VerifyConfig};
pub use module_client::{ActivateConfig, ListConfig, PushConfig, RollbackConfig, StatusConfig};
pub use module_client::{AdminClientConfig, AdminTarget, HashPrefix};
pub use module_terms::{RolloutOptions, Until};
pub use outbound::{HTTP_PORT, OutboundServer};
pub use rollout::{ChecksConfig, ModuleDirConfig, OnUnproven, Share, TermsConfig, Window};
pub use serve::{ServeConfig, ShutdownConfig};
pub use state::{CheckConfig, ExportConfig, ImportConfig, Merge, StateCommand};
pub use store::{PostgresLocation, PostgresUrl, StoreConfig, StoreLocation, read_store_file};
pub use token::{Access, Token, TokenConfig, Tokens};
pub use trust::{Trust, TrustConfig, Trusted};
pub use values::{List, Period, Size, SmokeRequest, Threads};

/// Serves a wasi:http component and stores its state.
#[derive(Debug, Parser)]
#[command(
    name = "orders-host",
    version,
    max_term_width = 110,
    args_override_self = true,
    arg_required_else_help = false
)]
pub struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of the program.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a component over HTTP until SIGTERM or SIGINT
    ///
    /// SIGHUP reads the component from its file again. A component that passes every check is rolled out like a pushed one
    /// (see --canary); requests in flight finish on the module they started on. If a check fails, nothing changes and the
    /// log gives the reason.
    ///
    /// Exit code: 0 after an orderly shutdown, 1 if a request was cut or serving failed, 2 if the service could not start.
    Serve(Box<ServeConfig>),
    /// Check the health of a running service: exit code 0 if a GET request returns 200, otherwise 1
    Healthcheck(HealthcheckConfig),
    /// Show what a component imports and exports, and whether this host can run it
    ///
    /// Exit code: 0 if it can, 1 if it cannot, 2 if the file cannot be read or is not trusted.
    Inspect(InspectConfig),
    /// Compile a component ahead of time, so that `serve` does not have to
    ///
    /// The output is native code for this version of the program; `serve` and `inspect` accept it in place of the component
    /// with --trust-compiled. The component is first tried as `serve` tries it. An existing output file is replaced in one
    /// step, or stays unchanged.
    ///
    /// Exit code: 0 if the file was written, 1 if this host cannot run the component or the file cannot be written, 2 if
    /// the component cannot be read or compiled.
    Compile(CompileConfig),
    /// Replace the serving module, show the state of modules, roll back; create keys and sign components
    #[command(subcommand, arg_required_else_help = false)]
    Module(ModuleCommand),
    /// Move the state between stores of any kind: export it to a file, import it from one
    #[command(subcommand, arg_required_else_help = false)]
    State(StateCommand),
}
