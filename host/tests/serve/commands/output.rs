//! Commands whose output cannot be written, or is not read to its end.

use std::{
    fs::OpenOptions,
    path::Path,
    process::{ExitStatus, Stdio},
};

use tokio::process::Command;

use crate::harness::{TOKEN, TestHost, binary, orders, run, version_of, within};

/// Where a stream of a command goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sink {
    /// A full disk.
    Full,
    /// A pipe whose reader has gone.
    Closed,
}

impl Sink {
    fn open(self) -> Stdio {
        match self {
            Self::Full => OpenOptions::new().write(true).open("/dev/full").unwrap().into(),
            Self::Closed => std::io::pipe().unwrap().1.into(),
        }
    }
}

/// Runs the program with its standard output there. Returns the exit status and what it wrote to standard error.
async fn run_into(sink: Sink, arguments: &[String]) -> (ExitStatus, String) {
    let mut command = Command::new(binary());
    command.env_clear().env("ORDERS_ADMIN_TOKEN", TOKEN).args(arguments);
    command.stdin(Stdio::null()).stdout(sink.open()).stderr(Stdio::piped());
    let child = command.kill_on_drop(true).spawn().unwrap();
    let output = within("the end of a command", child.wait_with_output()).await.unwrap();
    (output.status, String::from_utf8(output.stderr).unwrap())
}

fn arguments(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// Every command that prints something, in an order in which each succeeds. The folder gets the files that they write.
fn commands(host: &TestHost, store: &str, version: u8, folder: &Path) -> Vec<String> {
    let (orders, folder) = (orders(), folder.display());
    let (component, admin) = (orders.display(), host.admin.unwrap());
    let pushed = version_of(&orders, version, folder.to_string().as_ref());
    let pushed = pushed.display();
    vec![
        "--help".to_owned(),
        "--version".to_owned(),
        "serve --help".to_owned(),
        "module push -h".to_owned(),
        format!("inspect {component}"),
        format!("compile {component} --output {folder}/orders.compiled --untried"),
        format!("module keygen --secret {folder}/secret --public {folder}/public"),
        format!("module sign {component} --key {folder}/secret --output {folder}/signed.wasm"),
        format!("module verify {folder}/signed.wasm --trusted-keys {folder}/public"),
        format!("module push {pushed} --admin http://{admin}"),
        format!("module push {pushed} --admin http://{admin}"),
        format!("module list --admin http://{admin}"),
        format!("module list --json --admin http://{admin}"),
        format!("module status --admin http://{admin}"),
        format!("module status --watch --admin http://{admin}"),
        format!("module status --json --admin http://{admin}"),
        format!("module rollback --admin http://{admin}"),
        format!("state export --store {store} --output {folder}/state"),
        format!("state import --store sqlite:{folder}/copy.db --input {folder}/state"),
    ]
}

async fn host(folder: &Path) -> (TestHost, String) {
    let store = format!("sqlite:{}", folder.join("orders.db").display());
    let host = TestHost::orders(&["--store", &store]).await;
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
    (host, store)
}

#[tokio::test]
async fn every_command_says_that_a_disk_is_full_and_exits_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let (host, store) = host(folder.path()).await;
    for command in commands(&host, &store, 1, folder.path()) {
        let (status, stderr) = run_into(Sink::Full, &arguments(&command)).await;
        assert_eq!(status.code(), Some(1), "{command}: {status}: {stderr}");
        let errors: Vec<_> = stderr.lines().filter(|line| !line.contains(": warning: ")).collect();
        let [error] = errors[..] else { panic!("{command}: {stderr}") };
        assert!(
            error.starts_with("orders-host: cannot write to standard output: No space left"),
            "{command}: {error}"
        );
    }
    // The state itself goes there.
    let export = arguments(&format!("state export --store {store}"));
    let (status, stderr) = run_into(Sink::Full, &export).await;
    assert_eq!((status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
    let compile = arguments(&format!("compile {} --output - --untried", orders().display()));
    let (status, stderr) = run_into(Sink::Full, &compile).await;
    assert_eq!((status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
}

#[tokio::test]
async fn every_command_ends_quietly_if_its_output_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let (host, store) = host(folder.path()).await;
    for command in commands(&host, &store, 2, folder.path()) {
        let (status, stderr) = run_into(Sink::Closed, &arguments(&command)).await;
        assert_eq!(status.code(), Some(0), "{command}: {status}: {stderr}");
        assert!(stderr.lines().all(|line| line.contains(": warning: ")), "{command}: {stderr}");
    }
    // An export that is incomplete has failed.
    let (status, stderr) = run_into(Sink::Closed, &arguments(&format!("state export --store {store}"))).await;
    assert_eq!((status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
}

#[tokio::test]
async fn a_failure_that_cannot_be_printed_keeps_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.wasm").display().to_string();
    for command in [
        vec!["inspect".to_owned(), missing.clone()],
        vec!["serve".to_owned(), "--component".to_owned(), missing],
    ] {
        assert_eq!(run(&command).await.code, Some(2));
        for sink in [Sink::Full, Sink::Closed] {
            let mut command = Command::new(binary())
                .env_clear()
                .args(&command)
                .stderr(sink.open())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let status = within("the end of a command", command.wait()).await.unwrap();
            assert_eq!(status.code(), Some(2), "{sink:?}");
        }
    }
    // The summary of an export on standard error.
    let (_host, store) = host(folder.path()).await;
    for (sink, code) in [(Sink::Full, 1), (Sink::Closed, 0)] {
        let mut command = Command::new(binary());
        command
            .env_clear()
            .args(["state", "export", "--store", &store])
            .stdout(Stdio::null())
            .stderr(sink.open());
        let status = within("the end of an export", command.spawn().unwrap().wait()).await.unwrap();
        assert_eq!(status.code(), Some(code), "{sink:?}");
    }
}
