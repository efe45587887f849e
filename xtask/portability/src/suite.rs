//! How a host is started here, and the test suite that every host must pass.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use xtask::{
    command::{TaskError, announce, empty_folder},
    process::{Group, Process},
    serving::{Serving, address_in},
    target, workspace,
};

/// How long a test script may take on one host.
const LIMIT: Duration = Duration::from_secs(120);

/// Starts a host in a process group of its own, and prints its output, except lines that contain its address.
pub(crate) fn start(command: &mut Command) -> Result<Serving, TaskError> {
    announce(command);
    Serving::start(command, Group::Own, |line| {
        if address_in(line).is_none() {
            eprintln!("  {line}");
        }
    })
}

/// Runs the suite. `host` selects the host's column of the table `EXPECTED` in `tests/contract/http_lint.py`.
pub(crate) fn run_suite(python: &Path, serving: &Serving, host: &str) -> Result<(), TaskError> {
    let url = format!("http://{}", serving.address);
    run_script(python, "http_lint.py", |command| command.arg(url).arg(host).env("NO_PROXY", "127.0.0.1"))
}

/// Runs a script of `tests/contract/`.
pub(crate) fn run_script(
    python: &Path,
    name: &str,
    arguments: impl FnOnce(&mut Command) -> &mut Command,
) -> Result<(), TaskError> {
    let mut command = Command::new(python);
    command.arg("-B").arg(workspace().join("tests/contract").join(name));
    Process::run(arguments(&mut command), LIMIT)
}

/// Creates an empty folder of this name; returns its path.
pub(crate) fn scratch_folder(name: &str) -> Result<PathBuf, TaskError> {
    let folder = target().join("portability").join(name);
    empty_folder(&folder).map(|()| folder)
}
