//! Signals that must not end the process.

use std::{process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{net::unix::pipe, process::Command};

use crate::harness::{TestHost, binary, fixture, within};

#[tokio::test]
async fn signals_without_a_meaning_do_not_end_the_process() {
    let mut host = TestHost::orders(&[]).await;
    for signal in [Signal::USR1, Signal::USR2, Signal::ALARM, Signal::XFSZ, Signal::PIPE] {
        host.signal(signal);
        assert_eq!(host.connect().await.create().await.unwrap().status(), 201, "{signal:?}");
    }
    host.signal(Signal::TERM);
    assert_eq!(host.exit().await.code(), Some(0));
}

/// The kernel then sends SIGXFSZ, and the write fails.
#[tokio::test]
async fn a_store_at_the_limit_of_a_files_size_answers_503() {
    let folder = tempfile::tempdir().unwrap();
    let location = format!("sqlite:{}", folder.path().join("orders.db").display());
    let mut host = TestHost::orders(&["--store", &location]).await;
    let mut client = host.connect().await;
    assert_eq!(client.create().await.unwrap().status(), 201);
    let sizes = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
    host.limit_file_size(Some(sizes.max().unwrap() + (64 << 10)));

    let mut created = 1;
    let rejected = loop {
        let response = client.create().await.unwrap();
        if response.status() != 201 {
            break response;
        }
        created += 1;
        assert!(created < 10_000, "the limit has no effect");
    };
    assert_eq!(rejected.status(), 503, "{:?}", rejected.body);
    assert_eq!(host.get("/health").await.status(), 200);
    // An answer of `/ready` is kept for up to 500 ms. Each later one knows of the refusal, although less than an order still fits.
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(host.get("/ready").await.status(), 503);
    }
    assert_eq!(host.get("/api/v1/orders?limit=1").await.status(), 200);

    host.limit_file_size(None);
    within("the service to be ready again", async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while host.get("/ready").await.status() != 200 {
            tick.tick().await;
        }
    })
    .await;
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
    host.signal(Signal::TERM);
    assert_eq!(host.exit().await.code(), Some(0));
}

/// A pipe, or a file on a network, may never say more.
#[tokio::test]
async fn a_signal_ends_a_start_that_waits_for_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let component = fixture("answers").display().to_string();
    for option in ["--admin-token-file", "--store-file"] {
        let path = folder.path().join(option);
        assert!(Command::new("mkfifo").arg(&path).status().await.unwrap().success());
        let mut command = Command::new(binary());
        command.env_clear().args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"]);
        let socket = format!("unix:{}", folder.path().join("admin").display());
        command.args(["--component", &component, "--admin-listen", &socket]);
        command.arg(option).arg(&path).stdout(Stdio::piped()).kill_on_drop(true);
        let child = command.spawn().unwrap();
        let _silent = within("the start to open the pipe", async {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            loop {
                tick.tick().await;
                // That fails as long as nobody reads.
                if let Ok(sender) = pipe::OpenOptions::new().open_sender(&path) {
                    return sender;
                }
            }
        })
        .await;
        let id = i32::try_from(child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
        let output = within("the end of the start", child.wait_with_output()).await.unwrap();
        let log = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{option}: {log}");
        assert!(log.contains("service.start_aborted"), "{option}: {log}");
    }
}
