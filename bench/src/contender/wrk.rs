//! The load generator: wrk with the scripts in `bench/wrk`.

use std::{net::SocketAddr, path::Path, process::Command};

use xtask::{command::Failed, workspace};

/// Open files that wrk may need: one a connection, and some more.
const OPEN_FILES: &str = "--nofile=4096";

/// What wrk has measured. Times in microseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Load {
    pub(crate) requests: f64,
    pub(crate) duration: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
    /// Answers with a status of 400 or more.
    pub(crate) refused: f64,
    /// Connections that failed, and requests without an answer.
    pub(crate) broken: f64,
}

impl Load {
    /// Answers a second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests * 1_000_000.0 / self.duration
    }
}

/// Runs a script with one thread; `ids` is a file with the orders that there are.
///
/// # Errors
///
/// [`Failed`] if wrk cannot be run, or does not print figures.
pub(crate) fn run(
    script: &str,
    address: SocketAddr,
    connections: u32,
    seconds: u32,
    ids: &Path,
) -> Result<Load, Failed> {
    let output = Command::new("prlimit")
        .args([OPEN_FILES, "wrk", "--threads", "1", "--timeout", "10s", "--script", script])
        .arg(format!("--connections={connections}"))
        .arg(format!("--duration={seconds}s"))
        .arg(format!("http://{address}"))
        .arg("--")
        .arg(ids)
        // Where the scripts find one another.
        .current_dir(workspace().join("bench/wrk"))
        .output()
        .map_err(|error| Failed(format!("wrk cannot be run: {error}")))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    parse(&printed).ok_or_else(|| Failed(format!("wrk printed no figures: {printed}{errors}")))
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
        max: figure("max")?,
        refused: figure("status")?,
        broken: figure("connect")? + figure("read")? + figure("write")? + figure("timeout")?,
    })
}
