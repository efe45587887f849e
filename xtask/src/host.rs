//! A host for tests and measurements: how it is started on a free port, and what its log says.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::target;

/// The package and the name of our host's program.
pub const HOST: &str = "orders-host";

/// The release build.
#[must_use]
pub fn binary() -> PathBuf {
    target().join("release/orders-host")
}

/// The release build, made with a profile of itself under load.
#[must_use]
pub fn profiled() -> PathBuf {
    target().join("profiled/optimized/release/orders-host")
}

/// The arguments to serve with. The access log is off: no other contender of the benchmark writes one.
pub fn serve<'a>(command: &'a mut Command, component: &Path, store: &str) -> &'a mut Command {
    command
        .arg("serve")
        .arg("--component")
        .arg(component)
        .args(["--store", store])
        .args([
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "off",
            "--drain-delay",
            "0s",
            "--log-format",
            "json",
        ])
        .args(["--log", "info,access=warn"])
}

/// The text value of a member of a flat JSON object.
#[must_use]
pub fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_once(&format!("\"{name}\":\""))?.1.split('"').next()
}
