//! The limits of the interface and the behaviour of single calls.

use orders_adapter::{
    contract::{
        Check, Error, MAX_COMMIT_ITEMS, MAX_GET_KEYS, MAX_KEY_BYTES, MAX_SCAN_LIMIT, MAX_VALUE_BYTES, Order,
        Outcome, Scan, Store, Write,
    },
    state::State,
};

use crate::shared_disk::{Blobs, Disk, open};

/// Runs a test with each kind of store.
fn for_each_store(test: impl Fn(&mut dyn Store)) {
    test(&mut State::new());
    test(&mut open(Disk::new(&Blobs::default()), 2));
}

fn put(key: impl Into<String>, value: impl Into<Vec<u8>>) -> Write {
    Write::Put(key.into(), value.into())
}

fn scan(start: &str, end: &str, limit: u32) -> Scan {
    Scan { start: start.into(), end: end.into(), limit, order: Order::Ascending }
}

fn is_too_large<T>(outcome: &Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::TooLarge(_)))
}

#[test]
fn keys_outside_the_length_limits_are_rejected() {
    for_each_store(|store| {
        for key in [String::new(), "k".repeat(MAX_KEY_BYTES + 1)] {
            let invalid = |error| matches!(error, Error::InvalidKey(_));
            assert!(invalid(store.get(std::slice::from_ref(&key)).unwrap_err()));
            assert!(invalid(store.scan(&scan(&key, "z", 1)).unwrap_err()));
            assert!(invalid(store.scan(&scan("a", &key, 1)).unwrap_err()));
            assert!(invalid(store.commit(&[Check::Absent(key.clone())], Vec::new()).unwrap_err()));
            assert!(invalid(store.commit(&[], vec![Write::Delete(key.clone())]).unwrap_err()));
            assert!(invalid(store.commit(&[], vec![put(key, "")]).unwrap_err()));
        }
        let longest = "k".repeat(MAX_KEY_BYTES);
        assert_eq!(store.commit(&[], vec![put(longest, "")]), Ok(Outcome::Committed(1)));
    });
}

#[test]
fn oversized_values_counts_and_scan_limits_are_rejected() {
    for_each_store(|store| {
        let largest = vec![7; MAX_VALUE_BYTES];
        assert_eq!(store.commit(&[], vec![put("k", largest.clone())]), Ok(Outcome::Committed(1)));
        assert!(is_too_large(&store.commit(&[], vec![put("k", [largest, vec![7]].concat())])));

        let keys = vec!["k2".to_owned(); MAX_GET_KEYS + 1];
        assert!(is_too_large(&store.get(&keys)));
        assert!(store.get(&keys[1..]).is_ok());
        for limit in [0, MAX_SCAN_LIMIT + 1] {
            assert!(is_too_large(&store.scan(&scan("a", "z", limit))));
        }
        let checks = vec![Check::Absent("x".into()); MAX_COMMIT_ITEMS];
        assert!(store.commit(&checks, Vec::new()).is_ok());
        assert!(is_too_large(&store.commit(&checks, vec![put("k", "")])));
    });
}

#[test]
fn a_call_that_carries_too_many_bytes_is_rejected() {
    for_each_store(|store| {
        let key = |n: u32| format!("k{n}");
        let large = vec![7; MAX_VALUE_BYTES - 2];
        let writes: Vec<_> = (0..8).map(|n| put(key(n), large.clone())).collect();
        assert_eq!(store.commit(&[], writes.clone()), Ok(Outcome::Committed(1)));
        let one_more = [writes, vec![put("k8", "")]].concat();
        assert!(is_too_large(&store.commit(&[], one_more)));
        assert_eq!(store.scan(&scan("k", "l", 8)).unwrap().len(), 8);
        assert_eq!(store.commit(&[], vec![put("k8", "abc")]), Ok(Outcome::Committed(2)));
        assert!(is_too_large(&store.scan(&scan("k", "l", 9))));
        let keys: Vec<_> = (0..8).map(key).collect();
        assert!(store.get(&keys).is_ok());
        assert!(is_too_large(&store.get(&[keys, vec![key(0)]].concat())));
    });
}

#[test]
fn a_conflict_names_the_first_check_that_fails_and_writes_nothing() {
    for_each_store(|store| {
        assert_eq!(store.commit(&[], vec![put("a", "1")]), Ok(Outcome::Committed(1)));
        let checks =
            [Check::AtRevision("a".into(), 1), Check::AtRevision("b".into(), 1), Check::Absent("a".into())];
        assert_eq!(store.commit(&checks, vec![put("a", "2")]), Ok(Outcome::Conflict(1)));
        assert_eq!(store.get(&["a".into()]).unwrap()[0].as_ref().unwrap().value, b"1");
        // The last write to a key wins; checks see the state before the commit.
        let twice = vec![put("b", "1"), Write::Delete("b".into()), put("b", "2")];
        assert_eq!(store.commit(&[Check::Absent("b".into())], twice), Ok(Outcome::Committed(2)));
        assert_eq!(store.get(&["b".into()]).unwrap()[0].as_ref().unwrap().value, b"2");
        // A commit without writes only evaluates its checks, and still takes a revision.
        assert_eq!(store.commit(&[], Vec::new()), Ok(Outcome::Committed(3)));
    });
}
