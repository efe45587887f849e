//! The stock host, `wasmtime serve`: built where it is asked for, and kept outside target/.

use std::{path::PathBuf, process::Command};

use xtask::{
    command::{Failed, cargo, output, run},
    target,
};

/// The version of wasmtime-cli that is installed.
const WASMTIME: &str = "48.0.8";
/// What `wasmtime serve` needs, and its compile cache. What its default build has beyond that could only slow it down.
const WASMTIME_FEATURES: &str =
    "run,serve,component-model-async,cranelift,parallel-compilation,pooling-allocator,cache";

/// The stock host. It lies outside target/, for it takes minutes to build and does not change.
#[must_use]
pub fn wasmtime() -> PathBuf {
    cache().join("bin/wasmtime")
}

/// Builds wasmtime-cli, if it is not there.
///
/// # Errors
///
/// [`Failed`] if it does not build.
pub fn install_wasmtime() -> Result<(), Failed> {
    let version = output(Command::new(wasmtime()).arg("--version")).unwrap_or_default();
    if version.split_whitespace().nth(1) == Some(WASMTIME) {
        return Ok(());
    }
    let install = ["install", "wasmtime-cli", "--version", WASMTIME, "--locked", "--no-default-features"];
    // Cargo builds where it installs to, so that an interrupted build goes on from there.
    run(cargo(install)
        .args(["--features", WASMTIME_FEATURES, "--root"])
        .arg(cache())
        .env("CARGO_TARGET_DIR", cache().join("build")))
}

fn cache() -> PathBuf {
    let home = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    home("XDG_CACHE_HOME")
        .or_else(|| home("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(target)
        .join("orders-bench")
}
