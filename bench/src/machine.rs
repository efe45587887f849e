//! The machine and the versions of a run, for the page.

use std::{fs, process::Command, thread::available_parallelism};

use orders_bench::postgres;
use xtask::{command::output, workspace};

use crate::compare::options::Options;

/// The load average of the last minute: the first figure of `/proc/loadavg`. Before the first round it shows other work.
pub(crate) fn load_average() -> String {
    let averages = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    averages.split(' ').next().unwrap_or_default().to_owned()
}

/// The last section of the page.
pub(crate) fn markdown(options: &Options) -> String {
    let Options { runs, rounds, seconds, .. } = options;
    let package =
        |name| known(output(Command::new("dpkg-query").args(["--show", "--showformat=${Version}", name])));
    format!(
        "## The run\n\n\
         - `cargo xtask bench --runs {runs} --rounds {rounds} --seconds {seconds} --write`\n\
         {}\
         - {}; wasmtime {}; axum {}; {}; Gin {}; pgx {}; {}; wrk {}\n",
        description(),
        known(output(Command::new("rustc").arg("--version").current_dir(workspace()))),
        known(locked("wasmtime")),
        known(locked("axum")),
        known(output(Command::new("go").arg("version"))),
        package("golang-github-gin-gonic-gin-dev"),
        package("golang-github-jackc-pgx-v4-dev"),
        known(postgres::version()),
        package("wrk"),
    )
}

/// The machine, as an item of a list.
pub(crate) fn description() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find(|line| line.starts_with("model name"));
    let model = known(model.and_then(|line| Some(line.split_once(": ")?.1.to_owned())));
    let cores = known(available_parallelism().ok().map(|cores| cores.to_string()));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("- {model}, {cores} cores, Linux {}; the load generator on the same machine\n", kernel.trim())
}

fn known(text: Option<String>) -> String {
    text.unwrap_or_else(|| "unknown".to_owned())
}

/// The version of a crate in Cargo.lock.
fn locked(name: &str) -> Option<String> {
    let lock = fs::read_to_string(workspace().join("Cargo.lock")).ok()?;
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(rest.split_once('"')?.0.to_owned())
}
