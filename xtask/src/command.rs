//! Running other programs: said before, checked after.

use std::{
    ffi::OsStr,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use crate::workspace;

/// Why a task ended: one line for the developer.
pub(crate) struct Failed(pub(crate) String);

/// The cargo that runs us, in the folder of this repository.
pub(crate) fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.current_dir(workspace()).args(arguments);
    command
}

/// Runs a command to its end, with its output where ours goes.
///
/// # Errors
///
/// [`Failed`] if it cannot be started or does not succeed.
pub(crate) fn run(command: &mut Command) -> Result<(), Failed> {
    let words = words(command);
    eprintln!("+ {words}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failed(format!("`{words}` failed: {status}"))),
        Err(error) => Err(Failed(format!("`{words}` cannot be run: {error}"))),
    }
}

/// Lets time go by: something is measured for so long, or looked at so often.
#[allow(clippy::disallowed_methods, reason = "here the time itself is what is waited for")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// What a command prints, or nothing if it cannot be run or fails.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What a command prints, which has to succeed.
///
/// # Errors
///
/// [`Failed`] with what it says, if it does not succeed.
pub(crate) fn ask(command: &mut Command) -> Result<String, Failed> {
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
pub(crate) fn failed(path: &Path, error: &std::io::Error) -> Failed {
    Failed(format!("{}: {error}", path.display()))
}
