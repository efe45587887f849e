//! `cargo xtask serve`: builds the host and the component, and serves.

use std::process::Command;

use clap::Args;

use xtask::{
    command::{TaskError, build_programs, cargo, debug_program, exec, run},
    components::{self, ENCODER},
    host::{self, HOST},
    operators, workspace,
};

/// With this variable, the developer configures the admin API.
const VARIABLE: &str = "ORDERS_ADMIN_LISTEN";

#[derive(Args)]
pub(crate) struct Options {
    /// Use the release profile: slower to build, faster to run
    #[arg(long)]
    release: bool,
    /// Options for `orders-host serve`
    #[arg(last = true)]
    options: Vec<String>,
}

/// Builds what is needed and replaces this process with the host, whose log says when it is serving.
pub(crate) fn serve(options: &Options) -> Result<(), TaskError> {
    let binary = if options.release { host::binary() } else { debug_program(HOST) };
    let duration =
        if binary.exists() { "" } else { " (the first build takes some minutes, mostly for wasmtime)" };
    println!("Building the host{duration}");
    if options.release {
        run(&mut cargo(["build", "--locked", "--package", HOST, "--profile", "release"]))?;
    } else {
        // One call, so that cargo builds both programs in parallel.
        build_programs(&[HOST, ENCODER])?;
    }
    println!("Building the component");
    let component = components::orders()?;
    operators::data()?;

    let order =
        r#"{"customer":"ada","currency":"EUR","items":[{"sku":"tea-1","quantity":2,"unit_price":450}]}"#;
    let url = "http://127.0.0.1:8080/api/v1/orders";
    println!(
        "\nStarting the host. When it logs \"serving\", create an order and list all orders (default address):"
    );
    println!("  curl -i {url} -H 'Content-Type: application/json' -d '{order}'\n  curl -i {url}\n");

    let mut command = Command::new(&binary);
    command
        .current_dir(workspace())
        .args(["serve", "--store", "sqlite:data/orders.db", "--drain-delay", "0s"])
        .args([
            "--smoke",
            "GET /openapi.json 200",
            "--smoke",
            "GET /api/v1/orders?limit=1 200",
            "--component",
        ])
        .arg(component);
    if !operators::is_configured(&options.options, VARIABLE) {
        let (file, token) = operators::token()?;
        command.args(["--admin-listen", operators::ADDRESS, "--admin-token-file"]).arg(&file);
        let address = operators::ADDRESS;
        println!("Operators: http://{address}, with the token {token}. For `orders-host module`:");
        println!("  export ORDERS_ADMIN=http://{address} ORDERS_ADMIN_TOKEN_FILE={}\n", file.display());
    }
    exec(command.args(&options.options))
}
