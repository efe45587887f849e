//! Child processes: this binary again, running one of the ignored tests below.

use std::{
    env, fs,
    io::{Read, Write, stdin},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Output, Stdio},
};

use orders_host::module::shelf::Shelf;

use crate::support::{active, compile, component, large_component, open};

/// A child without a file size limit.
pub(crate) fn unlimited() -> Command {
    Command::new(env::current_exe().unwrap())
}

/// A child that cannot create a file larger than `bytes`: a write beyond this fails, or ends the child by SIGXFSZ.
pub(crate) fn limited(bytes: usize, overrun: Overrun) -> Command {
    let trap = match overrun {
        Overrun::Fails => "trap '' XFSZ; ",
        Overrun::Kills => "",
    };
    let mut command = Command::new("prlimit");
    command.arg(format!("--fsize={bytes}")).args(["sh", "-c", &format!("{trap}exec \"$0\" \"$@\"")]);
    command.arg(env::current_exe().unwrap());
    command
}

/// What happens when a write exceeds the limit.
#[derive(Clone, Copy)]
pub(crate) enum Overrun {
    Fails,
    Kills,
}

/// Runs one of the tests below on a folder, and waits for its end.
pub(crate) fn run(mut command: Command, test: &str, folder: &Path) -> Output {
    let test = format!("children::{test}");
    command.args(["--exact", &test, "--ignored", "--nocapture"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // Dropping the pipe ends the child's input.
    write!(process.stdin.take().unwrap(), "{}", folder.display()).unwrap();
    process.wait_with_output().unwrap()
}

/// Asserts that the child test passed.
pub(crate) fn assert_succeeded(output: &Output) {
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("1 passed"), "{output:?}");
}

/// Asserts that this signal ended the child.
pub(crate) fn assert_ended_by(output: &Output, signal: i32) {
    assert_eq!(output.status.signal(), Some(signal), "{output:?}");
}

/// The folder that the parent names; `None` without a parent, when all ignored tests are run.
fn folder() -> Option<String> {
    let mut folder = String::new();
    stdin().read_to_string(&mut folder).unwrap();
    Some(folder).filter(|folder| !folder.is_empty())
}

#[test]
#[ignore = "a child of another test"]
fn child_finds_the_folder_locked() {
    let Some(folder) = folder() else { return };
    let error = Shelf::open(folder.as_ref(), 1).unwrap_err();
    assert!(error.contains("another process uses it"), "{error}");
}

/// A module is stored, activated in place of another one, and the other one is removed.
#[test]
#[ignore = "a child of other tests"]
fn child_replaces_the_module() {
    let Some(folder) = folder() else { return };
    let shelf = Shelf::open(folder.as_ref(), 1).unwrap();
    let new = component(b'b');
    let module = shelf.store_component(&new).unwrap();
    shelf.store_compiled(&compile(&new)).unwrap();
    shelf.activate(active(module)).unwrap();
    shelf.write_history(module.to_string().as_bytes()).unwrap();
    shelf.remove_old(&[]);
}

#[test]
#[ignore = "a child of other tests"]
fn child_stores_a_large_component() {
    let Some(folder) = folder() else { return };
    let shelf = open(folder.as_ref());
    let before = fs::read_dir(&folder).unwrap().count();
    let error = shelf.store_component(&large_component(64 << 10)).unwrap_err();
    assert!(error.contains("File too large") && error.contains(".wasm"), "{error}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), before);
    shelf.store_component(&component(b'b')).unwrap();
}
