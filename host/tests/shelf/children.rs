//! Processes of their own: this binary again, running one of the ignored tests below.

use std::{
    env, fs,
    io::{Read, Write, stdin},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Output, Stdio},
};

use orders_host::module::shelf::Shelf;

use crate::support::{active, compile, component, large_component, open};

/// This binary.
pub(crate) fn unlimited() -> Command {
    Command::new(env::current_exe().unwrap())
}

/// This binary, unable to make a file larger than `bytes`. A write beyond fails, or ends it by SIGXFSZ.
pub(crate) fn limited(bytes: usize, beyond: Beyond) -> Command {
    let trap = match beyond {
        Beyond::Fails => "trap '' XFSZ; ",
        Beyond::Ends => "",
    };
    let mut command = Command::new("prlimit");
    command.arg(format!("--fsize={bytes}")).args(["sh", "-c", &format!("{trap}exec \"$0\" \"$@\"")]);
    command.arg(env::current_exe().unwrap());
    command
}

/// What becomes of a write beyond the limit.
#[derive(Clone, Copy)]
pub(crate) enum Beyond {
    Fails,
    Ends,
}

/// Runs one of the tests below on a folder, to its end.
pub(crate) fn run(mut command: Command, test: &str, folder: &Path) -> Output {
    let test = format!("children::{test}");
    command.args(["--exact", &test, "--ignored", "--nocapture"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // With its end, the child's input ends.
    write!(process.stdin.take().unwrap(), "{}", folder.display()).unwrap();
    process.wait_with_output().unwrap()
}

/// Fails unless a child did all that it should.
pub(crate) fn assert_succeeded(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
}

/// Fails unless a child was ended by this signal.
pub(crate) fn assert_ended_by(output: &Output, signal: i32) {
    assert_eq!(output.status.signal(), Some(signal), "{output:?}");
}

/// The folder that the parent names; none if there is no parent, because somebody ran all ignored tests.
fn folder() -> Option<String> {
    let mut folder = String::new();
    stdin().read_to_string(&mut folder).unwrap();
    Some(folder).filter(|folder| !folder.is_empty())
}

#[test]
#[ignore = "a child of another test"]
fn child_finds_it_locked() {
    let Some(folder) = folder() else { return };
    let error = Shelf::open(folder.as_ref(), 1).unwrap_err();
    assert!(error.contains("another process uses it"), "{error}");
}

/// The life of a module: it comes in the place of another one, which goes.
#[test]
#[ignore = "a child of other tests"]
fn child_replaces_the_module() {
    let Some(folder) = folder() else { return };
    let shelf = Shelf::open(folder.as_ref(), 1).unwrap();
    let new = component(b'b');
    let module = shelf.put(&new).unwrap();
    shelf.put_compiled(&compile(&new)).unwrap();
    shelf.activate(active(module)).unwrap();
    shelf.retain(&[]);
}

#[test]
#[ignore = "a child of other tests"]
fn child_stores_a_large_component() {
    let Some(folder) = folder() else { return };
    let shelf = open(folder.as_ref());
    let before = fs::read_dir(&folder).unwrap().count();
    let error = shelf.put(&large_component(64 << 10)).unwrap_err();
    assert!(error.contains("File too large") && error.contains(".wasm"), "{error}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), before);
    shelf.put(&component(b'b')).unwrap();
}
