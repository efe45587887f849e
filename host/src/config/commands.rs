//! The options of `orders-host healthcheck`, `inspect` and `compile`.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use http::Uri;

use super::{
    trust::TrustConfig,
    values::{Period, Size, listen_address, nonzero_period, request_target},
};

/// The options of `healthcheck`.
#[derive(Clone, Debug, Args)]
pub struct HealthcheckConfig {
    /// Address and port of the service. An unspecified address (0.0.0.0) is queried on loopback
    #[arg(long, env = "ORDERS_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080",
          value_parser = listen_address)]
    pub listen: SocketAddr,

    /// Path of the request, which begins with `/`
    #[arg(long, value_name = "PATH", default_value = "/health", value_parser = request_target)]
    pub path: Uri,

    /// Maximum time for the response to arrive. Beyond it the check fails
    #[arg(long, value_name = "TIME", value_parser = nonzero_period, default_value = "2s")]
    pub timeout: Period,
}

/// The options of `inspect`.
#[derive(Clone, Debug, Args)]
pub struct InspectConfig {
    /// The component to inspect
    #[arg(value_name = "FILE")]
    pub component: PathBuf,

    /// Which files are accepted.
    #[command(flatten)]
    pub trust: TrustConfig,

    /// Maximum memory of one instance of the component. A component that needs more cannot run
    #[arg(long, env = "ORDERS_MAX_MEMORY", value_name = "SIZE", default_value = "64MiB")]
    pub max_memory: Size,
}

/// The options of `compile`.
#[derive(Clone, Debug, Args)]
pub struct CompileConfig {
    /// The component to compile; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub component: PathBuf,

    /// The file to write; `-` writes to standard output
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,

    /// Write the file without trying the component first: `serve` tries every component that it loads
    #[arg(long)]
    pub untried: bool,

    /// Compile for any processor of this target, Linux on x86_64 or aarch64, such as `aarch64-unknown-linux-gnu`. Without
    /// it, the code is for the processor of this machine and uses all of its features
    #[arg(long, value_name = "TRIPLE")]
    pub target: Option<String>,

    /// Maximum memory of one instance of the component while it is tried. A component that needs more is not written
    #[arg(long, env = "ORDERS_MAX_MEMORY", value_name = "SIZE", default_value = "64MiB")]
    pub max_memory: Size,
}
