//! Installs third-party tools that tests and checks need, in pinned versions, under `target/tools`: Python packages
//! (Node.js is one of them), npm packages and cargo subcommands.

use std::{
    env, fs, iter,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    command::{TaskError, cargo, empty_folder, file_error, output, run},
    process::Process,
    target, workspace,
};

/// How long an installation may take.
const INSTALL: Duration = Duration::from_secs(600);

/// The arguments with which `python3` shows that it can create virtual environments.
pub const VENV: [&str; 2] = ["-c", "import ensurepip, venv"];

/// Checks that programs are installed. `programs` lists a name for people, a program, and arguments with which it
/// succeeds; `purpose` and `command` complete the error.
pub fn require(purpose: &str, command: &str, programs: &[(&str, &str, &[&str])]) -> Result<(), TaskError> {
    let missing: Vec<&str> = programs
        .iter()
        .filter(|(_, program, arguments)| output(Command::new(program).args(*arguments)).is_none())
        .map(|(name, ..)| *name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(TaskError(format!(
        "{purpose} need programs that are missing: {}; `{command}` installs them on Debian and Ubuntu",
        missing.join(", ")
    )))
}

/// The Python of a virtual environment with exactly the packages of a requirements file.
pub fn python(name: &str, requirements: &Path) -> Result<PathBuf, TaskError> {
    let folder = target().join("tools").join(name);
    let python = folder.join("bin/python");
    rebuild_if_changed(&folder, &[requirements], || {
        Process::run(Command::new("python3").args(["-m", "venv"]).arg(&folder), INSTALL)?;
        let pip =
            ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"];
        Process::run(Command::new(&python).args(pip).arg(requirements), INSTALL)
    })?;
    Ok(python)
}

/// The requirements of the contract tests and of the test components in Python.
pub fn requirements() -> PathBuf {
    workspace().join("tests/contract/requirements.txt")
}

/// A command for a Node.js script. The script finds Node.js on the PATH, in the virtual environment.
pub fn node_program(program: &Path, python: &Path) -> Command {
    let mut command = Command::new(program);
    let venv = python.parent().unwrap_or(Path::new("")).to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    if let Ok(path) = env::join_paths(iter::once(venv).chain(env::split_paths(&path))) {
        command.env("PATH", path);
    }
    command
}

/// Installs the packages that `source/package-lock.json` lists; returns their `node_modules` folder.
pub fn npm(name: &str, source: &Path, python: &Path) -> Result<PathBuf, TaskError> {
    // No package needs its scripts.
    npm_with(&["ci", "--engine-strict", "--ignore-scripts", "--no-audit", "--no-fund"], name, source, python)
}

/// Like [`npm`], for packages with optional parts for other platforms that the registry does not have: `npm ci` rejects
/// their lock file, because it cannot list those parts. `npm install` uses the same versions and checksums.
pub fn npm_without_other_platforms(name: &str, source: &Path, python: &Path) -> Result<PathBuf, TaskError> {
    npm_with(&["install", "--ignore-scripts", "--no-audit", "--no-fund"], name, source, python)
}

fn npm_with(arguments: &[&str], name: &str, source: &Path, python: &Path) -> Result<PathBuf, TaskError> {
    let folder = target().join("tools").join(name);
    let names = ["package.json", "package-lock.json"];
    let [package, lock] = names.map(|name| source.join(name));
    rebuild_if_changed(&folder, &[&package, &lock], || {
        for name in names {
            let copy = folder.join(name);
            fs::copy(source.join(name), &copy).map_err(|error| file_error(&copy, &error))?;
        }
        let npm = python.with_file_name("npm");
        Process::run(node_program(&npm, python).current_dir(&folder).args(arguments), INSTALL)
    })?;
    Ok(folder.join("node_modules"))
}

/// Installs a cargo subcommand, unless this version is installed; returns the program. `query` is the arguments with which
/// it prints its version. It is compiled without optimisation: it runs for seconds, and an optimised build takes minutes.
pub fn cargo_tool(name: &str, version: &str, query: &[&str]) -> Result<PathBuf, TaskError> {
    let root = target().join("tools");
    let program = root.join("bin").join(name);
    let installed = output(Command::new(&program).args(query));
    if !installed.is_some_and(|text| text.ends_with(&format!(" {version}"))) {
        let install = ["install", name, "--version", version, "--locked", "--debug", "--force"];
        run(cargo(install).arg("--root").arg(&root))?;
    }
    Ok(program)
}

/// Empties a folder and runs `build` to fill it, unless it was built from the present content of `sources`.
pub fn rebuild_if_changed(
    folder: &Path,
    sources: &[&Path],
    build: impl FnOnce() -> Result<(), TaskError>,
) -> Result<(), TaskError> {
    let mut wanted = Vec::new();
    for source in sources {
        wanted.extend(fs::read(source).map_err(|error| file_error(source, &error))?);
    }
    let stamp = folder.join("installed");
    if fs::read(&stamp).is_ok_and(|built| built == wanted) {
        return Ok(());
    }
    empty_folder(folder)?;
    build()?;
    fs::write(&stamp, wanted).map_err(|error| file_error(&stamp, &error))
}
