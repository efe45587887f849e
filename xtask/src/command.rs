//! Runs programs: prints the command line first, checks the exit status afterwards.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use crate::{target, workspace};

/// Why a task failed: one line for the developer.
pub struct TaskError(
    /// The line.
    pub String,
);

/// The exit code of a program; prints why its task failed.
#[must_use]
pub fn exit(outcome: Result<(), TaskError>) -> ExitCode {
    let Err(TaskError(reason)) = outcome else { return ExitCode::SUCCESS };
    eprintln!("xtask: {reason}");
    ExitCode::FAILURE
}

/// The cargo that runs this program, in the root folder of this repository.
pub fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.current_dir(workspace()).args(arguments);
    command
}

/// Builds programs of this repository with the `dev` profile. `--workspace` gives their dependencies the same features as
/// `cargo test --workspace`, so that wasmtime is compiled only once.
pub fn build_programs(names: &[&str]) -> Result<(), TaskError> {
    let names = names.iter().flat_map(|name| ["--bin", name]);
    run(cargo(["build", "--locked", "--workspace"]).args(names))
}

/// A program that [`build_programs`] has built.
#[must_use]
pub fn debug_program(name: &str) -> PathBuf {
    target().join("debug").join(name)
}

/// Builds a program of this repository and returns the command that runs it.
pub fn program(name: &str) -> Result<Command, TaskError> {
    build_programs(&[name])?;
    Ok(Command::new(debug_program(name)))
}

/// Builds a program of this repository and replaces this process with it, so that it receives the terminal's signals and
/// its exit code is the one reported. Returns only on failure.
pub fn exec_program(name: &str, arguments: impl IntoIterator<Item = OsString>) -> Result<(), TaskError> {
    exec(program(name)?.args(arguments))
}

/// Replaces this process with a command. Returns only on failure.
pub fn exec(command: &mut Command) -> Result<(), TaskError> {
    let error = command.exec();
    Err(TaskError(format!("cannot run {}: {error}", Path::new(command.get_program()).display())))
}

/// Runs a command to its end. It inherits standard output and standard error.
pub fn run(command: &mut Command) -> Result<(), TaskError> {
    let line = announce(command);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(TaskError(format!("`{line}` failed: {status}"))),
        Err(error) => Err(TaskError(format!("cannot run `{line}`: {error}"))),
    }
}

/// Prints and returns the command line.
pub fn announce(command: &Command) -> String {
    let line = command_line(command);
    eprintln!("+ {line}");
    line
}

/// Sleeps: for the length of a measurement, or between two polls.
#[allow(clippy::disallowed_methods, reason = "the callers measure or poll")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// The trimmed standard output of a command; `None` if it cannot be run or fails.
#[must_use]
pub fn output(command: &mut Command) -> Option<String> {
    capture(command.stderr(Stdio::null())).ok()
}

/// The trimmed standard output of a command that must succeed. The error contains its standard error.
pub fn capture(command: &mut Command) -> Result<String, TaskError> {
    let line = command_line(command);
    let output = command.output().map_err(|error| TaskError(format!("cannot run `{line}`: {error}")))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(TaskError(format!("`{line}` failed: {}", text(&output.stderr))))
    }
}

fn command_line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(OsStr::new("?"));
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Creates an empty folder, in place of an existing one.
pub fn empty_folder(path: &Path) -> Result<(), TaskError> {
    let _ = fs::remove_dir_all(path);
    fs::create_dir_all(path).map_err(|error| file_error(path, &error))
}

/// An error that names the file or folder.
#[must_use]
pub fn file_error(path: &Path, error: &io::Error) -> TaskError {
    TaskError(format!("{}: {error}", path.display()))
}
