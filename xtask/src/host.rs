//! How our host is started on a free port, for tests and measurements, and how its log is read.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::target;

/// The package and the program of our host.
pub const HOST: &str = "orders-host";

/// The release build.
#[must_use]
pub fn binary() -> PathBuf {
    target().join("release/orders-host")
}

/// The release build that was optimised with a profile of itself under load.
#[must_use]
pub fn profiled() -> PathBuf {
    target().join("profiled/optimized/release/orders-host")
}

/// Adds the arguments to serve with. The access log is off, because no other server in the benchmark writes one.
pub fn serve<'a>(command: &'a mut Command, component: &Path, store: &str) -> &'a mut Command {
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "off", "--drain-delay", "0s"])
        .args(["--log", "info,access=warn", "--log-format", "json", "--store", store, "--component"])
        .arg(component)
}

/// The text value of a member of a flat JSON object.
#[must_use]
pub fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_once(&format!("\"{name}\":\""))?.1.split('"').next()
}
