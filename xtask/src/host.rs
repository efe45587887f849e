//! A host for tests and measurements: how it is started on a free port, and what its log says.

use std::{
    io::BufRead,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{command::Failed, target};

/// The release build.
pub(crate) fn binary() -> PathBuf {
    target().join("release/orders-host")
}

/// The arguments to serve with. The access log is off: no other contender of the benchmark writes one.
pub(crate) fn serve<'a>(command: &'a mut Command, component: &Path, store: &str) -> &'a mut Command {
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

/// The next line that contains this.
///
/// # Errors
///
/// [`Failed`] if there is none.
pub(crate) fn line_with(log: &mut impl BufRead, wanted: &str) -> Result<String, Failed> {
    let mut line = String::new();
    while log.read_line(&mut line).is_ok_and(|read| read > 0) {
        if line.contains(wanted) {
            return Ok(line);
        }
        line.clear();
    }
    Err(Failed(format!("the host's log ended without {wanted}")))
}

/// The text value of a member of a flat JSON object.
pub(crate) fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_once(&format!("\"{name}\":\""))?.1.split('"').next()
}
