//! Runs buildah and podman without a registry, with the settings that the scripts in `xtask/image` write: they neither see
//! nor change the images and settings of the machine.

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use xtask::{
    command::{TaskError, pause, run},
    process::Process,
    target, workspace,
};

/// The limit for one step. A whole build needs a third of it on two slow cores.
const LIMIT: Duration = Duration::from_secs(3600);

/// The folder with images, containers and settings.
pub(crate) fn folder() -> PathBuf {
    target().join("image")
}

/// Runs a script of `xtask/image`.
pub(crate) fn script(name: &str, arguments: &str) -> Result<(), TaskError> {
    run(Command::new(workspace().join("xtask/image").join(name)).args(arguments.split_whitespace()))
}

/// A command that uses our settings.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command
        .env("CONTAINERS_CONF", folder().join("containers.conf"))
        .env("CONTAINERS_STORAGE_CONF", folder().join("storage.conf"));
    command
}

/// Runs a command to its end, with the [`LIMIT`].
pub(crate) fn run_step(command: &mut Command) -> Result<(), TaskError> {
    Process::run(command, LIMIT)
}

/// Polls until a condition holds.
pub(crate) fn wait_until(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> bool,
) -> Result<(), TaskError> {
    let deadline = Instant::now() + limit;
    while !condition() {
        if Instant::now() > deadline {
            return Err(TaskError(format!("waited more than {} s for {what}", limit.as_secs())));
        }
        pause(Duration::from_millis(100));
    }
    Ok(())
}
