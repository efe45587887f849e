//! Each call alone: reading, writing, closing.

use orders_host::store::{
    Check, Commit, Entry, MAX_KEY_BYTES, MAX_VALUE_BYTES, Order, Outcome, Revision, Scan, Store,
};

use crate::backend::{
    assert_unavailable, commit, delete, get, get_one, key, put, scan, scan_keys, stored, write,
};

// Reading.

pub(crate) async fn get_returns_entries_in_the_order_of_its_keys(store: &dyn Store) {
    let revision = write(store, vec![put("a", "1"), put("b", "2"), put("empty", "")]).await;
    let found = get(store, &["b", "missing", "a", "b", "empty"]).await;
    let expected = [Some("2"), None, Some("1"), Some("2"), Some("")];
    assert_eq!(found, expected.map(|bytes| bytes.map(|bytes| stored(bytes, revision))));
    assert_eq!(get(store, &[]).await, []);
}

pub(crate) async fn scan_runs_in_both_directions_within_its_bounds(store: &dyn Store) {
    let revision = write(store, ["a", "b", "c", "d"].map(|at| put(at, at)).into()).await;
    assert_eq!(scan_keys(store, "a", "d", 1000, Order::Ascending).await, ["a", "b", "c"]);
    assert_eq!(scan_keys(store, "a", "d", 1000, Order::Descending).await, ["c", "b", "a"]);
    assert_eq!(scan_keys(store, "a", "e", 2, Order::Ascending).await, ["a", "b"]);
    assert_eq!(scan_keys(store, "a", "e", 2, Order::Descending).await, ["d", "c"]);
    // The bounds need not be existing keys.
    assert_eq!(scan_keys(store, "aa", "cc", 1000, Order::Ascending).await, ["b", "c"]);
    let first = scan(store, "b", "d", 1, Order::Ascending).await;
    assert_eq!(first, [Entry { key: key("b"), stored: stored("b", revision) }]);
}

pub(crate) async fn scan_of_an_empty_or_inverted_range_returns_nothing(store: &dyn Store) {
    write(store, ["a", "b", "c"].map(|at| put(at, at)).into()).await;
    for order in [Order::Ascending, Order::Descending] {
        for (start, end) in [("b", "b"), ("c", "a"), ("x", "z"), ("aa", "ab")] {
            assert_eq!(scan_keys(store, start, end, 1000, order).await, [""; 0], "{start}…{end}");
        }
    }
}

pub(crate) async fn scan_returns_at_most_its_limit(store: &dyn Store) {
    for chunk in 0..5 {
        let writes = (0..250).map(|n| put(format!("k/{:04}", chunk * 250 + n), "")).collect();
        write(store, writes).await;
    }
    let ascending = scan_keys(store, "k/", "k0", 1000, Order::Ascending).await;
    assert_eq!((ascending.len(), &*ascending[0], &*ascending[999]), (1000, "k/0000", "k/0999"));
    let descending = scan_keys(store, "k/", "k0", 1000, Order::Descending).await;
    assert_eq!((descending.len(), &*descending[0], &*descending[999]), (1000, "k/1249", "k/0250"));
    assert_eq!(scan_keys(store, "k/", "k0", 1, Order::Ascending).await, ["k/0000"]);
    assert_eq!(scan_keys(store, "k/", "k0", 1, Order::Descending).await, ["k/1249"]);
}

pub(crate) async fn keys_are_ordered_bytewise(store: &dyn Store) {
    let longest = "z".repeat(MAX_KEY_BYTES);
    let longest_multibyte = "é".repeat(MAX_KEY_BYTES / 2);
    // U+FF5E is above U+1F600 in UTF-16, below it in UTF-8; NUL is a byte like any other.
    let mut keys = vec![
        "\u{1F600}",
        "\u{FF5E}",
        "é",
        "e",
        "E",
        "ä",
        "z",
        "Z",
        "\0",
        "\0\0",
        "a",
        "a\0",
        "a\0b",
        "a\u{1}",
        "a b",
        "10",
        "9",
        "%",
        "_",
        "ß",
        "ss",
        "\u{7f}",
        "\u{80}",
        "e\u{301}",
        &longest,
        &longest_multibyte,
    ];
    let revision = write(store, keys.iter().map(|at| put(*at, at.as_bytes())).collect()).await;
    keys.sort_unstable_by_key(|at| at.as_bytes());
    let last = char::MAX.to_string();
    assert_eq!(scan_keys(store, "\0", &last, 1000, Order::Ascending).await, keys);
    for at in &keys {
        assert_eq!(get_one(store, at).await, Some(stored(at.as_bytes(), revision)), "{at:?}");
        let above: Vec<_> = keys.iter().copied().filter(|other| other.as_bytes() >= at.as_bytes()).collect();
        assert_eq!(scan_keys(store, at, &last, 1000, Order::Ascending).await, above, "{at:?}");
        let mut below: Vec<_> =
            keys.iter().copied().filter(|other| other.as_bytes() < at.as_bytes()).collect();
        below.reverse();
        assert_eq!(scan_keys(store, "\0", at, 1000, Order::Descending).await, below, "{at:?}");
    }
    write(store, vec![delete("a\0")]).await;
    assert!(get_one(store, "a").await.is_some() && get_one(store, "a\0b").await.is_some());
    assert_eq!(get_one(store, "a\0").await, None);
}

pub(crate) async fn values_are_stored_byte_for_byte(store: &dyn Store) {
    let every_byte: Vec<u8> = (0..=255).collect();
    let largest = vec![0xA5; MAX_VALUE_BYTES];
    let revision =
        write(store, vec![put("bytes", every_byte.clone()), put("largest", largest.clone())]).await;
    let found = get(store, &["bytes", "largest"]).await;
    assert!(found == [Some(stored(every_byte, revision)), Some(stored(largest, revision))]);
}

// Writing.

pub(crate) async fn revisions_increase_and_mark_what_a_commit_wrote(store: &dyn Store) {
    let first = write(store, vec![put("a", "1"), put("b", "1")]).await;
    assert_eq!(first, Revision(1));
    let second = write(store, vec![put("b", "2"), put("c", "2")]).await;
    let third = write(store, vec![put("d", "3"), put("e", "3")]).await;
    assert!(first < second && second < third);
    let revisions: Vec<_> = scan(store, "a", "z", 1000, Order::Ascending)
        .await
        .iter()
        .map(|entry| (entry.key.as_str().to_owned(), entry.stored.revision))
        .collect();
    let expected = [("a", first), ("b", second), ("c", second), ("d", third), ("e", third)];
    assert_eq!(revisions, expected.map(|(at, revision)| (at.to_owned(), revision)));
}

pub(crate) async fn a_commit_whose_checks_hold_succeeds(store: &dyn Store) {
    let first = write(store, vec![put("a", "1"), put("gone", "1")]).await;
    write(store, vec![delete("gone")]).await;
    let checks =
        vec![Check::AtRevision(key("a"), first), Check::Absent(key("b")), Check::Absent(key("gone"))];
    let outcome = commit(store, checks, vec![put("a", "2"), put("b", "2")]).await;
    let Outcome::Committed(second) = outcome else { panic!("{outcome:?}") };
    assert_eq!(get(store, &["a", "b"]).await, [Some(stored("2", second)), Some(stored("2", second))]);
}

pub(crate) async fn each_kind_of_check_can_fail(store: &dyn Store) {
    let old = write(store, vec![put("a", "1"), put("gone", "1")]).await;
    let new = write(store, vec![put("a", "2"), delete("gone")]).await;
    let failing = [
        Check::Absent(key("a")),
        Check::AtRevision(key("a"), old),
        Check::AtRevision(key("a"), Revision(new.0 + 1)),
        Check::AtRevision(key("a"), Revision(0)),
        Check::AtRevision(key("a"), Revision(u64::MAX)),
        Check::AtRevision(key("gone"), old),
        Check::AtRevision(key("never"), Revision(0)),
        Check::AtRevision(key("never"), new),
    ];
    for check in failing {
        let outcome = commit(store, vec![check.clone()], vec![put("a", "3"), delete("a")]).await;
        assert_eq!(outcome, Outcome::Conflict(0), "{check:?}");
    }
    assert_eq!(get(store, &["a", "gone"]).await, [Some(stored("2", new)), None]);
}

pub(crate) async fn a_conflict_names_the_first_failing_check_and_writes_nothing(store: &dyn Store) {
    let revision = write(store, vec![put("a", "1")]).await;
    let holds = Check::AtRevision(key("a"), revision);
    let absent = Check::Absent(key("b"));
    let fails = Check::Absent(key("a"));
    let writes = || vec![put("a", "2"), put("b", "2"), delete("a")];
    for (checks, index) in [
        (vec![fails.clone(), fails.clone()], 0),
        (vec![holds.clone(), fails.clone(), absent.clone()], 1),
        (vec![holds, absent, fails.clone(), fails], 2),
    ] {
        assert_eq!(commit(store, checks, writes()).await, Outcome::Conflict(index));
        assert_eq!(get(store, &["a", "b"]).await, [Some(stored("1", revision)), None]);
    }
}

pub(crate) async fn checks_see_the_state_before_the_commits_own_writes(store: &dyn Store) {
    let checks = vec![Check::Absent(key("a")), Check::Absent(key("a"))];
    assert!(matches!(commit(store, checks, vec![put("a", "1")]).await, Outcome::Committed(_)));
}

pub(crate) async fn the_last_write_to_a_key_wins(store: &dyn Store) {
    let writes = vec![
        put("a", "1"),
        put("a", "2"),
        put("b", "1"),
        delete("b"),
        delete("c"),
        put("c", "1"),
        put("d", "1"),
        delete("d"),
        put("d", "3"),
    ];
    let revision = write(store, writes).await;
    let expected = [Some("2"), None, Some("1"), Some("3")];
    assert_eq!(
        get(store, &["a", "b", "c", "d"]).await,
        expected.map(|bytes| bytes.map(|bytes| stored(bytes, revision)))
    );
}

pub(crate) async fn deleting_an_absent_key_succeeds(store: &dyn Store) {
    let first = write(store, vec![delete("never")]).await;
    let second = write(store, vec![put("a", "1"), delete("never")]).await;
    assert!(first < second);
    assert_eq!(get(store, &["a", "never"]).await, [Some(stored("1", second)), None]);
}

pub(crate) async fn a_commit_without_writes_only_checks(store: &dyn Store) {
    let first = write(store, vec![put("a", "1")]).await;
    let outcome = commit(store, vec![Check::AtRevision(key("a"), first)], vec![]).await;
    // It is a commit like any other, so it has its own revision.
    let Outcome::Committed(second) = outcome else { panic!("{outcome:?}") };
    assert!(second > first);
    assert_eq!(commit(store, vec![Check::Absent(key("a"))], vec![]).await, Outcome::Conflict(0));
    assert!(write(store, vec![]).await > second);
    assert_eq!(get_one(store, "a").await, Some(stored("1", first)));
}

// Closing.

pub(crate) async fn every_call_after_close_is_unavailable(store: &dyn Store) {
    write(store, vec![put("a", "1")]).await;
    store.health().await.unwrap();
    store.close().await;
    store.close().await;
    assert_unavailable(store.get(vec![key("a")]).await);
    assert_unavailable(store.scan(Scan::new(key("a"), key("b"), 1, Order::Ascending).unwrap()).await);
    assert_unavailable(store.commit(Commit::new(vec![], vec![put("a", "2")]).unwrap()).await);
    assert_unavailable(store.health().await);
}
