//! A trial as an operator sees it: to its end, across broken connections, and from another terminal.

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
};

use crate::{
    commands::module::{check_failed, check_said, module, path, short},
    harness::{CommandOutput, TOKEN, TestHost, binary, fixture, version_of, within},
};

/// Without smoke requests, each push would warn.
pub const SMOKE: [&str; 2] = ["--smoke", "GET /"];

/// What `status --watch` prints if there is nothing to watch.
const IDLE: &str = "\nno rollout is in progress\n";

/// A client that sends requests until [`Load::end`].
pub struct Load {
    done: Arc<AtomicBool>,
    client: JoinHandle<()>,
}

impl Load {
    pub async fn on(host: &TestHost, path: &'static str) -> Self {
        let (mut client, done) = (host.connect().await, Arc::new(AtomicBool::new(false)));
        let ended = Arc::clone(&done);
        let client = tokio::spawn(async move {
            while !ended.load(Ordering::Relaxed) {
                client.get(path).await;
            }
        });
        Self { done, client }
    }

    pub async fn end(self) {
        self.done.store(true, Ordering::Relaxed);
        within("the load to end", self.client).await.unwrap();
    }
}

/// Starts a command that runs while the test continues.
pub fn start(url: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new(binary());
    command.env_clear().env("ORDERS_ADMIN", url).env("ORDERS_ADMIN_TOKEN", TOKEN);
    command.arg("module").args(arguments).kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

pub async fn end(child: Child) -> CommandOutput {
    let output = within("a command to end", child.wait_with_output()).await.unwrap();
    CommandOutput {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Reads the output of a command up to a line with this text.
pub async fn read_until(child: &mut Child, text: &str) {
    let mut lines = tokio::io::BufReader::new(child.stdout.take().unwrap());
    let mut seen = String::new();
    while !seen.contains(text) {
        let read = tokio::io::AsyncBufReadExt::read_line(&mut lines, &mut seen);
        assert!(within("a step", read).await.unwrap() > 0, "no {text:?} in {seen}");
    }
    child.stdout = Some(lines.into_inner());
}

pub fn url(host: &TestHost) -> String {
    format!("http://{}", host.admin.unwrap())
}

async fn on_trial(host: &TestHost) {
    host.log().wait_for("a trial", |line: &Value| line["event"] == "rollout.trial_started").await;
}

#[tokio::test]
async fn a_good_module_is_promoted_and_a_bad_one_rolled_back() {
    let host = TestHost::fixture("answers", &SMOKE).await;
    let load = Load::on(&host, "/").await;
    let folder = tempfile::tempdir().unwrap();
    let good = version_of(&fixture("answers"), 2, folder.path()).display().to_string();
    let ran = module(&host, &["push", &good, "--canary", "50%", "--window", "200"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    check_said(
        &ran,
        &[
            "on trial     with 50 % of the requests, until it has answered 200 requests",
            "measured",
            "0 failed",
            "promoted",
        ],
    );
    assert!(!ran.stdout.contains("watched"), "{}", ran.stdout);
    load.end().await;

    let bad = path("traps_on_demand");
    let load = Load::on(&host, "/trap").await;
    let ran = module(&host, &["push", &bad, "--canary", "20", "--window", "10m"]).await;
    let (bad, good) = (short(&bad), short(&good));
    check_failed(&ran, 1, &[&bad, "was rolled back: ", "requests failed (", "trapped), against 0 of"]);
    check_said(
        &ran,
        &["on trial     with 20 % of the requests, for 10m", "measured", "trapped", "rolled back", &good],
    );
    check_said(
        &module(&host, &["list"]).await,
        &["rolled back", &bad, "trapped), against 0 of", "serving", &good],
    );
    let page = module(&host, &["status", &bad]).await;
    check_said(&page, &["state   rolled back", "why", "compared for", "this", "failed", "other", "0 failed"]);
    load.end().await;
}

/// While a module is on trial, another push is rejected, other terminals can watch the trial, and a rollback ends it.
#[tokio::test]
async fn a_trial_is_watched_and_rolled_back() {
    let host = TestHost::fixture("answers", &SMOKE).await;
    let (file, url) = (path("remembers"), url(&host));
    let ran = module(&host, &["status", "--watch"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    check_said(&ran, &["serving", IDLE]);
    let pushed = start(&url, &["push", &file, "--canary", "50%", "--window", "1000000"]);
    on_trial(&host).await;
    let hash = short(&file);
    let says = ["is on trial for another", "rollback", &hash];
    check_failed(&module(&host, &["push", &path("traps")]).await, 1, &says);
    check_said(&module(&host, &["status"]).await, &["serving", &short(&path("answers")), "on trial", &hash]);

    let (any, one) = (start(&url, &["status", "--watch"]), start(&url, &["status", &hash, "--watch"]));
    // A watcher may start before or after the rollback; one that starts after it may find no rollout.
    let is_promoted = |line: &Value| {
        line["event"] == "rollout.promoted" && line["module"].as_str().unwrap().starts_with(&hash)
    };
    let ran = module(&host, &["rollback"]).await;
    assert_eq!((ran.code, ran.stdout), (Some(0), format!("{} serves again\n", short(&path("answers")))));
    let ran = end(pushed).await;
    check_failed(&ran, 1, &[&hash, "was rolled back: operator request"]);
    check_failed(&end(one).await, 1, &[&hash, "was rolled back: operator request"]);

    // The next push is accepted at once.
    let again = module(&host, &["push", &file, "--canary", "0%"]).await;
    assert_eq!((again.code, again.stderr.as_str()), (Some(0), ""), "{}", again.stdout);
    host.log().wait_for("a promotion", is_promoted).await;
    let ran = end(any).await;
    assert!(matches!(ran.code, Some(0 | 1)), "{}{}", ran.stdout, ran.stderr);
    check_said(&ran, &["serving", if ran.stdout.contains(IDLE) { IDLE } else { &hash }]);
}

/// A proxy to the host whose connections can be cut.
pub struct Proxy {
    pub url: String,
    cut: watch::Sender<u32>,
    /// The number of connections so far.
    accepted: watch::Receiver<u32>,
}

impl Proxy {
    pub async fn start(host: &TestHost) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (cut, cuts) = watch::channel(0);
        let (count, accepted) = watch::channel(0);
        let admin = host.admin.unwrap();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut cuts = cuts.clone();
                cuts.mark_unchanged();
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(admin).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = cuts.changed() => {}
                    }
                });
                count.send_modify(|count| *count += 1);
            }
        });
        Self { url, cut, accepted }
    }

    /// Cuts all connections, and waits for this many new ones.
    pub async fn cut_and_wait(&self, wanted: u32) {
        let mut accepted = self.accepted.clone();
        let before = *accepted.borrow_and_update();
        self.cut.send_modify(|cuts| *cuts += 1);
        within("new connections", accepted.wait_for(|count| *count >= before + wanted)).await.unwrap();
    }
}

#[tokio::test]
async fn the_outcome_survives_a_broken_connection() {
    let host = TestHost::fixture("answers", &SMOKE).await;
    let proxy = Proxy::start(&host).await;
    let pushed = start(&proxy.url, &["push", &path("remembers"), "--canary", "50%", "--window", "100"]);
    on_trial(&host).await;
    // The command asks for the state of the module, and follows again.
    proxy.cut_and_wait(2).await;
    let load = Load::on(&host, "/").await;
    let ran = end(pushed).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    check_said(&ran, &["promoted"]);
    load.end().await;
}

#[tokio::test]
async fn a_host_that_is_killed_during_a_trial_leaves_the_outcome_unknown() {
    let mut host = TestHost::fixture("answers", &SMOKE).await;
    let pushed = start(&url(&host), &["push", &path("remembers"), "--canary", "50%", "--window", "1h"]);
    on_trial(&host).await;
    host.signal(Signal::KILL);
    host.exit().await;
    let ran = end(pushed).await;
    check_failed(&ran, 2, &["the outcome is unknown", "cannot reach"]);
    check_said(&ran, &["pushing"]);
}

#[tokio::test]
async fn an_interrupted_push_says_how_to_follow_the_rollout() {
    let host = TestHost::fixture("answers", &SMOKE).await;
    let mut pushed = start(&url(&host), &["push", &path("remembers"), "--canary", "50%", "--window", "1h"]);
    // Only after its first events: until then, an interrupt ends the command like any program.
    read_until(&mut pushed, "on trial").await;
    let id = Pid::from_raw(i32::try_from(pushed.id().unwrap()).unwrap()).unwrap();
    kill_process(id, Signal::INT).unwrap();
    let ran = end(pushed).await;
    check_failed(&ran, 2, &["the service continues the rollout", "status --watch", "rollback"]);
    check_said(&module(&host, &["status"]).await, &["on trial", &short(&path("remembers"))]);
}
