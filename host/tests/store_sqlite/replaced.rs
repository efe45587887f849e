//! Files that are moved, deleted or replaced under an open store. SQLite goes on with the files that it has open, so what it
//! then commits would end with the process.

use std::{
    env, fs,
    os::unix::fs::{FileExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use futures_util::future::join_all;
use orders_host::store::{Checked, check_file};
use tempfile::TempDir;

use crate::{
    children::ChildProcess,
    support::{
        WriteLock, all_keys, assert_unavailable, commit, key, make_store, open, pair, pairs, queued_commits,
    },
};

fn files(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| PathBuf::from(format!("{}{suffix}", path.display())))
}

fn move_all(from: &Path, to: &Path) {
    for (from, to) in files(from).iter().zip(files(to)) {
        fs::rename(from, to).unwrap();
    }
}

#[tokio::test]
async fn nothing_is_committed_to_files_without_their_names() {
    let folder = TempDir::new().unwrap();
    let backup = folder.path().join("backup.db");
    make_store(&backup).await;
    let replace: fn(&Path, &Path) = |path, backup| fs::rename(backup, path).unwrap();
    let delete: fn(&Path, &Path) =
        |path, _| files(path).iter().for_each(|file| fs::remove_file(file).unwrap());
    let delete_log: fn(&Path, &Path) = |path, _| fs::remove_file(&files(path)[1]).unwrap();
    let delete_index: fn(&Path, &Path) = |path, _| fs::remove_file(&files(path)[2]).unwrap();
    for (number, change) in [delete, delete_log, delete_index, replace].into_iter().enumerate() {
        let path = folder.path().join(format!("orders-{number}.db"));
        let store = open(&path).await.unwrap();
        commit(&*store, pair("before", 2)).await.unwrap();
        store.health().await.unwrap();
        change(&path, &backup);
        let why = assert_unavailable(commit(&*store, pair("after", 2)).await);
        assert!(why.contains("moved, deleted or replaced"), "{number}: {why}");
        let why = assert_unavailable(store.health().await);
        assert!(why.contains("moved, deleted or replaced"), "{number}: {why}");
        assert!(store.snapshot(None).await.is_err(), "{number}: it would read another file");
        // What is in them may never have been acknowledged.
        let why = assert_unavailable(store.get(vec![key("left/before")]).await);
        assert!(why.contains("moved, deleted or replaced"), "{number}: {why}");
        store.close().await;
        if path.exists() {
            // Nothing that was acknowledged is lost with the log alone, and a replacement is not mixed with a log of before.
            let store = open(&path).await.unwrap();
            let (found, keys) = (pairs(&*store).await, all_keys(&*store).await.len());
            if backup.exists() {
                assert_eq!(found, ["before"], "{number}");
            } else {
                assert_eq!((found.len(), keys), (0, 64), "{number}");
            }
            store.close().await;
        }
    }
}

#[tokio::test]
async fn a_batch_that_waits_while_its_file_is_deleted_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("orders.db");
    let store = open(&path).await.unwrap();
    let lock = WriteLock::acquire(&path);
    let commits = queued_commits(&*store);
    // The writer has taken the first ones once it no longer replies.
    assert_unavailable(store.health().await);
    files(&path).iter().for_each(|file| fs::remove_file(file).unwrap());
    lock.release();
    for outcome in join_all(commits).await {
        assert_unavailable(outcome);
    }
    store.close().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_that_comes_back_is_used_again() {
    let folder = TempDir::new().unwrap();
    let (path, away) = (folder.path().join("orders.db"), folder.path().join("away.db"));
    let link = folder.path().join("link.db");
    symlink(&path, &link).unwrap();
    for (number, opened) in [&path, &link].into_iter().enumerate() {
        let store = open(opened).await.unwrap();
        commit(&*store, pair(&format!("{number}.1"), 2)).await.unwrap();
        move_all(&path, &away);
        assert_unavailable(commit(&*store, pair("nowhere", 2)).await);
        move_all(&away, &path);
        commit(&*store, pair(&format!("{number}.2"), 2)).await.unwrap();
        store.health().await.unwrap();
        store.close().await;
    }
    let store = open(&path).await.unwrap();
    assert_eq!(pairs(&*store).await, ["0.1", "0.2", "1.1", "1.2"]);
    // A link that is made to point elsewhere counts too.
    store.close().await;
    let store = open(&link).await.unwrap();
    fs::remove_file(&link).unwrap();
    make_store(&away).await;
    symlink(&away, &link).unwrap();
    assert_unavailable(commit(&*store, pair("elsewhere", 2)).await);
    store.close().await;
}

#[tokio::test]
async fn a_file_that_comes_back_without_its_log_waits_for_the_next_start() {
    let folder = TempDir::new().unwrap();
    let (path, away) = (folder.path().join("orders.db"), folder.path().join("away.db"));
    let store = open(&path).await.unwrap();
    commit(&*store, pair("before", 2)).await.unwrap();
    fs::rename(&path, &away).unwrap();
    assert_unavailable(commit(&*store, pair("nowhere", 2)).await);
    fs::rename(&away, &path).unwrap();
    // Its log was copied into it, and removed.
    assert!(commit(&*store, pair("nowhere", 2)).await.unwrap_err().persists());
    store.close().await;
    let store = open(&path).await.unwrap();
    assert_eq!(pairs(&*store).await, ["before"]);
    store.close().await;
}

/// As by a clean-up that takes it for an ordinary log. SQLite appends to what is left, and ignores it all at the next start.
#[tokio::test]
async fn nothing_is_acknowledged_into_a_log_that_was_emptied() {
    let folder = TempDir::new().unwrap();
    let empty: fn(&Path) = |log| fs::File::create(log).map(drop).unwrap();
    let cut: fn(&Path) = |log| {
        let log = fs::OpenOptions::new().write(true).open(log).unwrap();
        log.set_len(log.metadata().unwrap().len() / 2).unwrap();
    };
    let overwrite: fn(&Path) = |log| {
        let bytes = fs::metadata(log).unwrap().len();
        let log = fs::OpenOptions::new().write(true).open(log).unwrap();
        log.write_all_at(&vec![b'#'; usize::try_from(bytes).unwrap()], 0).unwrap();
    };
    for (name, change, is_found) in
        [("empty", empty, false), ("cut", cut, false), ("overwrite", overwrite, true)]
    {
        for commits in [true, false] {
            let path = folder.path().join(format!("{name}-{commits}.db"));
            let store = open(&path).await.unwrap();
            commit(&*store, pair("before", 2)).await.unwrap();
            change(&files(&path)[1]);
            if commits {
                let refused = commit(&*store, pair("after", 2)).await.unwrap_err();
                assert!(refused.persists(), "{name}: {refused}");
            }
            let failed = store.health().await.unwrap_err();
            assert!(failed.persists(), "{name}: {failed}");
            assert!(commit(&*store, pair("after", 2)).await.unwrap_err().persists(), "{name}");
            store.close().await;
            // An empty log, and the beginning of one, are what a process that was killed leaves, too.
            let opened = open(&path).await.map(drop).map_err(|error| error.to_string());
            assert_eq!(opened.is_err(), is_found, "{name}: {opened:?}");
            assert!(opened.err().is_none_or(|why| why.contains("emptied or overwritten")));
            let checked = check_file(&path).unwrap();
            assert_eq!(matches!(checked, Checked::Damaged(_)), is_found, "{name}: {checked:?}");
        }
    }
}

/// A process that opens the file at the path may find the log of the former process beside it, and go on with that one.
#[tokio::test]
async fn what_a_successor_acknowledges_outlives_the_former_process() {
    let replace: fn(&Path, &Path) = |path, backup| fs::rename(backup, path).unwrap();
    let delete: fn(&Path, &Path) = |path, _| fs::remove_file(path).unwrap();
    let delete_index: fn(&Path, &Path) = |path, _| fs::remove_file(&files(path)[2]).unwrap();
    for (change, name) in [(replace, "replace"), (delete, "delete"), (delete_index, "delete the index")] {
        for is_noticed in [true, false] {
            let folder = TempDir::new().unwrap();
            let (path, backup) = (folder.path().join("orders.db"), folder.path().join("backup.db"));
            make_store(&path).await;
            fs::copy(&path, &backup).unwrap();
            let former = open(&path).await.unwrap();
            commit(&*former, pair("before", 2)).await.unwrap();
            change(&path, &backup);
            if is_noticed {
                assert_unavailable(commit(&*former, pair("refused", 2)).await);
            }

            let command = Command::new(env::current_exe().unwrap());
            let mut successor = ChildProcess::start(command, "child_commits_what_it_is_told");
            successor.send(path.to_str().unwrap());
            let mut acknowledged = Vec::new();
            let mut tell = |successor: &mut ChildProcess, name: String| {
                successor.send(&name);
                let is_acknowledged = successor.receive() == "committed";
                acknowledged.extend(is_acknowledged.then_some(name));
                is_acknowledged
            };
            let works = (0..5).all(|number| tell(&mut successor, format!("new.{number}")));
            assert!(works || !is_noticed, "{name}: the successor has files of its own");
            assert_unavailable(commit(&*former, pair("refused", 2)).await);
            former.close().await;
            assert_eq!(tell(&mut successor, "last".to_owned()), works, "{name}");
            successor.kill();

            let store = open(&path).await.unwrap();
            let found = pairs(&*store).await;
            assert!(acknowledged.iter().all(|name| found.contains(name)), "{name}, {is_noticed}: {found:?}");
            store.close().await;
        }
    }
}

/// The last connection of a database deletes the log, by its name.
#[tokio::test]
async fn closing_a_replaced_store_deletes_nothing_of_the_other() {
    let folder = TempDir::new().unwrap();
    let (path, away) = (folder.path().join("orders.db"), folder.path().join("away.db"));
    let store = open(&path).await.unwrap();
    commit(&*store, pair("first", 2)).await.unwrap();
    move_all(&path, &away);
    let other = open(&path).await.unwrap();
    commit(&*other, pair("other", 2)).await.unwrap();
    assert_unavailable(commit(&*store, pair("lost", 2)).await);
    store.close().await;
    commit(&*other, pair("still", 2)).await.unwrap();
    assert!(files(&path).iter().all(|file| file.exists()));
    other.close().await;
    let other = open(&path).await.unwrap();
    assert_eq!(pairs(&*other).await, ["other", "still"]);
    other.close().await;
    let first = open(&away).await.unwrap();
    assert_eq!(pairs(&*first).await, ["first"]);
    first.close().await;
}
