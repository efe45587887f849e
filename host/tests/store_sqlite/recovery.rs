//! How SQLite fails and recovers: a locked file, a full disk, a killed process.

use std::{env, process::Command};

use futures_util::FutureExt;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::{
    children::{ChildProcess, limited},
    support::{WriteLock, assert_unavailable, commit, make_store, open, pair, pairs},
};

#[tokio::test]
async fn health_names_a_stuck_writer_and_recovers_without_traffic() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    let store = open(&path).await.unwrap();
    store.health().await.unwrap();
    let lock = WriteLock::acquire(&path);
    // Nothing has to be written, so the lock does not matter.
    store.health().await.unwrap();
    let mut stuck = commit(&*store, pair("stuck", 2)).boxed_local();
    assert!((&mut stuck).now_or_never().is_none());
    let why = assert_unavailable(store.health().await);
    assert!(why.contains("the writer did not process its queue in time"), "{why}");
    assert!(assert_unavailable(stuck.await).contains("locked"));
    // The writer is free again, but is not healthy before it has written.
    assert_unavailable(store.health().await);
    lock.release();
    store.health().await.unwrap();
    assert_eq!(pairs(&*store).await, [""; 0]);
    commit(&*store, pair("free", 2)).await.unwrap();
    assert_eq!(pairs(&*store).await, ["free"]);
    store.close().await;
    assert!(assert_unavailable(store.health().await).contains("closed"));
}

/// A limit on file sizes stands in for a full disk: SQLite's writes fail partway at the same points.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_makes_the_store_unavailable_until_there_is_space() {
    const ROOM: usize = 1 << 20;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    let mut child = ChildProcess::start(limited(ROOM), "child_fills_the_disk");
    child.send(path.to_str().unwrap());
    let mut committed = Vec::new();
    loop {
        match child.receive().split_once(' ').unwrap() {
            ("committed", name) => committed.push(name.to_owned()),
            ("full", why) => break assert!(why.contains("SQLite"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(committed.len() > 4, "{committed:?}");
    assert_eq!(child.receive(), "unhealthy");
    child.lift_limit();
    child.send("there is space");
    assert_eq!(child.receive(), "healthy");
    child.finish();
    committed.extend(["after".to_owned()]);
    committed.sort_unstable();
    let store = open(&path).await.unwrap();
    assert_eq!(pairs(&*store).await, committed);
    store.close().await;
    let check: String =
        Connection::open(&path).unwrap().query_one("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_store_on_a_full_disk_can_be_opened_once_there_is_space() {
    // From no space at all, through space for some of the first pages, to space for the file but not its WAL.
    for room in [0, 512, 4096, 5000, 8192, 12288] {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("orders.db");
        let mut child = ChildProcess::start(limited(room), "child_opens");
        child.send(path.to_str().unwrap());
        let reply = child.receive();
        if reply != "opened" {
            assert!(reply.starts_with(&format!("cannot open the store {path:?}: ")), "{room}: {reply}");
            child.lift_limit();
            child.send(path.to_str().unwrap());
            assert_eq!(child.receive(), "opened", "{room}");
        }
        child.finish();
        make_store(&path).await;
    }
}

#[tokio::test]
async fn acknowledged_commits_survive_a_kill() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    // Opened before the kill and used afterwards, this handle represents the process that takes over.
    let beside = open(&path).await.unwrap();
    let mut child = ChildProcess::start(Command::new(env::current_exe().unwrap()), "child_commits_for_ever");
    child.send(path.to_str().unwrap());
    let mut acknowledged: Vec<_> = (0..50).map(|_| child.receive()).collect();
    acknowledged.extend(child.kill());
    for store in [beside, open(&path).await.unwrap()] {
        let found = pairs(&*store).await;
        for name in &acknowledged {
            assert!(found.contains(name), "{name} was acknowledged and is lost");
        }
        commit(&*store, pair("after", 2)).await.unwrap();
        store.close().await;
    }
}
