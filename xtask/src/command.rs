//! Running other programs: said before, checked after.

use std::{
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use crate::{target, workspace};

/// Why a task ended: one line for the developer.
pub struct Failed(
    /// What the developer is told.
    pub String,
);

/// Ends a program: says why its task failed, if it did.
#[must_use]
pub fn exit(outcome: Result<(), Failed>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed(what)) => {
            eprintln!("xtask: {what}");
            ExitCode::FAILURE
        }
    }
}

/// The cargo that runs us, in the folder of this repository.
pub fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.current_dir(workspace()).args(arguments);
    command
}

/// Builds programs of this repository for development. Their dependencies have the features that the whole workspace gives
/// them, so that wasmtime and all else that programs and tests have in common is compiled once.
///
/// # Errors
///
/// [`Failed`] if one does not build.
pub fn build_programs(names: &[&str]) -> Result<(), Failed> {
    let names = names.iter().flat_map(|name| ["--bin", name]);
    run(cargo(["build", "--locked", "--workspace"]).args(names))
}

/// A program of this repository that [`build_programs`] has built.
#[must_use]
pub fn built(name: &str) -> PathBuf {
    target().join("debug").join(name)
}

/// Builds a program of this repository and gives the command to run it.
///
/// # Errors
///
/// [`Failed`] if it does not build.
pub fn program(name: &str) -> Result<Command, Failed> {
    build_programs(&[name])?;
    Ok(Command::new(built(name)))
}

/// Builds a program of this repository and runs it in the place of this process: signals reach it, and its exit code is the
/// one seen.
///
/// # Errors
///
/// [`Failed`] if it does not build or cannot be run. Otherwise this does not return.
pub fn become_program(name: &str, arguments: impl IntoIterator<Item = OsString>) -> Result<(), Failed> {
    let error = program(name)?.args(arguments).exec();
    Err(Failed(format!("{name} cannot be run: {error}")))
}

/// Runs a command to its end, with its output where ours goes.
///
/// # Errors
///
/// [`Failed`] if it cannot be started or does not succeed.
pub fn run(command: &mut Command) -> Result<(), Failed> {
    let words = announce(command);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failed(format!("`{words}` failed: {status}"))),
        Err(error) => Err(Failed(format!("`{words}` cannot be run: {error}"))),
    }
}

/// Says which command is run; gives its words.
pub fn announce(command: &Command) -> String {
    let words = words(command);
    eprintln!("+ {words}");
    words
}

/// Lets time go by: something is measured for so long, or looked at so often.
#[allow(clippy::disallowed_methods, reason = "here the time itself is what is waited for")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// What a command prints, or nothing if it cannot be run or fails.
#[must_use]
pub fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What a command prints, which has to succeed.
///
/// # Errors
///
/// [`Failed`] with what it says, if it does not succeed.
pub fn ask(command: &mut Command) -> Result<String, Failed> {
    let name = command.get_program().to_string_lossy().into_owned();
    let answer = command.output().map_err(|error| Failed(format!("{name} cannot be run: {error}")))?;
    if answer.status.success() {
        return Ok(String::from_utf8_lossy(&answer.stdout).trim().to_owned());
    }
    let arguments: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    let said = String::from_utf8_lossy(&answer.stderr);
    Err(Failed(format!("`{name} {}` failed: {}", arguments.join(" "), said.trim())))
}

fn words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(OsStr::new("?"));
    std::iter::once(program)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// What went wrong with a file or a folder.
#[must_use]
pub fn failed(path: &Path, error: &std::io::Error) -> Failed {
    Failed(format!("{}: {error}", path.display()))
}
