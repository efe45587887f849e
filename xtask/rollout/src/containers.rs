//! buildah and podman, and what else of Debian is needed to run an image without a registry: with the settings that the
//! scripts in `xtask/image` write. No image or setting of the machine's is seen or changed.

use std::{path::PathBuf, process::Command, time::Duration};

use xtask::{
    command::{Failed, run},
    process::Process,
    target, workspace,
};

/// How long one step may take: a whole build on two slow cores needs a third of it.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The programs that run containers on a network of their own, and what they are tested with: each with its package.
const PROGRAMS: [&str; 6] = [
    "podman:podman",
    "runc:runc",
    "conmon:conmon",
    "iptables:iptables",
    "pg_lsclusters:postgresql",
    "haproxy:haproxy",
];

/// Where all of it lies.
pub(crate) fn folder() -> PathBuf {
    target().join("image")
}

/// Installs the packages of programs that are missing, and writes the settings.
///
/// # Errors
///
/// [`Failed`] if this is not the root user, or a program is missing and cannot be installed.
pub(crate) fn prepare() -> Result<(), Failed> {
    script("prepare", &PROGRAMS)
}

/// Builds the image; gives its name.
///
/// # Errors
///
/// [`Failed`] if it does not build.
pub(crate) fn build_image() -> Result<&'static str, Failed> {
    script("build", &[]).map(|()| "localhost/orders:built")
}

fn script(name: &str, arguments: &[&str]) -> Result<(), Failed> {
    run(Command::new(workspace().join("xtask/image").join(name)).args(arguments))
}

/// A program that sees our settings.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command
        .env("CONTAINERS_CONF", folder().join("containers.conf"))
        .env("CONTAINERS_STORAGE_CONF", folder().join("storage.conf"));
    command
}

/// Runs one of them to its end.
///
/// # Errors
///
/// [`Failed`] if it does not succeed, or takes an hour.
pub(crate) fn finish(command: &mut Command) -> Result<(), Failed> {
    Process::run(command, PATIENCE)
}
