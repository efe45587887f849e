//! Programs of others that tests need, pinned in this repository: Python packages, Node.js among them, and npm packages.
//! They are installed under `target/tools` only.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    command::{Failed, failed},
    process::Process,
    target, workspace,
};

/// How long an installation may take.
const INSTALL: Duration = Duration::from_secs(600);

/// The Python of a virtual environment of this name that has what a list of requirements names, and no more.
///
/// # Errors
///
/// [`Failed`] if it cannot be installed.
pub fn python(name: &str, requirements: &Path) -> Result<PathBuf, Failed> {
    let folder = target().join("tools").join(name);
    let python = folder.join("bin/python");
    unless_made(&folder, &[requirements], || {
        Process::run(Command::new("python3").args(["-m", "venv"]).arg(&folder), INSTALL)?;
        let pip =
            ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"];
        Process::run(Command::new(&python).args(pip).arg(requirements), INSTALL)
    })?;
    Ok(python)
}

/// What the contract tests and the guests in Python need.
pub fn requirements() -> PathBuf {
    workspace().join("tests/contract/requirements.txt")
}

/// A program that finds the Node.js of the virtual environment, as its scripts expect it: on the path.
pub fn node_program(program: &Path, python: &Path) -> Command {
    let mut command = Command::new(program);
    let venv = python.parent().map(Path::as_os_str).unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(PathBuf::from(venv)).chain(std::env::split_paths(&path));
    if let Ok(path) = std::env::join_paths(folders) {
        command.env("PATH", path);
    }
    command
}

/// The `node_modules` with what the `package-lock.json` in the folder `source` lists, in a folder of this name.
///
/// # Errors
///
/// [`Failed`] if they cannot be installed.
pub fn npm(name: &str, source: &Path, python: &Path) -> Result<PathBuf, Failed> {
    // No package needs its scripts.
    npm_by(&["ci", "--engine-strict", "--ignore-scripts", "--no-audit", "--no-fund"], name, source, python)
}

/// The same for packages that have parts for platforms of others which the registry does not have: `npm ci` refuses their
/// `package-lock.json`, which cannot list them. Versions and sums are those of that file all the same.
///
/// # Errors
///
/// [`Failed`] if they cannot be installed.
pub fn npm_for_here(name: &str, source: &Path, python: &Path) -> Result<PathBuf, Failed> {
    npm_by(&["install", "--ignore-scripts", "--no-audit", "--no-fund"], name, source, python)
}

fn npm_by(arguments: &[&str], name: &str, source: &Path, python: &Path) -> Result<PathBuf, Failed> {
    let folder = target().join("tools").join(name);
    let [package, lock] = ["package.json", "package-lock.json"].map(|name| source.join(name));
    unless_made(&folder, &[&package, &lock], || {
        for source in [&package, &lock] {
            let copy = folder.join(source.file_name().unwrap_or_default());
            fs::copy(source, &copy).map_err(|error| failed(&copy, &error))?;
        }
        let npm = python.with_file_name("npm");
        Process::run(node_program(&npm, python).current_dir(&folder).args(arguments), INSTALL)
    })?;
    Ok(folder.join("node_modules"))
}

/// Makes a folder, from nothing, if it has not been made of the present content of `sources`.
///
/// # Errors
///
/// [`Failed`] if a source cannot be read, or it cannot be made.
pub fn unless_made(
    folder: &Path,
    sources: &[&Path],
    make: impl FnOnce() -> Result<(), Failed>,
) -> Result<(), Failed> {
    let mut wanted = Vec::new();
    for source in sources {
        wanted.extend(fs::read(source).map_err(|error| failed(source, &error))?);
    }
    let stamp = folder.join("installed");
    if fs::read(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(());
    }
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    make()?;
    fs::write(&stamp, wanted).map_err(|error| failed(&stamp, &error))
}
