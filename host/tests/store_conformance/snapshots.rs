//! Snapshots: all entries at one point in time.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use orders_host::store::{Entry, Key, MAX_PAGE_ENTRIES, MAX_VALUE_BYTES, PAGE_BYTES, Snapshot, Store};

use crate::backend::{assert_unavailable, delete, get_one, key, put, write};

async fn read_to_end(snapshot: &mut dyn Snapshot) -> Vec<Entry> {
    let mut entries = Vec::new();
    loop {
        let page = snapshot.next().await.unwrap();
        if page.is_empty() {
            return entries;
        }
        assert!(page.len() <= usize::try_from(MAX_PAGE_ENTRIES).unwrap());
        let bytes = |entry: &Entry| entry.key.as_str().len() + entry.stored.value.as_bytes().len();
        let before_last: usize = page[..page.len() - 1].iter().map(bytes).sum();
        assert!(before_last < PAGE_BYTES, "a page exceeds its size");
        entries.extend(page);
    }
}

async fn read_all(store: &dyn Store, after: Option<Key>) -> Vec<Entry> {
    read_to_end(&mut *store.snapshot(after).await.unwrap()).await
}

pub(crate) async fn a_snapshot_has_every_entry_in_order(store: &dyn Store) {
    assert_eq!(read_all(store, None).await, []);
    let mut keys: Vec<_> = (0..2500).map(|n| format!("k/{n:05}")).collect();
    // The smallest and the largest possible keys are included; no scan range ends after the largest.
    keys.extend(["\0".to_owned(), char::MAX.to_string().repeat(128), "é".into(), "a\0b".into()]);
    for chunk in keys.chunks(250) {
        write(store, chunk.iter().map(|at| put(at, at.as_bytes())).collect()).await;
    }
    keys.sort_unstable();
    let mut snapshot = store.snapshot(None).await.unwrap();
    assert_eq!(snapshot.count().await.unwrap(), Some(2504));
    let entries = read_to_end(&mut *snapshot).await;
    assert_eq!(entries.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), keys);
    for entry in entries.iter().step_by(250) {
        assert_eq!(entry.stored.value.as_bytes(), entry.key.as_str().as_bytes());
        assert_eq!(get_one(store, entry.key.as_str()).await.as_ref(), Some(&entry.stored));
    }
    assert!(snapshot.next().await.unwrap().is_empty(), "there are no pages after the end");
    for after in ["k/00123", "k/00123x", "\0"] {
        let later = entries.iter().filter(|entry| entry.key.as_str() > after).cloned().collect::<Vec<_>>();
        assert!(read_all(store, Some(key(after))).await == later, "{after:?}");
    }
}

pub(crate) async fn pages_of_large_values_are_short(store: &dyn Store) {
    for n in 0..12 {
        write(store, vec![put(format!("{n:02}"), vec![n; MAX_VALUE_BYTES])]).await;
    }
    let entries = read_all(store, None).await;
    assert_eq!(entries.len(), 12);
    assert!(
        entries.iter().zip(0..).all(|(entry, n)| entry.stored.value.as_bytes() == vec![n; MAX_VALUE_BYTES])
    );
}

pub(crate) async fn a_snapshot_does_not_see_later_commits(store: &dyn Store) {
    let name = |n: usize| format!("k/{n:05}");
    for chunk in (0..2000).collect::<Vec<_>>().chunks(250) {
        write(store, chunk.iter().map(|n| put(name(*n), "before")).collect()).await;
    }
    let before = read_all(store, None).await;
    let mut snapshot = store.snapshot(None).await.unwrap();
    let first = snapshot.next().await.unwrap();
    assert!(first.len() < before.len());
    let writes = vec![put(name(0), "after"), put(name(1998), "after"), delete(&name(1999)), put("z", "new")];
    write(store, writes).await;
    assert_eq!(snapshot.count().await.unwrap(), Some(2000));
    let read = [first, read_to_end(&mut *snapshot).await].concat();
    assert!(read == before, "the snapshot changed while it was read");
    let after = read_all(store, None).await;
    let last: Vec<_> =
        after[1997..].iter().map(|entry| (entry.key.as_str(), entry.stored.value.as_bytes())).collect();
    assert_eq!(last, [("k/01997", &b"before"[..]), ("k/01998", b"after"), ("z", b"new")]);
    drop(snapshot);
}

pub(crate) async fn a_snapshot_after_close_is_unavailable(store: &dyn Store) {
    store.close().await;
    assert_unavailable(store.snapshot(None).await.map(drop));
}

/// A writer keeps the values of several keys equal, over several pages: no snapshot may see two of them differ.
pub(crate) async fn snapshots_see_whole_commits(store: &Arc<dyn Store>) {
    const EQUAL_KEYS: usize = 48;
    const VALUE_BYTES: usize = PAGE_BYTES / 20;
    async fn write_all(store: &dyn Store, round: u8) {
        write(store, (0..EQUAL_KEYS).map(|n| put(format!("p/{n:03}"), vec![round; VALUE_BYTES])).collect())
            .await;
    }
    write_all(&**store, 0).await;
    let done = Arc::new(AtomicBool::new(false));
    let writer = {
        let (store, done) = (Arc::clone(store), Arc::clone(&done));
        tokio::spawn(async move {
            let mut round = 0_u8;
            while !done.load(Ordering::SeqCst) {
                round = round.wrapping_add(1);
                write_all(&*store, round).await;
            }
        })
    };
    let mut seen = std::collections::BTreeSet::new();
    let mut rounds = 0;
    // Also continues until the writer has committed.
    while rounds < 20 || seen.len() < 2 {
        rounds += 1;
        assert!(rounds < 10_000, "the writer did not commit");
        tokio::task::yield_now().await;
        let entries = read_all(&**store, None).await;
        assert_eq!(entries.len(), EQUAL_KEYS);
        assert!(
            entries.iter().all(|entry| entry.stored == entries[0].stored),
            "a snapshot saw part of a commit"
        );
        seen.insert(entries[0].stored.revision);
    }
    done.store(true, Ordering::SeqCst);
    writer.await.unwrap();
}
