//! Processes of their own: this binary again, running one of the ignored tests below.

use std::{
    env,
    io::{BufRead, BufReader, Write as _, stdin},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
};

use futures_util::future::join_all;

use crate::support::{assert_unavailable, commit, open, pair, pairs};

/// This binary again, running one of the tests below.
pub(crate) struct Running {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// Starts what a child says, so that it can be told from what the test harness says.
const SAID: &str = "child says: ";

impl Running {
    pub(crate) fn start(mut command: Command, test: &str) -> Self {
        let test = format!("children::{test}");
        command.args(["--exact", &test, "--ignored", "--nocapture"]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, input, output }
    }

    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.input.as_ref().unwrap(), "{line}").unwrap();
    }

    fn next(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            // A child that was killed may leave half a line.
            if self.output.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
                return None;
            }
            if let Some((_, said)) = line.trim_end().split_once(SAID) {
                return Some(said.to_owned());
            }
        }
    }

    pub(crate) fn hear(&mut self) -> String {
        self.next().expect("the child says something before it ends")
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

    /// Ends it at once; gives what it had said until then.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        std::iter::from_fn(|| self.next()).collect()
    }
}

/// This binary, unable to make a file larger than `bytes`: a write beyond fails instead of ending it.
#[cfg(target_os = "linux")]
pub(crate) fn limited(bytes: usize) -> Command {
    let mut command = Command::new("prlimit");
    command.arg(format!("--fsize={bytes}:unlimited")).args(["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    command.arg(env::current_exe().unwrap());
    command
}

fn say(what: &str) {
    println!("\n{SAID}{what}");
}

/// The next line of the parent's; none if there is no parent, because somebody ran all ignored tests.
fn heard() -> Option<String> {
    stdin().lines().next().map(Result::unwrap)
}

#[tokio::test]
#[ignore = "a child of other tests"]
async fn child_opens() {
    while let Some(path) = heard() {
        match open(Path::new(&path)).await {
            Err(error) => say(&error.to_string()),
            Ok(store) => {
                store.close().await;
                say("opened");
            }
        }
    }
}

#[tokio::test]
#[ignore = "a child of another test"]
async fn child_fills_the_disk() {
    let Some(path) = heard() else { return };
    let store = open(Path::new(&path)).await.unwrap();
    // Ever smaller commits, so that in the end not even one without writes, which is what a probe is, has room.
    let mut full = None;
    for bytes in [128 << 10, 16 << 10, 2, 0] {
        for n in 0..1000 {
            let name = format!("{bytes}.{n}");
            let writes = if bytes == 0 { vec![] } else { pair(&name, bytes) };
            match commit(&*store, writes).await {
                Ok(_) if bytes == 0 => {}
                Ok(_) => say(&format!("committed {name}")),
                Err(error) => {
                    full = Some(error.to_string());
                    break;
                }
            }
        }
    }
    // Reads go on.
    assert!(!pairs(&*store).await.is_empty());
    say(&format!("full {}", full.expect("the disk became full")));
    assert_unavailable(store.health().await);
    say("unhealthy");
    heard().unwrap();
    store.health().await.unwrap();
    say("healthy");
    commit(&*store, pair("after", 256 << 10)).await.unwrap();
    store.close().await;
}

#[tokio::test]
#[ignore = "a child of another test"]
async fn child_commits_for_ever() {
    let Some(path) = heard() else { return };
    let store = open(Path::new(&path)).await.unwrap();
    let client = |client: usize| {
        let store = Arc::clone(&store);
        async move {
            // Bounded, in case the parent is gone.
            for n in 0..400 {
                let name = format!("{client}.{n:03}");
                commit(&*store, pair(&name, 4096)).await.unwrap();
                say(&name);
            }
        }
    };
    join_all((0..4).map(client)).await;
}
