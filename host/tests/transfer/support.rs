//! Stores to export from and import into, and the program under test.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use orders_host::store::{self, Commit, Entry, Key, Store, Value, Write};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{
    harness::{CommandOutput, binary, run, within},
    postgres,
};

/// A folder for stores and files.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The location of an SQLite store in this folder.
    pub fn sqlite(&self, name: &str) -> String {
        format!("sqlite:{}", self.at(name).display())
    }

    /// The names of its files, in order.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// The location of a new database.
pub fn database() -> String {
    let server = postgres::shared();
    server.url(&server.database())
}

pub async fn open(location: &str) -> Arc<dyn Store> {
    store::open(&location.parse().unwrap()).await.unwrap()
}

pub type Contents = Vec<(String, Vec<u8>)>;

/// Puts entries into a store.
pub async fn fill(location: &str, contents: impl IntoIterator<Item = (String, Vec<u8>)>) {
    let store = open(location).await;
    let (mut writes, mut bytes) = (Vec::new(), 0);
    for (key, value) in contents {
        bytes += key.len() + value.len();
        writes.push(Write::Put(Key::try_from(key).unwrap(), Value::try_from(value).unwrap()));
        if writes.len() == 250 || bytes > 4 << 20 {
            store.commit(Commit::new(vec![], std::mem::take(&mut writes)).unwrap()).await.unwrap();
            bytes = 0;
        }
    }
    store.commit(Commit::new(vec![], writes).unwrap()).await.unwrap();
    store.close().await;
}

/// All entries of a store, without their revisions.
pub async fn contents(location: &str) -> Contents {
    let store = open(location).await;
    let mut contents = Vec::new();
    let mut snapshot = store.snapshot(None).await.unwrap();
    loop {
        let page = snapshot.next().await.unwrap();
        if page.is_empty() {
            break;
        }
        let pair = |entry: Entry| (entry.key.into_string(), entry.stored.value.into_bytes());
        contents.extend(page.into_iter().map(pair));
    }
    drop(snapshot);
    store.close().await;
    contents
}

/// Waits until a store has this many entries.
pub async fn wait_for_entries(location: &str, wanted: u64) {
    let store = open(location).await;
    within("entries to be in the store", async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while store.snapshot(None).await.unwrap().count().await.unwrap() < Some(wanted) {
            tick.tick().await;
        }
    })
    .await;
    store.close().await;
}

/// Entries in the order of their keys, with values of this size.
pub fn numbered(count: usize, bytes: usize) -> Contents {
    let value = |n: usize| format!("{{\"number\":{n},\"text\":\"{}\"}}", "é".repeat(bytes / 2));
    (0..count).map(|n| (format!("n/{n:07}"), value(n).into_bytes())).collect()
}

pub async fn export(store: &str, output: &Path) -> CommandOutput {
    run(arguments(["state", "export", "--store", store, "--output"], output)).await
}

pub async fn import(store: &str, input: &Path, more: &[&str]) -> CommandOutput {
    let mut all = arguments(["state", "import", "--store", store, "--input"], input);
    all.extend(more.iter().map(|more| (*more).into()));
    run(all).await
}

fn arguments(first: [&str; 5], path: &Path) -> Vec<std::ffi::OsString> {
    first.iter().map(OsStr::new).chain([path.as_os_str()]).map(OsStr::to_owned).collect()
}

/// Starts the program with pipes as its standard streams.
pub fn start(arguments: &[&str]) -> Child {
    Command::new(binary())
        .env_clear()
        .arg("state")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Waits until the program has exited.
pub async fn end(child: Child) -> CommandOutput {
    let output = within("the command to end", child.wait_with_output()).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    CommandOutput { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// The peak memory of a process, in KiB.
pub fn peak_memory_kib(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

impl CommandOutput {
    /// Checks that the command succeeded with one line, and returns that line.
    pub fn succeeded(&self) -> &str {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{}", self.stdout);
        assert_eq!(self.stdout.lines().count(), 1, "{}", self.stdout);
        &self.stdout
    }

    /// Checks that the command failed with this exit code and with these parts in its one line of standard error.
    pub fn failed(&self, code: i32, expected: &[&str]) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        for part in expected {
            assert!(self.stderr.contains(part), "no {part:?} in {}", self.stderr);
        }
    }
}
