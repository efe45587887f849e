//! A backup that was put beside the log of the file that it replaces.

use std::{env, fs, path::Path, process::Command};

use orders_host::store::{Checked, check_file};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::{
    children::ChildProcess,
    support::{all_keys, change, commit, open, put},
};

/// Entries as those of orders: several per commit, spread over the tree.
async fn fill(path: &Path, orders: std::ops::Range<usize>) {
    let store = open(path).await.unwrap();
    for n in orders {
        let name = format!("{:016x}", u64::try_from(n).unwrap().wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let writes = ["o", "s/pending", "c/ada"].map(|index| put(format!("{index}/{name}"), vec![b'x'; 300]));
        commit(&*store, writes.into()).await.unwrap();
    }
    store.close().await;
}

/// Adds pairs through another process, which is killed, so that they are in the log.
fn add_and_crash(path: &Path, pairs: usize) {
    let mut child =
        ChildProcess::start(Command::new(env::current_exe().unwrap()), "child_commits_what_it_is_told");
    child.send(path.to_str().unwrap());
    for n in 0..pairs {
        child.send(&format!("{n:016x}"));
        assert_eq!(child.receive(), "committed");
    }
    child.kill();
}

#[tokio::test]
async fn a_backup_beside_the_log_of_another_file_is_refused_and_stays_as_it_is() {
    // With the last two, only the sequence of rows shows it.
    for (orders, later) in [(1500, 900), (200, 3), (1500, 1)] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("orders.db");
        let backup = folder.path().join("backup.db");
        fill(&path, 0..orders).await;
        change(&path, &format!("VACUUM INTO '{}'", backup.display()));
        add_and_crash(&path, later);
        fs::copy(&backup, &path).unwrap();
        let files = [path.clone(), folder.path().join("orders.db-wal")];
        let before = files.each_ref().map(|file| fs::read(file).unwrap());

        let refused =
            open(&path).await.err().unwrap_or_else(|| panic!("{orders} and {later}: it was opened"));
        let says = refused.to_string();
        assert!(
            says.contains("orders.db-wal") && says.contains("remove") && says.contains("backup"),
            "{says}"
        );
        assert!(refused.is_final());
        assert!(matches!(check_file(&path), Ok(Checked::Damaged(_))), "{:?}", check_file(&path));
        assert_eq!(files.each_ref().map(|file| fs::read(file).unwrap()), before, "a file was changed");

        for suffix in ["-wal", "-shm"] {
            fs::remove_file(folder.path().join(format!("orders.db{suffix}"))).unwrap();
        }
        assert!(matches!(check_file(&path), Ok(Checked::Whole { .. })));
        let store = open(&path).await.unwrap();
        assert_eq!(all_keys(&*store).await.len(), orders * 3);
        store.close().await;
    }
}

/// The log replaces the page with the schema, so that not even the tables can be read.
#[tokio::test]
async fn a_log_that_damages_the_schema_is_refused_with_the_same_advice() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("orders.db");
    fill(&path, 0..10).await;
    let whole = fs::read(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch(
            "PRAGMA writable_schema = on;
             UPDATE sqlite_schema SET sql = 'CREATE TABLE entries (' WHERE name = 'entries'",
        )
        .unwrap();
    let log = fs::read(folder.path().join("orders.db-wal")).unwrap();
    drop(other);
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(folder.path().join(format!("orders.db{suffix}")));
    }
    fs::write(&path, whole).unwrap();
    fs::write(folder.path().join("orders.db-wal"), log).unwrap();
    let says = open(&path).await.err().expect("it is refused").to_string();
    assert!(says.contains("orders.db-wal") && says.contains("remove"), "{says}");
}

#[tokio::test]
async fn the_log_of_a_process_that_was_killed_is_whole() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("orders.db");
    for round in 1..=50 {
        add_and_crash(&path, round);
        let Ok(Checked::Whole { entries, .. }) = check_file(&path) else { panic!("{:?}", check_file(&path)) };
        let store = open(&path).await.unwrap();
        assert_eq!(u64::try_from(all_keys(&*store).await.len()).unwrap(), entries);
        store.close().await;
    }
}

#[tokio::test]
async fn a_check_by_hand_creates_no_file_and_runs_beside_a_service() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("orders.db");
    fill(&path, 0..10).await;
    assert!(matches!(check_file(&path), Ok(Checked::Whole { entries: 30, .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let store = open(&path).await.unwrap();
    commit(&*store, vec![put("k", "v")]).await.unwrap();
    assert!(matches!(check_file(&path), Ok(Checked::Whole { entries: 31, .. })));
    commit(&*store, vec![put("l", "v")]).await.unwrap();
    store.close().await;
    assert!(check_file(&folder.path().join("none.db")).is_err());
    // SQLite says the same of both: only the first has been a database.
    let mut damaged = fs::read(&path).unwrap();
    damaged[16..100].fill(0xff);
    fs::write(&path, damaged).unwrap();
    assert!(matches!(check_file(&path), Ok(Checked::Damaged(_))), "{:?}", check_file(&path));
    fs::write(&path, "no database").unwrap();
    assert!(check_file(&path).is_err());
}
