//! The options of `orders-host serve`.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use super::{
    admin::AdminConfig,
    limits::LimitsConfig,
    log::LogConfig,
    outbound::{self, OutboundServer},
    rollout::{ChecksConfig, ModuleDirConfig, TermsConfig},
    store::StoreConfig,
    trust::TrustConfig,
    values::{List, Period, Threads, listen_address, nonzero_period},
};

/// The options of `serve`.
#[derive(Clone, Debug, Args)]
pub struct ServeConfig {
    /// File of the component to serve. SIGHUP reads it again
    #[arg(long, env = "ORDERS_COMPONENT", value_name = "FILE")]
    pub component: PathBuf,

    /// Which files are accepted.
    #[command(flatten)]
    pub trust: TrustConfig,

    /// Location of the state.
    #[command(flatten)]
    pub store: StoreConfig,

    /// How long a start waits for a store that cannot be reached. Meanwhile `/health` returns 200 and everything else 503.
    /// With 0s, the start fails at once
    #[arg(long, env = "ORDERS_STORE_WAIT", value_name = "TIME", default_value = "2m")]
    pub store_wait: Period,

    /// Address and port to serve on. Port 0 selects a free port, which is logged
    #[arg(long, env = "ORDERS_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080",
          value_parser = listen_address)]
    pub listen: SocketAddr,

    /// Number of threads that serve connections. `auto` is one for each processor available to this process
    #[arg(long, env = "ORDERS_THREADS", value_name = "COUNT", default_value = "auto")]
    pub threads: Threads,

    /// Server that the component may send requests to over plain HTTP, on port 80 unless a port is given; all others are
    /// refused. May be repeated; in the variable, servers are separated by `,`
    #[arg(long, env = "ORDERS_ALLOW_OUTBOUND", value_name = "HOST[:PORT]",
          value_parser = outbound::servers)]
    pub allow_outbound: Vec<List<OutboundServer>>,

    /// Limits of one request and one connection.
    #[command(flatten)]
    pub limits: LimitsConfig,

    /// What a component must do before it serves, and the limits of preparing it.
    #[command(flatten)]
    pub checks: ChecksConfig,

    /// How a module replaces another.
    #[command(flatten)]
    pub terms: TermsConfig,

    /// The admin API.
    #[command(flatten)]
    pub admin: AdminConfig,

    /// Where modules outlive the process.
    #[command(flatten)]
    pub module_dir: ModuleDirConfig,

    /// How the service shuts down.
    #[command(flatten)]
    pub shutdown: ShutdownConfig,

    /// What is logged, and in which format.
    #[command(flatten)]
    pub log: LogConfig,
}

/// How the service shuts down after SIGTERM or SIGINT.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Shutdown")]
pub struct ShutdownConfig {
    /// How long the service keeps serving after SIGTERM or SIGINT while `/ready` returns 503, so that load balancers stop
    /// sending requests
    #[arg(long, env = "ORDERS_DRAIN_DELAY", value_name = "TIME", default_value = "5s")]
    pub drain_delay: Period,

    /// How long requests in flight may then take to finish. Beyond it they are cut and the exit code is 1
    #[arg(long, env = "ORDERS_DRAIN_TIMEOUT", value_name = "TIME", value_parser = nonzero_period, default_value = "30s")]
    pub drain_timeout: Period,
}
