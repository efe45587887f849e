//! The options of `orders-host serve`.

use std::{env, ffi::OsStr, net::SocketAddr, path::PathBuf};

use clap::{Args, ValueEnum};

use super::{
    admin::AdminConfig,
    limits::LimitsConfig,
    outbound::OutboundServer,
    rollout::{ChecksConfig, ModuleDirConfig, TermsConfig},
    store::StoreConfig,
    trust::TrustConfig,
    values::{Period, Threads, nonzero_period},
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
    #[arg(long, env = "ORDERS_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Number of threads that serve connections. `auto` is one for each processor available to this process
    #[arg(long, env = "ORDERS_THREADS", value_name = "COUNT", default_value = "auto")]
    pub threads: Threads,

    /// Server that the component may send requests to over plain HTTP, on port 80 unless a port is given; all others are
    /// refused. May be repeated; in the variable, servers are separated by `,`
    #[arg(long, env = "ORDERS_ALLOW_OUTBOUND", value_name = "HOST[:PORT]", value_delimiter = ',')]
    pub allow_outbound: Vec<OutboundServer>,

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

/// What is logged, and in which format.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Log")]
pub struct LogConfig {
    /// Lowest level that is logged, with exceptions by target: `info`, or `warn,access=info`
    #[arg(long, env = "ORDERS_LOG", value_name = "FILTER", default_value = "info")]
    pub log: tracing_subscriber::filter::Targets,

    /// Format of the log lines on standard output
    #[arg(long, env = "ORDERS_LOG_FORMAT", value_name = "FORMAT", default_value = "auto")]
    pub log_format: LogFormat,
}

impl LogConfig {
    /// Whether text on a terminal may have colours: not if the variable `NO_COLOR` is set and not empty
    /// (<https://no-color.org>), or `TERM` is `dumb`.
    pub fn may_color() -> bool {
        may_color(env::var_os("NO_COLOR").as_deref(), env::var_os("TERM").as_deref())
    }
}

fn may_color(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && term != Some(OsStr::new("dumb"))
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, otherwise JSON
    Auto,
    /// Human-readable text
    Text,
    /// One JSON object per line
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_and_a_dumb_terminal_turn_colours_off() {
        for (no_color, term, expected) in [
            (None, None, true),
            (None, Some("xterm-256color"), true),
            (Some(""), Some("xterm"), true),
            (Some("1"), Some("xterm"), false),
            (Some("0"), None, false),
            (None, Some("dumb"), false),
        ] {
            assert_eq!(
                may_color(no_color.map(OsStr::new), term.map(OsStr::new)),
                expected,
                "{no_color:?} {term:?}"
            );
        }
    }
}
