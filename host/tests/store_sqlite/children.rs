//! Child processes: this binary again, running one of the ignored tests below.

use std::{
    env,
    io::{BufRead, BufReader, Write as _, stdin},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
};

use futures_util::future::join_all;

use crate::support::{assert_unavailable, commit, open, pair, pairs};

/// A child process that runs one of the tests below.
pub(crate) struct ChildProcess {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// Marks the lines of a child, to tell them from those of the test harness.
const MARKER: &str = "child says: ";

impl ChildProcess {
    pub(crate) fn start(mut command: Command, test: &str) -> Self {
        let test = format!("children::{test}");
        command.args(["--exact", &test, "--ignored", "--nocapture"]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, input, output }
    }

    pub(crate) fn send(&mut self, line: &str) {
        writeln!(self.input.as_ref().unwrap(), "{line}").unwrap();
    }

    fn next(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            // A child that was killed may leave an incomplete line.
            if self.output.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
                return None;
            }
            if let Some((_, text)) = line.trim_end().split_once(MARKER) {
                return Some(text.to_owned());
            }
        }
    }

    pub(crate) fn receive(&mut self) -> String {
        self.next().expect("the child should write a line before it ends")
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn lift_limit(&self) {
        let pid = self.process.id().to_string();
        let lifted = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:"]).status();
        assert!(lifted.unwrap().success());
    }

    pub(crate) fn finish(mut self) {
        drop(self.input.take());
        assert!(self.process.wait().unwrap().success());
    }

    /// Kills the child. Returns the lines that it had written.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        std::iter::from_fn(|| self.next()).collect()
    }
}

/// Runs this binary with a limit of `bytes` on file sizes: a write beyond it fails instead of killing the process.
#[cfg(target_os = "linux")]
pub(crate) fn limited(bytes: usize) -> Command {
    let mut command = Command::new("prlimit");
    command.arg(format!("--fsize={bytes}:unlimited")).args(["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    command.arg(env::current_exe().unwrap());
    command
}

fn send(line: &str) {
    println!("\n{MARKER}{line}");
}

/// Returns the parent's next line; `None` without a parent, when all ignored tests are run.
fn next_line() -> Option<String> {
    stdin().lines().next().map(Result::unwrap)
}

#[tokio::test]
#[ignore = "a child process of other tests"]
async fn child_opens() {
    while let Some(path) = next_line() {
        match open(Path::new(&path)).await {
            Err(error) => send(&error.to_string()),
            Ok(store) => {
                store.close().await;
                send("opened");
            }
        }
    }
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn child_commits_what_it_is_told() {
    let Some(path) = next_line() else { return };
    let store = open(Path::new(&path)).await;
    while let Some(name) = next_line() {
        match &store {
            Ok(store) => match commit(&**store, pair(&name, 2)).await {
                Ok(_) => send("committed"),
                Err(error) => send(&error.to_string()),
            },
            Err(error) => send(&error.to_string()),
        }
    }
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn child_fills_the_disk() {
    let Some(path) = next_line() else { return };
    let store = open(Path::new(&path)).await.unwrap();
    // The commits get smaller, so that in the end even a commit without writes, which is what a probe is, has no
    // room.
    let mut full = None;
    for bytes in [128 << 10, 16 << 10, 2, 0] {
        for n in 0..1000 {
            let name = format!("{bytes}.{n}");
            let writes = if bytes == 0 { vec![] } else { pair(&name, bytes) };
            match commit(&*store, writes).await {
                Ok(_) if bytes == 0 => {}
                Ok(_) => send(&format!("committed {name}")),
                Err(error) => {
                    full = Some(error.to_string());
                    break;
                }
            }
        }
    }
    // Reads still work.
    assert!(!pairs(&*store).await.is_empty());
    send(&format!("full {}", full.expect("the disk should become full")));
    assert_unavailable(store.health().await);
    send("unhealthy");
    next_line().unwrap();
    store.health().await.unwrap();
    send("healthy");
    commit(&*store, pair("after", 256 << 10)).await.unwrap();
    store.close().await;
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn child_commits_for_ever() {
    let Some(path) = next_line() else { return };
    let store = open(Path::new(&path)).await.unwrap();
    let client = |client: usize| {
        let store = Arc::clone(&store);
        async move {
            // Limited in number, in case the parent is gone.
            for n in 0..400 {
                let name = format!("{client}.{n:03}");
                commit(&*store, pair(&name, 4096)).await.unwrap();
                send(&name);
            }
        }
    };
    join_all((0..4).map(client)).await;
}
