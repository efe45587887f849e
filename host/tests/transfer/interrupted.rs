//! Transfers that are interrupted or killed.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Child,
};

use crate::{
    harness::within,
    support::{Folder, contents, database, end, export, fill, import, numbered, start, wait_for_entries},
};

fn signal(child: &Child, signal: Signal) {
    let id = i32::try_from(child.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
}

/// Starts an import from the first part of a file, keeps its input open, and waits until some entries are in the store.
async fn start_import(store: &str, file: &[u8]) -> (Child, tokio::process::ChildStdin) {
    let mut child = start(&["import", "--store", store]);
    let mut input = child.stdin.take().unwrap();
    input.write_all(file).await.unwrap();
    input.flush().await.unwrap();
    wait_for_entries(store, 1000).await;
    (child, input)
}

#[tokio::test]
async fn a_killed_import_resumes_where_it_stopped() {
    let folder = Folder::new();
    let (from, file) = (folder.sqlite("from.db"), folder.at("state.jsonl"));
    let given = numbered(10_000, 40);
    fill(&from, given.clone()).await;
    export(&from, &file).await.succeeded();
    let bytes = fs::read(&file).unwrap();
    for store in [folder.sqlite("to.db"), database()] {
        let mut there = 0;
        // Killed twice, the second time further on.
        for part in [3, 2] {
            let (mut child, input) = start_import(&store, &bytes[..bytes.len() / part]).await;
            wait_for_entries(&store, there + 1000).await;
            child.kill().await.unwrap();
            drop(input);
            let left = contents(&store).await;
            assert!(left == given[..left.len()], "the store must hold the beginning of the file");
            assert!(u64::try_from(left.len()).unwrap() >= there + 1000 && left.len() < given.len());
            there = u64::try_from(left.len()).unwrap();
        }
        let resumed = import(&store, &file, &[]).await;
        assert!(
            resumed.succeeded().contains(&format!("10000 entries ({there} already present)")),
            "{}",
            resumed.stdout
        );
        assert!(contents(&store).await == given);
    }
}

#[tokio::test]
async fn a_signal_stops_an_import_in_an_orderly_way() {
    let folder = Folder::new();
    let (from, to, file) = (folder.sqlite("from.db"), folder.sqlite("to.db"), folder.at("state.jsonl"));
    let given = numbered(5000, 10);
    fill(&from, given.clone()).await;
    export(&from, &file).await.succeeded();
    let bytes = fs::read(&file).unwrap();
    for (name, kind) in [("SIGINT", Signal::INT), ("SIGTERM", Signal::TERM)] {
        let (child, input) = start_import(&to, &bytes[..bytes.len() / 2]).await;
        signal(&child, kind);
        let ended = end(child).await;
        ended
            .failed(1, &[&format!("interrupted by {name}"), "do not serve from it", "run the command again"]);
        drop(input);
        assert_eq!(folder.names(), ["from.db", "state.jsonl", "to.db"], "the store must be closed");
        let left = contents(&to).await;
        assert!(!left.is_empty() && left == given[..left.len()]);
    }
    import(&to, &file, &[]).await.succeeded();
    assert!(contents(&to).await == given);
}

#[tokio::test]
async fn a_signal_stops_an_export_in_an_orderly_way() {
    let folder = Folder::new();
    let from = folder.sqlite("from.db");
    fill(&from, numbered(5000, 1000)).await;
    let mut child = start(&["export", "--store", &from]);
    // The export has started, and now waits for a reader.
    let mut output = child.stdout.take().unwrap();
    within("the first bytes", output.read_exact(&mut [0; 100])).await.unwrap();
    signal(&child, Signal::INT);
    end(child).await.failed(1, &["interrupted by SIGINT", "standard output was not written"]);
    assert_eq!(folder.names(), ["from.db"], "the store must be closed");
    // The output is not a complete state.
    let mut cut = Vec::new();
    output.read_to_end(&mut cut).await.unwrap();
    assert!(!String::from_utf8_lossy(&cut).contains("sha256"));
}

#[tokio::test]
async fn an_export_to_a_closed_pipe_fails() {
    let folder = Folder::new();
    let from = folder.sqlite("from.db");
    fill(&from, numbered(5000, 1000)).await;
    let mut child = start(&["export", "--store", &from]);
    drop(child.stdout.take());
    end(child).await.failed(1, &["cannot write standard output"]);
}
