//! Every option of the program: what it means, its unit, its default and its environment variable.
//!
//! Nothing else reads the environment, except the faults that tests ask for ([`fault`](crate::lifecycle::fault)). A value
//! that cannot be right is rejected here, before anything is opened or bound.
//!
//! | file | what it does |
//! |---|---|
//! | `values` | the types of option values: each is parsed once, and one that exists is valid |
//! | `outbound` | `--allow-outbound`: a server that a component may send requests to |
//! | `store` | where the state is kept |
//! | `swaps` | how a module replaces another one, and the operators' listener |
//! | `operator` | the commands that ask a running service: `module push`, `list`, `status`, `rollback` |
//! | `module` | the other `module` commands, and the module folder |
//! | `state` | `orders-host state` |

mod module;
mod operator;
mod outbound;
mod state;
mod store;
mod swaps;
mod values;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use module::{KeygenConfig, ModuleCommand, ModuleDirConfig, SignConfig, VerifyConfig};
pub use operator::{AdminUrl, AskConfig, HashPrefix, ListConfig, PushConfig, RollbackConfig, StatusConfig};
pub use outbound::{HTTP_PORT, OutboundServer};
pub use state::{ExportConfig, ImportConfig, Merge, StateCommand};
pub use store::{PostgresLocation, PostgresUrl, StoreConfig, StoreLocation, read as read_store_file};
pub use swaps::{AdminAddress, AdminConfig, Share, TermsConfig, Token, TokenConfig, Window};
use values::timeout;
pub use values::{Period, Size, SmokeRequest, Threads};

/// Serves a wasi:http component and keeps its state.
#[derive(Debug, Parser)]
#[command(
    name = "orders-host",
    version,
    max_term_width = 110,
    args_override_self = true,
    arg_required_else_help = false
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of the program.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a component over HTTP until SIGTERM or SIGINT
    ///
    /// SIGHUP reads the component again from its file and, once it has passed every check, serves it to all requests
    /// that follow; those under way end on the one they began on. A component that fails a check changes nothing: the
    /// log says why.
    ///
    /// Exit code: 0 after an orderly shutdown, 1 if a request had to be cut or the serving failed, 2 if it
    /// could not start.
    Serve(Box<ServeConfig>),
    /// Ask a running service for its health: exit code 0 if GET answers 200, else 1
    Healthcheck(HealthcheckConfig),
    /// Show what a component imports and exports, and whether this host would run it
    ///
    /// Exit code: 0 if it would, 1 if it would not, 2 if the file cannot be read or is not trusted.
    Inspect(InspectConfig),
    /// Compile a component ahead of time, so that `serve` need not
    ///
    /// The file that is written is native code for one version of this program; `serve` and `inspect` take it in
    /// place of the component, with --trust-compiled. The component is tried first, as `serve` does it. A file of
    /// that name is replaced in one step, or stays as it is.
    ///
    /// Exit code: 0 if it was written, 1 if this host would not run the component or the file cannot be written,
    /// 2 if the component cannot be read or compiled.
    Compile(CompileConfig),
    /// Replace the module that serves, see what became of it, go back; and sign components
    #[command(subcommand)]
    Module(ModuleCommand),
    /// Move the state from one store to another, of any kind: write it to a file, read it back
    #[command(subcommand)]
    State(StateCommand),
}

/// The options of `serve`.
#[derive(Clone, Debug, Args)]
pub struct ServeConfig {
    /// The component to serve
    #[arg(long, env = "ORDERS_COMPONENT", value_name = "FILE")]
    pub component: PathBuf,

    /// Which files are accepted.
    #[command(flatten)]
    pub trust: TrustConfig,

    /// Where the state is kept.
    #[command(flatten)]
    pub store: StoreConfig,

    /// The address and port to serve on; port 0 takes a free one and logs it
    #[arg(long, env = "ORDERS_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// How many threads serve connections; `auto` is one for each processor that this process may use
    #[arg(long, env = "ORDERS_THREADS", value_name = "COUNT", default_value = "auto")]
    pub threads: Threads,

    /// A server that the component may send requests to, over http, and without a port on port 80; may be given several
    /// times, and in the variable separated by `,`. All others are refused
    #[arg(long, env = "ORDERS_ALLOW_OUTBOUND", value_name = "HOST[:PORT]", value_delimiter = ',')]
    pub allow_outbound: Vec<OutboundServer>,

    /// The limits that one request or one connection may not exceed.
    #[command(flatten)]
    pub limits: LimitsConfig,

    /// What a component must do before it serves, and what making it ready may take.
    #[command(flatten)]
    pub checks: ChecksConfig,

    /// How a module takes the place of another.
    #[command(flatten)]
    pub terms: TermsConfig,

    /// Where operators are heard.
    #[command(flatten)]
    pub admin: AdminConfig,

    /// Where modules outlive the process.
    #[command(flatten)]
    pub module_dir: ModuleDirConfig,

    /// How the service ends.
    #[command(flatten)]
    pub shutdown: ShutdownConfig,

    /// What is logged, and how.
    #[command(flatten)]
    pub log: LogConfig,
}

/// Where a component has to come from.
#[derive(Clone, Debug, Args)]
pub struct TrustConfig {
    /// Accept a component that `orders-host compile` has compiled: native code, which no sandbox holds
    #[arg(long, env = "ORDERS_TRUST_COMPILED")]
    pub trust_compiled: bool,

    /// Accept only components that are signed by one of the public keys in this file, one a line; see `module sign`
    #[arg(long, env = "ORDERS_TRUSTED_KEYS", value_name = "FILE")]
    pub trusted_keys: Option<PathBuf>,
}

/// Which files are accepted.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// Any component, for the sandbox holds it.
    Components,
    /// Any component, and what was compiled of one ahead of time.
    Compiled(Trusted),
    /// Components that are signed by one of the keys in this file.
    Signed(&'a Path),
}

/// The word that compiled code comes from where nobody else can write: the operator's, by the option, or our own.
#[derive(Clone, Copy, Debug)]
pub struct Trusted(());

impl Trusted {
    /// For what this program has compiled in a process that it has started itself, and has from no one else: through a
    /// pipe, or from a folder where nobody else can write.
    pub fn compiled_by_ourselves() -> Self {
        Self(())
    }
}

impl TrustConfig {
    /// Which files are accepted.
    ///
    /// # Errors
    ///
    /// One line, if the options do not go together.
    pub fn trust(&self) -> Result<Trust<'_>, String> {
        match (self.trust_compiled, &self.trusted_keys) {
            (false, None) => Ok(Trust::Components),
            (true, None) => Ok(Trust::Compiled(Trusted(()))),
            (false, Some(keys)) => Ok(Trust::Signed(keys)),
            (true, Some(_)) => {
                Err("--trusted-keys asks for a signature, which native code cannot have, and \
                 --trust-compiled accepts native code: only one of them can be given"
                    .to_owned())
            }
        }
    }
}

/// What one request or one connection may take.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitsConfig {
    /// How long one request may take in all; beyond it 408 (body not received) or 504 (not answered)
    #[arg(long, env = "ORDERS_REQUEST_TIMEOUT", value_name = "TIME", value_parser = timeout, default_value = "10s")]
    pub request_timeout: Period,

    /// How long the head of a request may take to arrive once its first byte has; beyond it 408
    #[arg(long, env = "ORDERS_HEADER_TIMEOUT", value_name = "TIME", value_parser = timeout, default_value = "10s")]
    pub header_timeout: Period,

    /// How long a connection may stay silent between requests; longer than the load balancer's own limit
    #[arg(long, env = "ORDERS_IDLE_TIMEOUT", value_name = "TIME", value_parser = timeout, default_value = "75s")]
    pub idle_timeout: Period,

    /// The largest body of a request; beyond it 413
    #[arg(long, env = "ORDERS_MAX_BODY", value_name = "SIZE", default_value = "1MiB")]
    pub max_body: Size,

    /// The most that all request bodies may hold in memory together; beyond it 503
    #[arg(long, env = "ORDERS_MAX_BUFFERED", value_name = "SIZE", default_value = "64MiB")]
    pub max_buffered: Size,

    /// The most memory that one instance of the component may have
    #[arg(long, env = "ORDERS_MAX_MEMORY", value_name = "SIZE", default_value = "64MiB")]
    pub max_memory: Size,

    /// How many requests an instance serves, one after another; with 1, nothing of one is in memory for the next
    #[arg(long, env = "ORDERS_INSTANCE_REUSE", value_name = "COUNT", default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub instance_reuse: u32,

    /// The most requests in the component at once; beyond it 503
    #[arg(long, env = "ORDERS_MAX_CONCURRENT", value_name = "COUNT", default_value = "256",
          value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub max_concurrent: u16,

    /// The most connections at once; beyond it 503
    #[arg(long, env = "ORDERS_MAX_CONNECTIONS", value_name = "COUNT", default_value = "2048",
          value_parser = clap::value_parser!(u16).range(1..=60_000))]
    pub max_connections: u16,
}

/// What a component must do before it serves, at the start and at each reload, and what making it ready may take.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Before a component serves")]
pub struct ChecksConfig {
    /// A request that a component must answer, below 500 and without a write, before it serves: `GET /path`; may be
    /// given several times, and in the variable separated by `;`
    #[arg(long, env = "ORDERS_SMOKE", value_name = "REQUEST", value_delimiter = ';')]
    pub smoke: Vec<SmokeRequest>,

    /// How long compiling a component may take; beyond it the component is refused
    #[arg(long, env = "ORDERS_COMPILE_TIMEOUT", value_name = "TIME", value_parser = timeout, default_value = "1m")]
    pub compile_timeout: Period,

    /// The most memory that compiling may take, in a process of its own; beyond it the component is refused
    #[arg(long, env = "ORDERS_COMPILE_MEMORY", value_name = "SIZE", default_value = "1GiB")]
    pub compile_memory: Size,
}

/// How the service ends after SIGTERM or SIGINT.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Shutdown")]
pub struct ShutdownConfig {
    /// How long to go on serving, no longer ready, so that load balancers look elsewhere
    #[arg(long, env = "ORDERS_DRAIN_DELAY", value_name = "TIME", default_value = "5s")]
    pub drain_delay: Period,

    /// How long requests under way may then take to end before they are cut
    #[arg(long, env = "ORDERS_DRAIN_TIMEOUT", value_name = "TIME", value_parser = timeout, default_value = "30s")]
    pub drain_timeout: Period,
}

/// What is logged, and how.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Log")]
pub struct LogConfig {
    /// The lowest level that is logged, and exceptions by target: `info`, `warn,access=info`
    #[arg(long, env = "ORDERS_LOG", value_name = "FILTER", default_value = "info")]
    pub log: tracing_subscriber::filter::Targets,

    /// The form of a log line on standard output
    #[arg(long, env = "ORDERS_LOG_FORMAT", value_name = "FORMAT", default_value = "auto")]
    pub log_format: LogFormat,
}

impl LimitsConfig {
    /// Checks what no option can say alone.
    ///
    /// # Errors
    ///
    /// One line that says which options do not go together.
    pub fn check(&self) -> Result<(), String> {
        if self.max_buffered < self.max_body {
            return Err(format!(
                "--max-buffered is {}, but one body may have {} (--max-body): it must be at least that",
                self.max_buffered, self.max_body
            ));
        }
        Ok(())
    }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise
    Auto,
    /// Text for people
    Text,
    /// One JSON object a line
    Json,
}

/// The options of `healthcheck`.
#[derive(Clone, Debug, Args)]
pub struct HealthcheckConfig {
    /// The address and port of the service; an unspecified address (0.0.0.0) is asked on loopback
    #[arg(long, env = "ORDERS_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// The path to ask for
    #[arg(long, value_name = "PATH", default_value = "/health")]
    pub path: String,

    /// How long the answer may take
    #[arg(long, value_name = "TIME", default_value = "2s")]
    pub timeout: Period,
}

/// The options of `inspect`.
#[derive(Clone, Debug, Args)]
pub struct InspectConfig {
    /// The component to look at
    #[arg(value_name = "FILE")]
    pub component: PathBuf,

    /// Which files are accepted.
    #[command(flatten)]
    pub trust: TrustConfig,

    /// The most memory that one instance of the component may have
    #[arg(long, env = "ORDERS_MAX_MEMORY", value_name = "SIZE", default_value = "64MiB")]
    pub max_memory: Size,
}

/// The options of `compile`.
#[derive(Clone, Debug, Args)]
pub struct CompileConfig {
    /// The component to compile; `-` reads it from standard input
    #[arg(value_name = "FILE")]
    pub component: PathBuf,

    /// The file to write; `-` writes to standard output
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,

    /// Do not try the component before it is written: `serve` tries whatever it loads
    #[arg(long)]
    pub untried: bool,

    /// Compile for any processor of this target, Linux on x86_64 or aarch64: `aarch64-unknown-linux-gnu`; without it
    /// for this machine's own processor, with all that it can do
    #[arg(long, value_name = "TRIPLE")]
    pub target: Option<String>,

    /// The most memory that one instance of the component may have when it is tried
    #[arg(long, env = "ORDERS_MAX_MEMORY", value_name = "SIZE", default_value = "64MiB")]
    pub max_memory: Size,
}
