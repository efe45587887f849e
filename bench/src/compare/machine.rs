//! What it ran on, and in which versions.

use std::{fs, process::Command, thread::available_parallelism};

use orders_bench::postgres;
use xtask::{command::output, workspace};

use super::options::Options;

/// How busy the machine was in the last minute: the first figure of `/proc/loadavg`. What is there before the first
/// round is others' work.
pub(crate) fn load_average() -> String {
    let averages = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    averages.split(' ').next().unwrap_or_default().to_owned()
}

/// A list in Markdown.
pub(crate) fn markdown(options: &Options) -> String {
    let Options { runs, rounds, seconds, .. } = options;
    let unknown = || "unknown".to_owned();
    let model = fs::read_to_string("/proc/cpuinfo").ok().and_then(|cpus| {
        let line = cpus.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(": ")?.1.to_owned())
    });
    let cores = available_parallelism().map_or_else(|_| unknown(), |cores| cores.to_string());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let package = |name| output(Command::new("dpkg-query").args(["--show", "--showformat=${Version}", name]));
    let gin = package("golang-github-gin-gonic-gin-dev").unwrap_or_else(unknown);
    let pgx = package("golang-github-jackc-pgx-v4-dev").unwrap_or_else(unknown);
    let postgres = postgres::version().unwrap_or_else(unknown);
    let wrk = package("wrk").unwrap_or_else(unknown);
    let go = output(Command::new("go").arg("version")).unwrap_or_else(unknown);
    let rustc =
        output(Command::new("rustc").arg("--version").current_dir(workspace())).unwrap_or_else(unknown);
    format!(
        "## The run\n\n\
         - `cargo xtask bench --runs {runs} --rounds {rounds} --seconds {seconds} --write`\n\
         - {}, {cores} cores, Linux {}; the load generator on the same machine\n\
         - {rustc}; wasmtime {}; axum {}; {go}; Gin {gin}; pgx {pgx}; {postgres}; wrk {wrk}\n",
        model.unwrap_or_else(unknown),
        kernel.trim(),
        locked("wasmtime").unwrap_or_else(unknown),
        locked("axum").unwrap_or_else(unknown),
    )
}

/// The version of a crate in Cargo.lock.
fn locked(name: &str) -> Option<String> {
    let lock = fs::read_to_string(workspace().join("Cargo.lock")).ok()?;
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(rest.split_once('"')?.0.to_owned())
}
