//! Guarantees under concurrent calls.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::FutureExt;
use orders_host::store::{Check, Commit, MAX_SCAN_LIMIT, Order, Outcome, Revision, Store};
use tokio::sync::Barrier;

use crate::backend::{commit, get_one, key, put, scan, write};

/// A writer keeps the values of many keys equal; no reader may see two of them differ. There are many keys so that a
/// read takes long enough for commits to run meanwhile.
pub(crate) async fn readers_see_whole_commits(store: &Arc<dyn Store>) {
    const ROUNDS: usize = 100;
    const READERS: usize = 4;
    const EQUAL_KEYS: usize = 128;
    async fn write_all(store: &dyn Store, text: &str) {
        write(store, (0..EQUAL_KEYS).map(|n| put(format!("p/{n:03}"), text)).collect()).await;
    }
    async fn look(store: &dyn Store) {
        let keys = (0..EQUAL_KEYS).map(|n| key(format!("p/{n:03}"))).collect();
        let found = store.get(keys).await.unwrap();
        assert!(found.iter().all(|stored| *stored == found[0]), "get saw part of a commit");
        let entries = scan(store, "p/", "p0", MAX_SCAN_LIMIT, Order::Descending).await;
        assert_eq!(entries.len(), EQUAL_KEYS);
        let whole = entries.iter().all(|entry| entry.stored == entries[0].stored);
        assert!(whole, "scan saw part of a commit");
    }

    write_all(&**store, "first").await;
    let done = Arc::new(AtomicBool::new(false));
    // The writer starts once every reader has started.
    let start = Arc::new(Barrier::new(READERS + 1));
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (store, done, start) = (Arc::clone(store), Arc::clone(&done), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                while !done.load(Ordering::SeqCst) {
                    look(&*store).await;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    start.wait().await;
    for round in 0..ROUNDS {
        write_all(&**store, &round.to_string()).await;
        tokio::task::yield_now().await;
    }
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
}

/// Many clients increment one number, each retrying until its own check holds: no increment may be lost.
pub(crate) async fn no_update_is_lost(store: &Arc<dyn Store>) {
    const CLIENTS: usize = 8;
    const ADDITIONS: usize = 10;
    let add = |store: Arc<dyn Store>| async move {
        for _ in 0..ADDITIONS {
            loop {
                let (number, check) = match get_one(&*store, "number").await {
                    None => (0, Check::Absent(key("number"))),
                    Some(found) => {
                        let text = String::from_utf8(found.value.into_bytes()).unwrap();
                        (text.parse::<usize>().unwrap(), Check::AtRevision(key("number"), found.revision))
                    }
                };
                let next = vec![put("number", (number + 1).to_string())];
                if let Outcome::Committed(_) = commit(&*store, vec![check], next).await {
                    break;
                }
            }
        }
    };
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(add(Arc::clone(store)))).collect();
    for client in clients {
        client.await.unwrap();
    }
    let total = get_one(&**store, "number").await.unwrap().value;
    assert_eq!(total.as_bytes(), (CLIENTS * ADDITIONS).to_string().as_bytes());
}

/// If a caller is cancelled, at whatever time, its commit takes effect as a whole or not at all.
pub(crate) async fn a_dropped_commit_is_whole_or_absent(store: &Arc<dyn Store>) {
    const COMMITS: usize = 64;
    let pair = |n: usize| vec![put(format!("left/{n:02}"), "1"), put(format!("right/{n:02}"), "1")];
    for n in 0..COMMITS / 2 {
        let commit = Commit::new(vec![], pair(n)).unwrap();
        // Polled once, then dropped.
        drop(store.commit(commit).now_or_never());
    }
    let tasks: Vec<_> = (COMMITS / 2..COMMITS)
        .map(|n| {
            let store = Arc::clone(store);
            tokio::spawn(async move { write(&*store, pair(n)).await })
        })
        .collect();
    tokio::task::yield_now().await;
    for task in &tasks {
        task.abort();
    }
    for task in tasks {
        // The task was aborted or had finished.
        let _ = task.await;
    }
    write(&**store, vec![put("last", "")]).await;
    let entries = scan(&**store, "left/", "right0", 1000, Order::Ascending).await;
    let mut halves: BTreeMap<String, Vec<Revision>> = BTreeMap::new();
    for entry in &entries {
        let number = entry.key.as_str().rsplit('/').next().unwrap().to_owned();
        halves.entry(number).or_default().push(entry.stored.revision);
    }
    for (number, revisions) in halves {
        assert_eq!(revisions.len(), 2, "commit {number} is partial");
        assert_eq!(revisions[0], revisions[1]);
    }
}
