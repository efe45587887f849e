//! The developer's commands: `cargo xtask serve | watch | test | contract | fuzz | build | load | swaps | pages | bench |
//! portability | check | infra | image | image-test`, and for the pipeline `component | sbom | advisories`.
//!
//! Each sets up what it needs and says what it runs, so that any step can be run by hand as well.

mod bench;
mod check;
mod client;
mod command;
mod components;
mod compose;
mod containers;
mod contract;
mod fuzz;
mod host;
mod image;
mod infra;
mod languages;
mod load;
mod pages;
mod portability;
mod postgres;
mod process;
mod profiled;
mod rollout;
mod sbom;
mod swaps;
mod tools;
mod watch;

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use clap::{Parser, Subcommand};

use command::{Failed, cargo, run};

/// The developer's commands.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build everything and serve on 127.0.0.1:8080, with SQLite in ./data
    Serve {
        /// With the release profile: slower to build, fast to run
        #[arg(long)]
        release: bool,
        /// Options for `orders-host serve`
        #[arg(last = true)]
        options: Vec<String>,
    },
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
    Load(load::Options),
    /// Replace the component again and again under load, and see what requests notice of it
    Swaps(swaps::Options),
    /// Read pages from a store of 1 000 orders and from one of 1 000 000, and compare
    Pages(pages::Options),
    /// Measure the service beside others: throughput, latency, memory, cold start
    Bench(bench::Options),
    /// Build the component for hosts of others, and run it in those that can be had
    Portability(portability::Options),
    /// Check formatting, lints, documentation, dependencies and infrastructure
    Check,
    /// Check the infrastructure alone: terraform/, .github/, deploy/ and the Dockerfile
    Infra,
    /// Build the container image without a registry, check it, and build it again to see that it is the same
    Image(image::Options),
    /// Replace an image by another one under load, task by task, behind a load balancer and over PostgreSQL
    ImageTest(rollout::Options),
    /// Build the component alone: target/dist/orders.wasm
    Component,
    /// List what program and component are made of: target/dist/*.cdx.json
    Sbom,
    /// Look for known vulnerabilities of dependencies, in a database from the network
    Advisories,
}

/// With this feature tests can have the host killed at named points. No dependency has other features for it, so that
/// only the host is compiled once more.
const FAULTS: &str = "orders-host/fault-injection";

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Serve { release, options } => serve(release, &options),
        Task::Watch(options) => watch::forever(&options),
        Task::Test { options } => test(&options),
        Task::Contract => contract::test(),
        Task::Fuzz(options) => fuzz::all(&options),
        Task::Build => build(),
        Task::Load(options) => load::measure(&options),
        Task::Swaps(options) => swaps::measure(&options),
        Task::Pages(options) => pages::measure(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Portability(options) => portability::run_all(&options),
        Task::Check => check::all(),
        Task::Infra => infra::check(),
        Task::Image(options) => image::check(&options),
        Task::ImageTest(options) => rollout::test(&options),
        Task::Component => component(),
        Task::Sbom => sbom::write(),
        Task::Advisories => check::advisories(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed(what)) => {
            eprintln!("xtask: {what}");
            ExitCode::FAILURE
        }
    }
}

fn serve(release: bool, options: &[String]) -> Result<(), Failed> {
    let component = components::orders()?;
    let profile = if release { "release" } else { "dev" };
    // The whole workspace, so that what it has in common has the same features, and wasmtime is compiled once; but for what
    // only tests run.
    let all = ["build", "--workspace", "--exclude", "orders-adapter-host", "--bins", "--locked"];
    run(cargo(all).args(["--profile", profile]))?;
    let folder = workspace().join("data");
    std::fs::create_dir_all(&folder).map_err(|error| Failed(format!("{}: {error}", folder.display())))?;

    println!("\nOnce it is serving (here: on its default address), try:\n");
    println!("  curl -i http://127.0.0.1:8080/api/v1/orders -H 'Content-Type: application/json' \\");
    println!(
        r#"    -d '{{"customer":"ada","currency":"EUR","items":[{{"sku":"tea-1","quantity":2,"unit_price":450}}]}}'"#
    );
    println!("  curl -i http://127.0.0.1:8080/api/v1/orders\n");

    let binary = target().join(if release { "release" } else { "debug" }).join("orders-host");
    let mut host = Command::new(&binary);
    host.current_dir(workspace())
        .arg("serve")
        .arg("--component")
        .arg(component)
        .args(["--store", "sqlite:data/orders.db", "--drain-delay", "0s"])
        .args(["--smoke", "GET /openapi.json", "--smoke", "GET /api/v1/orders?limit=1"])
        .args(options);
    // In this process's place, so that it gets the terminal's signals and its exit code is the one seen.
    Err(Failed(format!("cannot run {}: {}", binary.display(), host.exec())))
}

fn test(options: &[String]) -> Result<(), Failed> {
    // Who picks some tests means those alone.
    let all = options.is_empty();
    if all {
        contract::check_tools()?;
    }
    // The orders component, too.
    compose::all()?;
    components::fixtures()?;
    languages::components()?;
    run(cargo(["test", "--workspace", "--locked", "--features", FAULTS]).args(options))?;
    if !all {
        return Ok(());
    }
    contract::test()?;
    portability::test()
}

fn build() -> Result<(), Failed> {
    let component = components::orders()?;
    let composed = compose::all()?;
    let host = profiled::build()?;
    let mut copies = vec![(host, "orders-host"), (component, "orders.wasm")];
    copies.extend(composed.into_iter().map(|composed| (composed.path, composed.kind.file())));
    distribute(&copies)
}

fn component() -> Result<(), Failed> {
    distribute(&[(components::orders()?, "orders.wasm")])
}

/// Copies what was built to `target/dist`, under these names.
fn distribute(copies: &[(PathBuf, &str)]) -> Result<(), Failed> {
    let dist = target().join("dist");
    let copied = std::fs::create_dir_all(&dist).and_then(|()| {
        copies.iter().try_for_each(|(from, name)| {
            let to = dist.join(name);
            std::fs::copy(from, &to)?;
            println!("{:>10} bytes  {}", std::fs::metadata(&to)?.len(), to.display());
            Ok(())
        })
    });
    copied.map_err(|error| Failed(format!("{}: {error}", dist.display())))
}

/// The folder of this repository.
fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Where cargo builds to.
fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => workspace().join(folder),
        None => workspace().join("target"),
    }
}
