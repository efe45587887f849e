//! Data that outlives a close, and two handles to one location.

use std::{collections::BTreeSet, sync::Arc};

use orders_host::store::{Check, Order, Outcome, Revision, Store};

use crate::backend::{Backend, commit, delete, get, get_one, key, put, scan, stored, write};

pub(crate) async fn entries_and_revisions_survive_a_reopen(backend: &Backend) {
    let store = backend.open().await;
    let first = write(&*store, vec![put("a", "1"), put("b", "1")]).await;
    let second = write(&*store, vec![put("b", "2")]).await;
    store.close().await;
    drop(store);
    let store = backend.open().await;
    assert_eq!(get(&*store, &["a", "b"]).await, [Some(stored("1", first)), Some(stored("2", second))]);
    assert!(write(&*store, vec![put("c", "3")]).await > second);
    store.close().await;
}

pub(crate) async fn two_handles_to_one_location_are_one_store(backend: &Backend) {
    let (left, right) = (backend.open().await, backend.open().await);
    let mut last = Revision(0);
    for round in 0..20 {
        let (writer, reader) = if round % 2 == 0 { (&left, &right) } else { (&right, &left) };
        let text = round.to_string();
        let revision = write(&**writer, vec![put("a", text.as_str())]).await;
        assert!(revision > last);
        last = revision;
        assert_eq!(get_one(&**reader, "a").await, Some(stored(text.as_str(), revision)));
        let outcome = commit(&**reader, vec![Check::Absent(key("a"))], vec![delete("a")]).await;
        assert_eq!(outcome, Outcome::Conflict(0));
    }
    let add = |store: Arc<dyn Store>, name: &'static str| async move {
        for n in 0..20 {
            write(&*store, vec![put(format!("{name}/{n}"), "1")]).await;
        }
    };
    let both = [tokio::spawn(add(Arc::clone(&left), "x")), tokio::spawn(add(Arc::clone(&right), "y"))];
    for one in both {
        one.await.unwrap();
    }
    // After one handle closes, the other has all entries and stays usable.
    left.close().await;
    let entries = scan(&*right, "x", "z", 1000, Order::Ascending).await;
    let revisions: BTreeSet<_> = entries.iter().map(|entry| entry.stored.revision).collect();
    assert_eq!((entries.len(), revisions.len()), (40, 40));
    assert!(write(&*right, vec![put("a", "last")]).await > *revisions.last().unwrap());
    right.close().await;
}
