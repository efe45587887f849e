//! buildah and podman, and what else of Debian is needed to build an image and to run it, without a registry.
//!
//! Whatever they keep lies under `target/image`: no image or setting of the machine's is seen or changed.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use rustix::process::geteuid;

use crate::{
    command::{Failed, failed, output, run},
    process::Process,
    target,
};

/// How long one step may take: a whole build on two slow cores needs a third of it.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The programs that build an image and make what it is built from, and their packages.
pub(crate) const BUILDING: [(&str, &str); 3] =
    [("buildah", "buildah"), ("mmdebstrap", "mmdebstrap"), ("zstd", "zstd")];
/// The programs that run containers on a network of their own, and their packages.
pub(crate) const RUNNING: [(&str, &str); 4] =
    [("podman", "podman"), ("runc", "runc"), ("conmon", "conmon"), ("iptables", "iptables")];

/// What podman is set to: where there is no systemd, and control groups of two versions side by side.
const CONTAINERS: &str = r#"[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]

[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"

[network]
network_backend = "netavark"
"#;

/// Where all of it lies.
pub(crate) fn folder() -> PathBuf {
    target().join("image")
}

/// Installs the packages of programs that are missing, and writes the settings.
///
/// # Errors
///
/// [`Failed`] if this is not the root user, or a program is missing and cannot be installed.
pub(crate) fn prepare(programs: &[(&str, &str)]) -> Result<(), Failed> {
    if !geteuid().is_root() {
        return Err(Failed(
            "images are built and run as root here: containers need networks and mounts".into(),
        ));
    }
    let has = |program: &str| output(Command::new("which").arg(program)).is_some();
    let missing: Vec<&str> =
        programs.iter().filter(|(program, _)| !has(program)).map(|(_, package)| *package).collect();
    if !missing.is_empty() {
        if !has("apt-get") {
            return Err(Failed(format!("install {} and try again", missing.join(" "))));
        }
        run(Command::new("apt-get").args(["update", "-q"]))?;
        // What podman only recommends, but its networks need.
        let more: &[&str] = if missing.contains(&"podman") { &["aardvark-dns", "netavark"] } else { &[] };
        run(Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["install", "-y", "-q", "--no-install-recommends"])
            .args(missing)
            .args(more))?;
    }
    let folder = folder();
    let [storage, running] = ["storage", "run"].map(|name| folder.join(name).display().to_string());
    let settings =
        format!("[storage]\ndriver = \"overlay\"\ngraphroot = \"{storage}\"\nrunroot = \"{running}\"\n");
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(folder.join("containers.conf"), CONTAINERS))
        .and_then(|()| fs::write(folder.join("storage.conf"), settings))
        .map_err(|error| failed(&folder, &error))
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
