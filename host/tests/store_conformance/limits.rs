//! The limits of each call: a call at the limit succeeds, and one beyond it is rejected.

use orders_host::store::{
    Check, Commit, Key, MAX_COMMIT_ITEMS, MAX_GET_KEYS, MAX_KEY_BYTES, MAX_SCAN_LIMIT, MAX_TRANSFER_BYTES,
    MAX_VALUE_BYTES, Order, Outcome, Scan, Store, StoreError, Value, Write,
};

use crate::backend::{assert_too_large, commit, delete, get_one, key, put, scan, stored, write};

pub(crate) async fn key_and_value_sizes_are_limited(store: &dyn Store) {
    assert!(matches!(Key::try_from(String::new()), Err(StoreError::InvalidKey(_))));
    let too_long = "k".repeat(MAX_KEY_BYTES + 1);
    assert!(matches!(Key::try_from(too_long), Err(StoreError::InvalidKey(_))));
    let too_long_in_bytes = "é".repeat(MAX_KEY_BYTES / 2) + "k";
    assert!(matches!(Key::try_from(too_long_in_bytes), Err(StoreError::InvalidKey(_))));
    assert_too_large(Value::try_from(vec![0; MAX_VALUE_BYTES + 1]));
    let longest = "k".repeat(MAX_KEY_BYTES);
    let revision = write(store, vec![put(longest.as_str(), vec![7; MAX_VALUE_BYTES]), put("k", "")]).await;
    assert!(get_one(store, &longest).await == Some(stored(vec![7; MAX_VALUE_BYTES], revision)));
    assert_eq!(get_one(store, "k").await, Some(stored("", revision)));
}

pub(crate) async fn scan_limits_and_item_counts_are_limited(store: &dyn Store) {
    for limit in [0, MAX_SCAN_LIMIT + 1, u32::MAX] {
        assert_too_large(Scan::new(key("a"), key("b"), limit, Order::Ascending));
    }
    assert_eq!(scan(store, "a", "b", MAX_SCAN_LIMIT, Order::Ascending).await, []);

    let keys = |count: usize| vec![key("a"); count];
    assert_eq!(store.get(keys(MAX_GET_KEYS)).await.unwrap(), vec![None; MAX_GET_KEYS]);
    assert_too_large(store.get(keys(MAX_GET_KEYS + 1)).await);

    let checks = |count: usize| vec![Check::Absent(key("a")); count];
    let writes = |count: usize| (0..count).map(|n| put(format!("w/{n:03}"), "")).collect::<Vec<_>>();
    assert_too_large(Commit::new(checks(MAX_COMMIT_ITEMS + 1), vec![]));
    assert_too_large(Commit::new(vec![], writes(MAX_COMMIT_ITEMS + 1)));
    assert_too_large(Commit::new(checks(MAX_COMMIT_ITEMS / 2), writes(MAX_COMMIT_ITEMS / 2 + 1)));
    for (checked, written) in [(MAX_COMMIT_ITEMS, 0), (0, MAX_COMMIT_ITEMS), (128, MAX_COMMIT_ITEMS - 128)] {
        let outcome = commit(store, checks(checked), writes(written)).await;
        assert!(matches!(outcome, Outcome::Committed(_)), "{checked} {written}");
    }
    assert_eq!(scan(store, "w/", "w0", 1000, Order::Ascending).await.len(), MAX_COMMIT_ITEMS);
}

/// Writes that transfer exactly as much as one call may: eight keys of one byte, and values.
fn largest_commit() -> Vec<Write> {
    let mut writes: Vec<_> = ('a'..='g').map(|at| put(at, vec![1; MAX_VALUE_BYTES])).collect();
    let rest = MAX_TRANSFER_BYTES - 7 * (MAX_VALUE_BYTES + 1) - 1;
    writes.push(put("h", vec![1; rest]));
    writes
}

pub(crate) async fn the_bytes_of_a_commit_are_limited(store: &dyn Store) {
    let check = || vec![Check::Absent(key("x"))];
    assert_too_large(Commit::new(check(), largest_commit()));
    let mut writes = largest_commit();
    writes.push(delete("x"));
    assert_too_large(Commit::new(vec![], writes));
    write(store, largest_commit()).await;
    assert_eq!(get_one(store, "g").await.unwrap().value.as_bytes().len(), MAX_VALUE_BYTES);
}

pub(crate) async fn the_bytes_of_a_scan_are_limited(store: &dyn Store) {
    write(store, largest_commit()).await;
    write(store, vec![put("i", "")]).await;
    for order in [Order::Ascending, Order::Descending] {
        let whole = Scan::new(key("a"), key("i"), 1000, order).unwrap();
        assert_eq!(store.scan(whole).await.unwrap().len(), 8);
        let more = Scan::new(key("a"), key("j"), 1000, order).unwrap();
        assert_too_large(store.scan(more).await);
    }
    // Entries beyond the limit are not transferred.
    assert_eq!(scan(store, "a", "j", 8, Order::Ascending).await.len(), 8);
}

pub(crate) async fn the_bytes_of_a_get_are_limited(store: &dyn Store) {
    write(store, vec![put("large", vec![1; MAX_VALUE_BYTES]), put("small", "1"), put("empty", "")]).await;
    let at_bound = ["large"; MAX_TRANSFER_BYTES / MAX_VALUE_BYTES];
    let with = |more: &'static str| {
        let texts = at_bound.iter().copied().chain([more]);
        texts.map(key).collect::<Vec<_>>()
    };
    assert_eq!(store.get(with("empty")).await.unwrap().len(), at_bound.len() + 1);
    assert_eq!(store.get(with("missing")).await.unwrap().len(), at_bound.len() + 1);
    assert_too_large(store.get(with("small")).await);
}
