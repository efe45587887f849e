//! `cargo xtask serve`: builds the component and the host, and serves.

use std::{fs, os::unix::process::CommandExt, process::Command};

use clap::Args;

use xtask::{
    command::{Failed, build_programs, built, cargo, failed, run},
    components,
    host::{self, HOST},
    workspace,
};

/// What to serve with.
#[derive(Args)]
pub(crate) struct Options {
    /// With the release profile: slower to build, fast to run
    #[arg(long)]
    release: bool,
    /// Options for `orders-host serve`
    #[arg(last = true)]
    options: Vec<String>,
}

/// Builds what is needed, no more, and becomes the host.
///
/// # Errors
///
/// [`Failed`] if something does not build. Otherwise this does not return.
pub(crate) fn serve(options: &Options) -> Result<(), Failed> {
    println!("Building the component…");
    components::compile_orders()?;
    let binary = if options.release { host::binary() } else { built(HOST) };
    if binary.exists() {
        println!("Building the host…");
    } else {
        println!("Building the host: the first build takes some minutes, most of it wasmtime…");
    }
    if options.release {
        run(&mut cargo(["build", "--locked", "--package", HOST, "--profile", "release"]))?;
        // It runs for a moment: it is not worth a release build.
        components::build_encoder()?;
    } else {
        build_programs(&[HOST, components::ENCODER])?;
    }
    let component = components::encode_orders()?;
    let data = workspace().join("data");
    fs::create_dir_all(&data).map_err(|error| failed(&data, &error))?;

    println!("\nOnce it is serving (here: on its default address), try:\n");
    println!("  curl -i http://127.0.0.1:8080/api/v1/orders -H 'Content-Type: application/json' \\");
    println!(
        r#"    -d '{{"customer":"ada","currency":"EUR","items":[{{"sku":"tea-1","quantity":2,"unit_price":450}}]}}'"#
    );
    println!("  curl -i http://127.0.0.1:8080/api/v1/orders\n");

    let mut host = Command::new(&binary);
    host.current_dir(workspace())
        .arg("serve")
        .arg("--component")
        .arg(component)
        .args(["--store", "sqlite:data/orders.db", "--drain-delay", "0s"])
        .args(["--smoke", "GET /openapi.json", "--smoke", "GET /api/v1/orders?limit=1"])
        .args(&options.options);
    // In this process's place, so that it gets the terminal's signals and its exit code is the one seen. Its log says when
    // it is serving.
    Err(Failed(format!("cannot run {}: {}", binary.display(), host.exec())))
}
