//! The closed-loop load generator: wrk with the scripts in `bench/wrk`.

use std::{net::SocketAddr, path::Path, process::Command};

use xtask::{command::TaskError, workspace};

/// The limit of open files for wrk: one per connection, and some room.
const OPEN_FILES: &str = "--nofile=4096";

/// What wrk measured. Times in microseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Load {
    pub(crate) requests: f64,
    pub(crate) duration: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Responses with a status of 400 or more.
    pub(crate) rejected: f64,
    /// TaskError connections, and requests without a response.
    pub(crate) broken: f64,
}

impl Load {
    /// Responses per second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests * 1_000_000.0 / self.duration
    }

    /// Requests that failed.
    pub(crate) fn errors(&self) -> f64 {
        self.rejected + self.broken
    }
}

/// Runs a script with one thread. `ids` is a file with the ids of orders to read.
pub(crate) fn run(
    script: &str,
    address: SocketAddr,
    connections: u32,
    seconds: u32,
    ids: &Path,
) -> Result<Load, TaskError> {
    let output = Command::new("prlimit")
        .args([OPEN_FILES, "wrk", "--threads", "1", "--timeout", "10s", "--script", script])
        .arg(format!("--connections={connections}"))
        .arg(format!("--duration={seconds}s"))
        .arg(format!("http://{address}"))
        .arg("--")
        .arg(ids)
        // The scripts load a module from here.
        .current_dir(workspace().join("bench/wrk"))
        .output()
        .map_err(|error| TaskError(format!("wrk cannot be run: {error}")))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    parse(&printed).ok_or_else(|| TaskError(format!("wrk printed no figures: {printed}{errors}")))
}

fn parse(printed: &str) -> Option<Load> {
    let figures = printed.lines().find_map(|line| line.strip_prefix("figures "))?;
    let figure = |wanted| -> Option<f64> {
        let mut figures = figures.split_whitespace().filter_map(|figure| figure.split_once('='));
        figures.find(|(name, _)| *name == wanted)?.1.parse().ok()
    };
    Some(Load {
        requests: figure("requests")?,
        duration: figure("duration")?,
        p50: figure("p50")?,
        p99: figure("p99")?,
        rejected: figure("status")?,
        broken: figure("connect")? + figure("read")? + figure("write")? + figure("timeout")?,
    })
}
