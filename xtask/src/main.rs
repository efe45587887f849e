//! The developer's commands: `cargo xtask serve | watch | test | contract | fuzz | build | check | infra`, and for the
//! pipeline `component | sbom | advisories`. `load | swaps | pages | bench` are commands of the program in `bench/`,
//! `portability`, `image` and `image-test` of what lies in the folders beside this one's sources.
//!
//! Each sets up what it needs and says what it runs, so that any step can be run by hand as well.

mod commands;

use std::{
    ffi::OsString,
    iter::once,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use clap::{Args, Parser, Subcommand};

use xtask::{
    adapters::Adapter,
    command::{Failed, become_program, cargo, exit, failed, program, run},
    components, host, target, workspace,
};

use commands::{check, contract, fuzz, infra, sbom, serve, watch};

/// The developer's commands.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the host and the component, and serve on 127.0.0.1:8080, with SQLite in ./data
    Serve(serve::Options),
    /// Build the guest whenever its sources change, and push it to the host that runs
    Watch(watch::Options),
    /// Run all tests; what follows `--` goes to `cargo test`, and then only that is run
    Test {
        /// Options for `cargo test`
        #[arg(last = true)]
        options: Vec<String>,
    },
    /// Run the contract tests alone: the API description against the service, and the service against HTTP
    Contract,
    /// Give the guest's parsers and handlers random input for some minutes
    Fuzz(fuzz::Options),
    /// Build for release, with a profile: target/dist/orders-host and target/dist/orders.wasm
    Build,
    /// Create orders as fast as some connections can, and count the fsyncs that took
    #[command(disable_help_flag = true)]
    Load(Others),
    /// Replace the component again and again under load, and see what requests notice of it
    #[command(disable_help_flag = true)]
    Swaps(Others),
    /// Read pages from a store of 1 000 orders and from one of 1 000 000, and compare
    #[command(disable_help_flag = true)]
    Pages(Others),
    /// Measure the service beside others: throughput, latency, memory, cold start
    #[command(disable_help_flag = true)]
    Bench(Others),
    /// Build the component for hosts of others, and run it in those that can be had
    #[command(disable_help_flag = true)]
    Portability(Others),
    /// Check formatting, lints, documentation, dependencies and infrastructure
    Check,
    /// Check the infrastructure alone: terraform/, .github/, deploy/ and the Dockerfile
    Infra,
    /// Build the container image without a registry, check it, and build it again to see that it is the same
    Image {
        /// Build it once only, and do not see whether a second build is the same
        #[arg(long)]
        once: bool,
    },
    /// Replace an image by another one under load, task by task, behind a load balancer and over PostgreSQL
    #[command(disable_help_flag = true)]
    ImageTest(Others),
    /// Build the component alone: target/dist/orders.wasm
    Component,
    /// List what program and component are made of: target/dist/*.cdx.json
    Sbom,
    /// Look for known vulnerabilities of dependencies, in a database from the network
    Advisories,
}

/// What another program is given as it is.
#[derive(Args)]
struct Others {
    /// Options of this command: `cargo xtask COMMAND --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<OsString>,
}

/// With this feature tests can have the host killed at named points. No dependency has other features for it, so that
/// only the host is compiled once more.
const FAULTS: &str = "orders-host/fault-injection";
/// The program that measures.
const BENCH: &str = "orders-bench";
/// The program that composes the component for other hosts, and runs it in them.
const PORTABILITY: &str = "orders-portability";
/// The program that replaces an image under load.
const ROLLOUT: &str = "orders-rollout";

fn main() -> ExitCode {
    exit(match Cli::parse().task {
        Task::Serve(options) => serve::serve(&options),
        Task::Watch(options) => watch::forever(&options),
        Task::Test { options } => test(&options),
        Task::Contract => contract::test(),
        Task::Fuzz(options) => fuzz::all(&options),
        Task::Build => build(),
        Task::Load(others) => hand_on(BENCH, "load", others),
        Task::Swaps(others) => hand_on(BENCH, "swaps", others),
        Task::Pages(others) => hand_on(BENCH, "pages", others),
        Task::Bench(others) => hand_on(BENCH, "bench", others),
        Task::Portability(others) => hand_on(PORTABILITY, "portability", others),
        Task::Check => check::all(),
        Task::Infra => infra::check(),
        Task::Image { once } => image(once),
        Task::ImageTest(others) => hand_on(ROLLOUT, "image-test", others),
        Task::Component => component(),
        Task::Sbom => sbom::write(),
        Task::Advisories => check::advisories(),
    })
}

/// Becomes the program whose command this is.
fn hand_on(package: &str, command: &str, others: Others) -> Result<(), Failed> {
    become_program(package, once(command.into()).chain(others.options))
}

fn test(options: &[String]) -> Result<(), Failed> {
    // Who picks some tests means those alone.
    let all = options.is_empty();
    if all {
        contract::check_tools()?;
    }
    // The orders component, too.
    run(program(PORTABILITY)?.arg("components"))?;
    components::fixtures()?;
    run(cargo(["test", "--workspace", "--locked", "--features", FAULTS]).args(options))?;
    if !all {
        return Ok(());
    }
    contract::test()?;
    run(program(PORTABILITY)?.arg("test"))
}

fn build() -> Result<(), Failed> {
    let component = components::orders()?;
    run(program(PORTABILITY)?.arg("compose"))?;
    run(program(BENCH)?.arg("build-host"))?;
    let mut copies = vec![(host::profiled(), "orders-host"), (component, "orders.wasm")];
    copies.extend(Adapter::ALL.into_iter().map(|adapter| (adapter.path(), adapter.composed())));
    distribute(&copies)
}

fn component() -> Result<(), Failed> {
    distribute(&[(components::orders()?, "orders.wasm")])
}

fn image(once: bool) -> Result<(), Failed> {
    let component = components::orders()?;
    let mut check = Command::new(workspace().join("xtask/image/check"));
    run(check.arg(component).args(once.then_some("--once")))
}

/// Copies what was built to `target/dist`, under these names.
fn distribute(copies: &[(PathBuf, &str)]) -> Result<(), Failed> {
    let dist = target().join("dist");
    let copy = |from: &Path, name: &str| {
        let to = dist.join(name);
        std::fs::copy(from, &to)?;
        println!("{:>10} bytes  {}", std::fs::metadata(&to)?.len(), to.display());
        Ok(())
    };
    std::fs::create_dir_all(&dist)
        .and_then(|()| copies.iter().try_for_each(|(from, name)| copy(from, name)))
        .map_err(|error| failed(&dist, &error))
}
