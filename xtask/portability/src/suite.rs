//! How a host is started here, and the suite that it is held to.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use xtask::{
    command::{Failed, announce, failed},
    process::{Group, Process},
    serving::{Serving, address_in},
    target, workspace,
};

/// How long the suite may take in one host.
pub(crate) const SUITE: Duration = Duration::from_secs(120);

/// Starts a host, in a group with whatever it starts; what it says is shown but for where it listens.
///
/// # Errors
///
/// [`Failed`] if it cannot be started, or does not say where it listens.
pub(crate) fn start(command: &mut Command) -> Result<Serving, Failed> {
    announce(command);
    Serving::start(command, Group::Own, |line| {
        if address_in(line).is_none() {
            eprintln!("  {line}");
        }
    })
}

/// The suite, with what it expects of this host.
pub(crate) fn suite(python: &Path, serving: &Serving, host: &str) -> Result<(), Failed> {
    let mut command = Command::new(python);
    command.arg("-B").arg(workspace().join("tests/contract/http_lint.py"));
    command.arg(format!("http://{}", serving.address)).arg(host).env("NO_PROXY", "127.0.0.1");
    Process::run(&mut command, SUITE)
}

/// An empty folder of this name.
pub(crate) fn fresh(name: &str) -> Result<PathBuf, Failed> {
    let folder = target().join("portability").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
    Ok(folder)
}

/// A port that was free just now, for programs that cannot be told to take any and to say which.
pub(crate) fn free_port() -> Result<String, Failed> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    address.map(|address| address.port().to_string()).map_err(|error| Failed(error.to_string()))
}
