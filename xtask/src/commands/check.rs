//! `cargo xtask check`: everything that can be said of the code without running it.

use std::process::Command;

use xtask::{
    adapters::Adapter,
    command::{Failed, cargo, output, run},
    components, target, workspace,
};

use super::infra;
use crate::FAULTS;

/// The version of cargo-deny that is installed where none is, or another.
const CARGO_DENY: &str = "0.20.2";

/// Runs all checks, the quick ones first.
///
/// # Errors
///
/// [`Failed`] with the first that fails.
pub(crate) fn all() -> Result<(), Failed> {
    infra::check_tools()?;
    run(&mut cargo(["fmt", "--all", "--check"]))?;
    clippy()?;
    run(cargo(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    dependencies()?;
    infra::check()
}

/// Looks for known vulnerabilities of dependencies.
///
/// # Errors
///
/// [`Failed`] if there is one, or if the database is not to be had.
pub(crate) fn advisories() -> Result<(), Failed> {
    deny(&["advisories"])
}

fn clippy() -> Result<(), Failed> {
    components::ensure_target()?;
    let native = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    run(&mut cargo(native))?;
    // What only tests have.
    let faults = ["clippy", "--workspace", "--all-targets", "--features", FAULTS, "--locked"];
    run(cargo(faults).args(["--", "-D", "warnings"]))?;
    // What only exists in a component is looked at as well.
    let packages = ["orders-guest", "orders-fixtures", "orders-adapter"]
        .into_iter()
        .chain(Adapter::ALL.into_iter().map(Adapter::package));
    let packages = packages.flat_map(|package| ["--package", package]);
    run(cargo(["clippy", "--lib", "--examples"]).args(packages).args([
        "--locked",
        "--target",
        components::TARGET,
        "--",
        "-D",
        "warnings",
    ]))
}

/// Licences, sources and bans. Advisories need a database from the network: the workflow on GitHub asks it.
fn dependencies() -> Result<(), Failed> {
    deny(&["bans", "licenses", "sources"])
}

fn deny(checks: &[&str]) -> Result<(), Failed> {
    let root = target().join("tools");
    let deny = root.join("bin/cargo-deny");
    let installed = output(Command::new(&deny).arg("--version"));
    if installed.as_deref() != Some(&format!("cargo-deny {CARGO_DENY}")) {
        // Unoptimised: it runs for a second and would compile for minutes.
        let install = ["install", "cargo-deny", "--version", CARGO_DENY, "--locked", "--debug", "--force"];
        run(cargo(install).arg("--root").arg(&root))?;
    }
    run(Command::new(&deny).current_dir(workspace()).args(["--workspace", "check"]).args(checks))
}
