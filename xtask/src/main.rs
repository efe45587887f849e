//! The developer's commands: `cargo xtask serve | watch | test | contract | fuzz | build | check | infra`, and for the
//! pipeline `component | sbom | advisories`. The other commands are programs of their own: `bench/`, and the folders
//! beside `xtask/src`.
//!
//! Each command prints the commands that it runs, so that any step can also be run by hand.

mod commands;

use std::{
    ffi::OsString,
    fs,
    iter::once,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use clap::{Args, Parser, Subcommand};

use xtask::{
    adapters::Adapter,
    command::{TaskError, cargo, exec_program, exit, file_error, program, run},
    components, host, target, workspace,
};

use commands::{check, contract, fuzz, sbom, serve, watch};

/// The developer's commands
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the host and the component, and serve on 127.0.0.1:8080, with SQLite in ./data
    Serve(serve::Options),
    /// Build the component whenever its sources change, and push it to the running host
    Watch(watch::Options),
    /// Run all tests; with options after `--`, run only `cargo test` with these options
    ///
    /// Select tests by test target (`cargo xtask test -- --test api`) or by name (`cargo xtask test -- canary`). -p is
    /// rejected: it would compile wasmtime again with other features.
    Test {
        /// Options for `cargo test --workspace`
        #[arg(last = true)]
        options: Vec<String>,
    },
    /// Run only the contract tests: the API description against the service, and the service against HTTP
    Contract,
    /// Test the component's parsers and handlers with random input
    Fuzz {
        /// Minutes after which no further round starts
        #[arg(long, default_value_t = 3)]
        minutes: u64,
    },
    /// Build for release, with a profile of the host: target/dist/orders-host and target/dist/*.wasm
    Build,
    /// Create orders as fast as possible over some connections, and count the fsyncs
    #[command(disable_help_flag = true)]
    Load(RawOptions),
    /// Replace the component repeatedly under load, and show the effect on requests
    #[command(disable_help_flag = true)]
    Swaps(RawOptions),
    /// Roll out good and bad modules under load: how many good ones are rolled back, and whom the bad ones hurt
    #[command(disable_help_flag = true)]
    Rollouts(RawOptions),
    /// Let clients request large pages without reading them, and show the effect on others
    #[command(disable_help_flag = true)]
    Readers(RawOptions),
    /// Compare the time of a page in a store of 1 000 orders and in one of 1 000 000
    #[command(disable_help_flag = true)]
    Pages(RawOptions),
    /// Let many connections request /ready, and show the effect on creates
    #[command(disable_help_flag = true)]
    Probes(RawOptions),
    /// Create orders with keys while a transaction of PostgreSQL is open, such as a backup
    #[command(disable_help_flag = true)]
    Snapshots(RawOptions),
    /// Compare the service with other servers: throughput, latency, memory, cold start
    #[command(disable_help_flag = true)]
    Bench(RawOptions),
    /// Build the component for other hosts, and run it on those that can be installed
    #[command(disable_help_flag = true)]
    Portability(RawOptions),
    /// Check formatting, lints, documentation, dependencies and infrastructure
    Check,
    /// Check only the infrastructure: terraform/, .github/, deploy/ and the Dockerfile
    Infra,
    /// Build the container image without a registry, check it, and build it again to compare
    Image {
        /// Skip the second build
        #[arg(long)]
        once: bool,
    },
    /// Replace an image under load, task by task, behind a load balancer and over PostgreSQL
    #[command(disable_help_flag = true)]
    ImageTest(RawOptions),
    /// Build only the component: target/dist/orders.wasm
    Component,
    /// Write the bills of materials of program and component: target/dist/*.cdx.json
    Sbom,
    /// Check dependencies for known vulnerabilities, with a database from the network
    Advisories,
}

/// Options that another program parses.
#[derive(Args)]
struct RawOptions {
    /// Options of this command: `cargo xtask COMMAND --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<OsString>,
}

/// Lets tests kill the host at named points. It changes no feature of a dependency, so only the host is compiled again.
const FAULTS: &str = "orders-host/fault-injection";
/// The program that measures.
const BENCH: &str = "orders-bench";
/// The program that composes the component for other hosts and runs it there.
const PORTABILITY: &str = "orders-portability";
/// The program that replaces an image under load.
const ROLLOUT: &str = "orders-rollout";

fn main() -> ExitCode {
    exit(match Cli::parse().task {
        Task::Serve(options) => serve::serve(&options),
        Task::Watch(options) => watch::build_and_push_forever(&options),
        Task::Test { options } => test(&options),
        Task::Contract => contract::test(),
        Task::Fuzz { minutes } => fuzz::run_rounds(minutes),
        Task::Build => build(),
        Task::Load(raw) => exec_command(BENCH, "load", raw),
        Task::Swaps(raw) => exec_command(BENCH, "swaps", raw),
        Task::Rollouts(raw) => exec_command(BENCH, "rollouts", raw),
        Task::Readers(raw) => exec_command(BENCH, "readers", raw),
        Task::Pages(raw) => exec_command(BENCH, "pages", raw),
        Task::Probes(raw) => exec_command(BENCH, "probes", raw),
        Task::Snapshots(raw) => exec_command(BENCH, "snapshots", raw),
        Task::Bench(raw) => exec_command(BENCH, "bench", raw),
        Task::Portability(raw) => exec_command(PORTABILITY, "portability", raw),
        Task::Check => check::all(),
        Task::Infra => check::infrastructure(),
        Task::Image { once } => image(once),
        Task::ImageTest(raw) => exec_command(ROLLOUT, "image-test", raw),
        Task::Component => components::orders().and_then(|path| distribute(&[(path, "orders.wasm")])),
        Task::Sbom => sbom::write(),
        Task::Advisories => check::advisories(),
    })
}

/// Replaces this process with a command of another program.
fn exec_command(package: &str, command: &str, raw: RawOptions) -> Result<(), TaskError> {
    exec_program(package, once(command.into()).chain(raw.options))
}

fn test(options: &[String]) -> Result<(), TaskError> {
    let mut cargo_options = options.iter().take_while(|option| *option != "--");
    if let Some(option) =
        cargo_options.find(|option| option.starts_with("-p") || option.starts_with("--package"))
    {
        return Err(TaskError(format!(
            "{option} is not supported, because it would compile wasmtime again with other features; select tests by \
             target (--test api) or by name (canary), or run `cargo test -p orders-guest` for the guest alone"
        )));
    }
    let all = options.is_empty();
    if all {
        contract::check_tools()?;
    }
    components::other_versions()?;
    // This also builds the orders component.
    run(program(PORTABILITY)?.arg("components"))?;
    components::fixtures()?;
    run(cargo(["test", "--workspace", "--locked", "--features", FAULTS]).args(options))?;
    if all {
        contract::test()?;
        run(program(PORTABILITY)?.arg("test"))?;
    }
    Ok(())
}

fn build() -> Result<(), TaskError> {
    let component = components::orders()?;
    run(program(PORTABILITY)?.arg("compose"))?;
    run(program(BENCH)?.arg("build-host"))?;
    let mut copies = vec![(host::profiled(), "orders-host"), (component, "orders.wasm")];
    copies.extend(Adapter::ALL.map(|adapter| (adapter.path(), adapter.composed())));
    distribute(&copies)
}

fn image(once: bool) -> Result<(), TaskError> {
    let component = components::orders()?;
    let mut check = Command::new(workspace().join("xtask/image/check"));
    run(check.arg(component).args(once.then_some("--once")))
}

/// Copies files to `target/dist`, under these names.
fn distribute(copies: &[(PathBuf, &str)]) -> Result<(), TaskError> {
    let dist = target().join("dist");
    let copy = |from: &Path, name: &str| {
        let to = dist.join(name);
        let bytes = fs::copy(from, &to)?;
        println!("{bytes:>10} bytes  {}", to.display());
        Ok(())
    };
    fs::create_dir_all(&dist)
        .and_then(|()| copies.iter().try_for_each(|(from, name)| copy(from, name)))
        .map_err(|error| file_error(&dist, &error))
}
