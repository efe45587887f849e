//! The stock host, `wasmtime serve`. It is installed outside the target folder, because it takes minutes to build and does not
//! change.

use std::{path::PathBuf, process::Command};

use xtask::{
    command::{TaskError, cargo, output, run},
    target,
};

/// The version of wasmtime-cli to install.
const WASMTIME: &str = "48.0.8";
/// The features that `wasmtime serve` needs, and its compile cache. Further default features could only slow it down.
const WASMTIME_FEATURES: &str =
    "run,serve,component-model-async,cranelift,parallel-compilation,pooling-allocator,cache";

/// The path of the program, installed or not.
#[must_use]
pub fn wasmtime() -> PathBuf {
    cache().join("bin/wasmtime")
}

/// Installs wasmtime-cli, unless this version is installed.
///
/// # Errors
///
/// [`TaskError`] if it does not build.
pub fn install_wasmtime() -> Result<(), TaskError> {
    let version = output(Command::new(wasmtime()).arg("--version")).unwrap_or_default();
    if version.split_whitespace().nth(1) == Some(WASMTIME) {
        return Ok(());
    }
    let install = ["install", "wasmtime-cli", "--version", WASMTIME, "--locked", "--no-default-features"];
    // A build folder that stays lets an interrupted build continue.
    run(cargo(install)
        .args(["--features", WASMTIME_FEATURES, "--root"])
        .arg(cache())
        .env("CARGO_TARGET_DIR", cache().join("build")))
}

fn cache() -> PathBuf {
    let folder = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("XDG_CACHE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(target)
        .join("orders-bench")
}
