//! Programs of others, pinned in this repository and installed under `target/tools` only.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{command::Failed, process::Process, target};

/// How long an installation may take.
pub(crate) const INSTALL: Duration = Duration::from_secs(600);

/// The Python of a virtual environment under `target/tools` that has what a list of requirements names, and no more.
///
/// # Errors
///
/// [`Failed`] if it cannot be installed.
pub(crate) fn python(name: &str, requirements: &Path) -> Result<PathBuf, Failed> {
    let folder = target().join("tools").join(name);
    let python = folder.join("bin/python");
    unless_installed(&folder, &[requirements], || {
        Process::run(Command::new("python3").args(["-m", "venv"]).arg(&folder), INSTALL)?;
        let pip =
            ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"];
        Process::run(Command::new(&python).args(pip).arg(requirements), INSTALL)
    })?;
    Ok(python)
}

/// Installs into a folder, from nothing, if it has not been done for the present content of `sources`.
///
/// # Errors
///
/// [`Failed`] if it cannot be installed.
pub(crate) fn unless_installed(
    folder: &Path,
    sources: &[&Path],
    install: impl FnOnce() -> Result<(), Failed>,
) -> Result<(), Failed> {
    let mut wanted = Vec::new();
    for source in sources {
        wanted.extend(fs::read(source).map_err(|error| failed(source, &error))?);
    }
    let stamp = folder.join("installed");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    install()?;
    fs::write(&stamp, wanted).map_err(|error| failed(&stamp, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> Failed {
    Failed(format!("{}: {error}", path.display()))
}
