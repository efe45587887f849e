//! What every store backend must do, through the public interface alone.
//!
//! One suite, run against each backend: see `conformance!` at the end. Top to bottom: reading, writing,
//! bounds, concurrency, random histories checked against a model, and what survives a close.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use futures_util::{FutureExt, future::join_all};
use orders_host::{
    config::StoreLocation,
    store::{
        self, Check, Commit, Entry, Key, MAX_COMMIT_ITEMS, MAX_GET_KEYS, MAX_KEY_BYTES, MAX_SCAN_LIMIT,
        MAX_TRANSFER_BYTES, MAX_VALUE_BYTES, Order, Outcome, Revision, Scan, Store, StoreError, Stored,
        Value, Write,
    },
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use tempfile::TempDir;
use tokio::sync::Barrier;

/// A backend under test, and what must live as long as it.
struct Backend {
    location: StoreLocation,
    _directory: Option<TempDir>,
}

impl Backend {
    async fn open(&self) -> Arc<dyn Store> {
        store::open(&self.location).await.expect("the store opens")
    }
}

fn memory() -> Backend {
    Backend { location: StoreLocation::Memory, _directory: None }
}

fn sqlite() -> Backend {
    let directory = TempDir::new().unwrap();
    let location = StoreLocation::Sqlite(directory.path().join("orders.db"));
    Backend { location, _directory: Some(directory) }
}

fn key(text: impl Into<String>) -> Key {
    Key::try_from(text.into()).unwrap()
}

fn value(bytes: impl Into<Vec<u8>>) -> Value {
    Value::try_from(bytes.into()).unwrap()
}

fn put(at: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Write {
    Write::Put(key(at), value(bytes))
}

fn delete(at: &str) -> Write {
    Write::Delete(key(at))
}

async fn commit(store: &dyn Store, checks: Vec<Check>, writes: Vec<Write>) -> Outcome {
    store.commit(Commit::new(checks, writes).unwrap()).await.unwrap()
}

/// Makes the writes, which nothing may hinder.
async fn write(store: &dyn Store, writes: Vec<Write>) -> Revision {
    match commit(store, vec![], writes).await {
        Outcome::Committed(revision) => revision,
        Outcome::Conflict(index) => panic!("a commit without checks conflicted at {index}"),
    }
}

async fn get(store: &dyn Store, keys: &[&str]) -> Vec<Option<Stored>> {
    store.get(keys.iter().map(|text| key(*text)).collect()).await.unwrap()
}

async fn get_one(store: &dyn Store, at: &str) -> Option<Stored> {
    get(store, &[at]).await.remove(0)
}

fn stored(bytes: impl Into<Vec<u8>>, revision: Revision) -> Stored {
    Stored { value: value(bytes), revision }
}

async fn scan(store: &dyn Store, start: &str, end: &str, limit: u32, order: Order) -> Vec<Entry> {
    store.scan(Scan::new(key(start), key(end), limit, order).unwrap()).await.unwrap()
}

async fn scan_keys(store: &dyn Store, start: &str, end: &str, limit: u32, order: Order) -> Vec<String> {
    let entries = scan(store, start, end, limit, order).await;
    entries.iter().map(|entry| entry.key.as_str().to_owned()).collect()
}

fn assert_too_large<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge(_)), "{error:?}");
}

fn assert_unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
}

// Reading.

async fn get_answers_in_the_order_asked(store: &dyn Store) {
    let revision = write(store, vec![put("a", "1"), put("b", "2"), put("empty", "")]).await;
    let found = get(store, &["b", "missing", "a", "b", "empty"]).await;
    let expected = [Some("2"), None, Some("1"), Some("2"), Some("")];
    assert_eq!(found, expected.map(|bytes| bytes.map(|bytes| stored(bytes, revision))));
    assert_eq!(get(store, &[]).await, []);
}

async fn scan_goes_both_ways_within_its_bounds(store: &dyn Store) {
    let revision = write(store, ["a", "b", "c", "d"].map(|at| put(at, at)).into()).await;
    assert_eq!(scan_keys(store, "a", "d", 1000, Order::Ascending).await, ["a", "b", "c"]);
    assert_eq!(scan_keys(store, "a", "d", 1000, Order::Descending).await, ["c", "b", "a"]);
    assert_eq!(scan_keys(store, "a", "e", 2, Order::Ascending).await, ["a", "b"]);
    assert_eq!(scan_keys(store, "a", "e", 2, Order::Descending).await, ["d", "c"]);
    // Bounds need not be keys that exist.
    assert_eq!(scan_keys(store, "aa", "cc", 1000, Order::Ascending).await, ["b", "c"]);
    let first = scan(store, "b", "d", 1, Order::Ascending).await;
    assert_eq!(first, [Entry { key: key("b"), stored: stored("b", revision) }]);
}

async fn scan_of_an_empty_or_inverted_range_gives_none(store: &dyn Store) {
    write(store, ["a", "b", "c"].map(|at| put(at, at)).into()).await;
    for order in [Order::Ascending, Order::Descending] {
        for (start, end) in [("b", "b"), ("c", "a"), ("x", "z"), ("aa", "ab")] {
            assert_eq!(scan_keys(store, start, end, 1000, order).await, [""; 0], "{start}…{end}");
        }
    }
}

async fn scan_gives_at_most_its_limit(store: &dyn Store) {
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

async fn keys_are_ordered_bytewise(store: &dyn Store) {
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

async fn values_are_kept_byte_for_byte(store: &dyn Store) {
    let every_byte: Vec<u8> = (0..=255).collect();
    let largest = vec![0xA5; MAX_VALUE_BYTES];
    let revision =
        write(store, vec![put("bytes", every_byte.clone()), put("largest", largest.clone())]).await;
    let found = get(store, &["bytes", "largest"]).await;
    assert!(found == [Some(stored(every_byte, revision)), Some(stored(largest, revision))]);
}

// Writing.

async fn revisions_rise_and_mark_what_a_commit_wrote(store: &dyn Store) {
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

async fn checks_that_hold_let_the_commit_through(store: &dyn Store) {
    let first = write(store, vec![put("a", "1"), put("gone", "1")]).await;
    write(store, vec![delete("gone")]).await;
    let checks =
        vec![Check::AtRevision(key("a"), first), Check::Absent(key("b")), Check::Absent(key("gone"))];
    let outcome = commit(store, checks, vec![put("a", "2"), put("b", "2")]).await;
    let Outcome::Committed(second) = outcome else { panic!("{outcome:?}") };
    assert_eq!(get(store, &["a", "b"]).await, [Some(stored("2", second)), Some(stored("2", second))]);
}

async fn each_kind_of_check_can_fail(store: &dyn Store) {
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

async fn a_conflict_names_the_first_failing_check_and_writes_nothing(store: &dyn Store) {
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

async fn checks_see_the_state_before_the_commits_own_writes(store: &dyn Store) {
    let checks = vec![Check::Absent(key("a")), Check::Absent(key("a"))];
    assert!(matches!(commit(store, checks, vec![put("a", "1")]).await, Outcome::Committed(_)));
}

async fn the_last_write_to_a_key_wins(store: &dyn Store) {
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

async fn deleting_an_absent_key_is_no_error(store: &dyn Store) {
    let first = write(store, vec![delete("never")]).await;
    let second = write(store, vec![put("a", "1"), delete("never")]).await;
    assert!(first < second);
    assert_eq!(get(store, &["a", "never"]).await, [Some(stored("1", second)), None]);
}

async fn a_commit_without_writes_only_checks(store: &dyn Store) {
    let first = write(store, vec![put("a", "1")]).await;
    let outcome = commit(store, vec![Check::AtRevision(key("a"), first)], vec![]).await;
    // It is a commit like any other, so it has a number of its own.
    let Outcome::Committed(second) = outcome else { panic!("{outcome:?}") };
    assert!(second > first);
    assert_eq!(commit(store, vec![Check::Absent(key("a"))], vec![]).await, Outcome::Conflict(0));
    assert!(write(store, vec![]).await > second);
    assert_eq!(get_one(store, "a").await, Some(stored("1", first)));
}

// Bounds: exactly at each is good, one more is refused.

async fn keys_and_values_have_bounds(store: &dyn Store) {
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

async fn limits_and_counts_have_bounds(store: &dyn Store) {
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

/// Writes that carry exactly as much as one call may: eight keys of one byte, and values.
fn largest_commit() -> Vec<Write> {
    let mut writes: Vec<_> = ('a'..='g').map(|at| put(at, vec![1; MAX_VALUE_BYTES])).collect();
    let rest = MAX_TRANSFER_BYTES - 7 * (MAX_VALUE_BYTES + 1) - 1;
    writes.push(put("h", vec![1; rest]));
    writes
}

async fn a_commit_carries_a_bounded_number_of_bytes(store: &dyn Store) {
    let check = || vec![Check::Absent(key("x"))];
    assert_too_large(Commit::new(check(), largest_commit()));
    let mut writes = largest_commit();
    writes.push(delete("x"));
    assert_too_large(Commit::new(vec![], writes));
    write(store, largest_commit()).await;
    assert_eq!(get_one(store, "g").await.unwrap().value.as_bytes().len(), MAX_VALUE_BYTES);
}

async fn a_scan_gives_a_bounded_number_of_bytes(store: &dyn Store) {
    write(store, largest_commit()).await;
    write(store, vec![put("i", "")]).await;
    for order in [Order::Ascending, Order::Descending] {
        let whole = Scan::new(key("a"), key("i"), 1000, order).unwrap();
        assert_eq!(store.scan(whole).await.unwrap().len(), 8);
        let more = Scan::new(key("a"), key("j"), 1000, order).unwrap();
        assert_too_large(store.scan(more).await);
    }
    // What lies beyond the limit is not carried.
    assert_eq!(scan(store, "a", "j", 8, Order::Ascending).await.len(), 8);
}

async fn a_get_gives_a_bounded_number_of_bytes(store: &dyn Store) {
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

// Concurrency.

/// A writer keeps many keys equal; nobody may ever see two of them differ. Many, so that reading takes long
/// enough for commits to come between.
async fn readers_see_whole_commits(store: &Arc<dyn Store>) {
    const ROUNDS: usize = 100;
    const READERS: usize = 4;
    const EQUAL_KEYS: usize = 128;
    async fn write_all(store: &dyn Store, text: &str) {
        write(store, (0..EQUAL_KEYS).map(|n| put(format!("p/{n:03}"), text)).collect()).await;
    }
    async fn look(store: &dyn Store) {
        let keys = (0..EQUAL_KEYS).map(|n| key(format!("p/{n:03}"))).collect();
        let found = store.get(keys).await.unwrap();
        assert!(found.iter().all(|stored| *stored == found[0]), "get saw half a commit");
        let entries = scan(store, "p/", "p0", MAX_SCAN_LIMIT, Order::Descending).await;
        assert_eq!(entries.len(), EQUAL_KEYS);
        let whole = entries.iter().all(|entry| entry.stored == entries[0].stored);
        assert!(whole, "scan saw half a commit");
    }

    write_all(&**store, "first").await;
    let done = Arc::new(AtomicBool::new(false));
    // The writer begins once every reader has.
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

/// Many clients add to one number, each retrying until its own check held: no addition may be lost.
async fn no_update_is_lost(store: &Arc<dyn Store>) {
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

/// A caller that goes away, before its first answer or at any later time, leaves whole commits or none.
async fn a_dropped_commit_is_whole_or_absent(store: &Arc<dyn Store>) {
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
        // Either it was cut off or it had finished.
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
        assert_eq!(revisions.len(), 2, "half of commit {number}");
        assert_eq!(revisions[0], revisions[1]);
    }
}

async fn after_close_everything_is_unavailable(store: &dyn Store) {
    write(store, vec![put("a", "1")]).await;
    store.health().await.unwrap();
    store.close().await;
    store.close().await;
    assert_unavailable(store.get(vec![key("a")]).await);
    assert_unavailable(store.scan(Scan::new(key("a"), key("b"), 1, Order::Ascending).unwrap()).await);
    assert_unavailable(store.commit(Commit::new(vec![], vec![put("a", "2")]).unwrap()).await);
    assert_unavailable(store.health().await);
}

// Random histories against a model.

/// How many histories each backend goes through, and how many of them at one time: they use keys of their
/// own but share the store, so that they also share its transactions.
const HISTORIES: u32 = 2000;
const HISTORIES_AT_ONCE: u32 = 16;

/// Keys that the clients of one history fight over.
const KEYS: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    Get(Vec<usize>),
    Scan { from: usize, to: usize, limit: u32, order: Order },
    Commit { checks: Vec<PlannedCheck>, writes: Vec<PlannedWrite> },
}

#[derive(Clone, Debug)]
enum PlannedCheck {
    Absent(usize),
    /// As the client last saw the key: absent, or at that revision.
    AsSeen(usize),
    /// At a revision that no commit has.
    Never(usize),
}

#[derive(Clone, Debug)]
enum PlannedWrite {
    Put(usize),
    Delete(usize),
}

fn programs() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let order = prop_oneof![Just(Order::Ascending), Just(Order::Descending)];
    let check = prop_oneof![
        6 => (0..KEYS).prop_map(PlannedCheck::AsSeen),
        2 => (0..KEYS).prop_map(PlannedCheck::Absent),
        1 => (0..KEYS).prop_map(PlannedCheck::Never),
    ];
    let write = prop_oneof![
        4 => (0..KEYS).prop_map(PlannedWrite::Put),
        1 => (0..KEYS).prop_map(PlannedWrite::Delete),
    ];
    let step = prop_oneof![
        2 => vec(0..KEYS, 1..=3).prop_map(Step::Get),
        2 => (0..=KEYS, 0..=KEYS, 1..=5_u32, order)
            .prop_map(|(from, to, limit, order)| Step::Scan { from, to, limit, order }),
        4 => (vec(check, 0..=2), vec(write, 0..=3))
            .prop_map(|(checks, writes)| Step::Commit { checks, writes }),
    ];
    vec(vec(step, 1..=5), 2..=4)
}

/// One call as it happened. The times are ticks of one counter: a call that ended before another began has
/// a smaller `ended` than that one's `began`.
#[derive(Debug)]
struct Call {
    began: u64,
    ended: u64,
    what: Happened,
}

#[derive(Debug)]
enum Happened {
    Got { keys: Vec<Key>, found: Vec<Option<Stored>> },
    Scanned { start: Key, end: Key, limit: u32, order: Order, entries: Vec<Entry> },
    Committed { checks: Vec<Check>, writes: Vec<Write>, revision: Revision },
    Conflicted { checks: Vec<Check>, index: usize },
}

/// One client of a history: runs its program and keeps what happened.
struct Client {
    store: Arc<dyn Store>,
    clock: Arc<AtomicU64>,
    /// Makes this history's keys its own, and its values unique.
    name: String,
    number: usize,
    seen: BTreeMap<Key, Revision>,
    calls: Vec<Call>,
}

impl Client {
    fn key(&self, index: usize) -> Key {
        key(format!("{}/{index}", self.name))
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    async fn run(mut self, program: Vec<Step>) -> Result<Vec<Call>, StoreError> {
        for step in program {
            let began = self.tick();
            let what = self.step(step).await?;
            let ended = self.tick();
            self.calls.push(Call { began, ended, what });
        }
        Ok(self.calls)
    }

    async fn step(&mut self, step: Step) -> Result<Happened, StoreError> {
        match step {
            Step::Get(indices) => {
                let keys: Vec<_> = indices.into_iter().map(|index| self.key(index)).collect();
                let found = self.store.get(keys.clone()).await?;
                for (key, stored) in keys.iter().zip(&found) {
                    self.saw(key.clone(), stored.as_ref().map(|stored| stored.revision));
                }
                Ok(Happened::Got { keys, found })
            }
            Step::Scan { from, to, limit, order } => {
                let (start, end) = (self.key(from), self.key(to));
                let scan = Scan::new(start.clone(), end.clone(), limit, order)?;
                let entries = self.store.scan(scan).await?;
                for entry in &entries {
                    self.saw(entry.key.clone(), Some(entry.stored.revision));
                }
                Ok(Happened::Scanned { start, end, limit, order, entries })
            }
            Step::Commit { checks, writes } => self.commit(&checks, &writes).await,
        }
    }

    async fn commit(
        &mut self,
        checks: &[PlannedCheck],
        writes: &[PlannedWrite],
    ) -> Result<Happened, StoreError> {
        let checks: Vec<_> = checks.iter().map(|check| self.check(check)).collect();
        let writes: Vec<_> = writes.iter().enumerate().map(|(n, write)| self.write(n, write)).collect();
        match self.store.commit(Commit::new(checks.clone(), writes.clone())?).await? {
            Outcome::Conflict(index) => Ok(Happened::Conflicted { checks, index }),
            Outcome::Committed(revision) => {
                for write in &writes {
                    match write {
                        Write::Put(key, _) => self.saw(key.clone(), Some(revision)),
                        Write::Delete(key) => self.saw(key.clone(), None),
                    }
                }
                Ok(Happened::Committed { checks, writes, revision })
            }
        }
    }

    fn check(&self, planned: &PlannedCheck) -> Check {
        match planned {
            PlannedCheck::Absent(index) => Check::Absent(self.key(*index)),
            PlannedCheck::Never(index) => Check::AtRevision(self.key(*index), Revision(u64::MAX)),
            PlannedCheck::AsSeen(index) => {
                let key = self.key(*index);
                match self.seen.get(&key) {
                    None => Check::Absent(key),
                    Some(revision) => Check::AtRevision(key, *revision),
                }
            }
        }
    }

    fn write(&self, n: usize, planned: &PlannedWrite) -> Write {
        match planned {
            PlannedWrite::Put(index) => {
                let unique = format!("{}.{}.{n}", self.number, self.calls.len());
                Write::Put(self.key(*index), value(unique))
            }
            PlannedWrite::Delete(index) => Write::Delete(self.key(*index)),
        }
    }

    fn saw(&mut self, key: Key, revision: Option<Revision>) {
        match revision {
            Some(revision) => self.seen.insert(key, revision),
            None => self.seen.remove(&key),
        };
    }
}

/// What the store must hold after some of the commits.
type Model = BTreeMap<Key, Stored>;

fn holds(model: &Model, check: &Check) -> bool {
    match check {
        Check::Absent(key) => !model.contains_key(key),
        Check::AtRevision(key, revision) => model.get(key).is_some_and(|stored| stored.revision == *revision),
    }
}

/// Whether a call that wrote nothing could have been answered so in this state.
fn agrees(model: &Model, what: &Happened) -> bool {
    match what {
        Happened::Got { keys, found } => {
            keys.iter().map(|key| model.get(key)).eq(found.iter().map(Option::as_ref))
        }
        Happened::Scanned { start, end, limit, order, entries } => {
            let inside = model.iter().filter(|(key, _)| *start <= **key && *key < end);
            let mut expected: Vec<_> =
                inside.map(|(key, stored)| Entry { key: key.clone(), stored: stored.clone() }).collect();
            if *order == Order::Descending {
                expected.reverse();
            }
            expected.truncate(usize::try_from(*limit).unwrap());
            expected == *entries
        }
        Happened::Conflicted { checks, index } => {
            checks.iter().position(|check| !holds(model, check)) == Some(*index)
        }
        Happened::Committed { .. } => false,
    }
}

/// Whether the calls could have happened one after another: the commits in the order of their revisions,
/// every other call at some point between them, none before a call that had ended when it began.
fn verify(calls: &[Call]) -> Result<(), String> {
    let (commits, models) = replay(calls)?;
    let mut others: Vec<_> =
        calls.iter().filter(|call| !matches!(call.what, Happened::Committed { .. })).collect();
    others.sort_unstable_by_key(|call| call.began);
    // Each takes the earliest point that it can, in the order in which they began: whatever had ended before
    // a call began has its point by then, and taking a later one would only narrow the choice of the rest.
    let mut points: Vec<(u64, usize)> = Vec::new();
    for call in others {
        let committed =
            commits.iter().rposition(|commit| commit.ended < call.began).map_or(0, |before| before + 1);
        let read = points.iter().filter(|(ended, _)| *ended < call.began).map(|(_, point)| *point);
        let lowest = read.max().unwrap_or(0).max(committed);
        let highest = commits.iter().position(|commit| commit.began > call.ended).unwrap_or(commits.len());
        let point = (lowest..=highest)
            .find(|point| agrees(&models[*point], &call.what))
            .ok_or_else(|| format!("no state from commit {lowest} to commit {highest} explains {call:#?}"))?;
        points.push((call.ended, point));
    }
    Ok(())
}

/// The commits by revision, and the state before the first of them and after each.
fn replay(calls: &[Call]) -> Result<(Vec<&Call>, Vec<Model>), String> {
    let mut commits: Vec<_> = calls
        .iter()
        .filter_map(|call| match &call.what {
            Happened::Committed { checks, writes, revision } => Some((*revision, checks, writes, call)),
            _ => None,
        })
        .collect();
    commits.sort_unstable_by_key(|(revision, ..)| *revision);
    let mut models = vec![Model::new()];
    let mut last = Revision(0);
    let mut latest_beginning = 0;
    for (revision, checks, writes, call) in &commits {
        if *revision <= last {
            return Err(format!("two commits have the revision {revision:?}"));
        }
        if call.ended < latest_beginning {
            return Err(format!("a commit that began after this one ended has a lower revision: {call:#?}"));
        }
        last = *revision;
        latest_beginning = latest_beginning.max(call.began);
        let mut model = models[models.len() - 1].clone();
        if let Some(check) = checks.iter().find(|check| !holds(&model, check)) {
            return Err(format!("{check:?} did not hold for {call:#?}"));
        }
        for write in *writes {
            match write {
                Write::Put(key, value) => {
                    model.insert(key.clone(), Stored { value: value.clone(), revision: *revision });
                }
                Write::Delete(key) => {
                    model.remove(key);
                }
            }
        }
        models.push(model);
    }
    Ok((commits.into_iter().map(|(.., call)| call).collect(), models))
}

/// Runs the programs, each by a client of its own, and a last look at every key when all have ended.
async fn history(
    store: &Arc<dyn Store>,
    name: String,
    programs: Vec<Vec<Step>>,
) -> Result<Vec<Call>, StoreError> {
    let clock = Arc::new(AtomicU64::new(0));
    let start = Arc::new(Barrier::new(programs.len()));
    let client = |number| Client {
        store: Arc::clone(store),
        clock: Arc::clone(&clock),
        name: name.clone(),
        number,
        seen: BTreeMap::new(),
        calls: Vec::new(),
    };
    let tasks: Vec<_> = programs
        .into_iter()
        .enumerate()
        .map(|(number, program)| {
            let (client, start) = (client(number), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                client.run(program).await
            })
        })
        .collect();
    let mut calls = Vec::new();
    for task in tasks {
        calls.extend(task.await.expect("a client ran to its end")?);
    }
    let look = vec![Step::Get((0..KEYS).collect())];
    calls.extend(client(usize::MAX).run(look).await?);
    Ok(calls)
}

async fn random_histories_agree_with_a_model(store: &Arc<dyn Store>) {
    let names = Arc::new(AtomicUsize::new(0));
    let runners: Vec<_> = (0..HISTORIES_AT_ONCE)
        .map(|_| {
            let (store, names) = (Arc::clone(store), Arc::clone(&names));
            let runtime = tokio::runtime::Handle::current();
            tokio::task::spawn_blocking(move || {
                // The interleaving is not part of the case, so a stored or shrunk case proves little.
                let config = Config {
                    cases: HISTORIES / HISTORIES_AT_ONCE,
                    failure_persistence: None,
                    max_shrink_iters: 0,
                    ..Config::default()
                };
                TestRunner::new(config).run(&programs(), |programs| {
                    let name = format!("h/{:05}", names.fetch_add(1, Ordering::SeqCst));
                    let calls = runtime
                        .block_on(history(&store, name, programs))
                        .map_err(|error| TestCaseError::fail(error.to_string()))?;
                    verify(&calls).map_err(TestCaseError::fail)
                })
            })
        })
        .collect();
    for outcome in join_all(runners).await {
        outcome.unwrap().unwrap_or_else(|error| panic!("{error}"));
    }
    assert_eq!(names.load(Ordering::SeqCst), usize::try_from(HISTORIES).unwrap());
}

// What survives a close, and two opens of one place.

async fn entries_and_revisions_survive_a_reopen(backend: &Backend) {
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

async fn two_opens_of_one_place_are_one_store(backend: &Backend) {
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
    // One goes; the other keeps everything and stays usable.
    left.close().await;
    let entries = scan(&*right, "x", "z", 1000, Order::Ascending).await;
    let revisions: BTreeSet<_> = entries.iter().map(|entry| entry.stored.revision).collect();
    assert_eq!((entries.len(), revisions.len()), (40, 40));
    assert!(write(&*right, vec![put("a", "last")]).await > *revisions.last().unwrap());
    right.close().await;
}

/// The whole suite for a backend: one line each. `persistent` adds what only holds for one that outlives
/// its process.
macro_rules! conformance {
    ($backend:ident) => {
        mod $backend {
            conformance!(@with_store $backend:
                get_answers_in_the_order_asked,
                scan_goes_both_ways_within_its_bounds,
                scan_of_an_empty_or_inverted_range_gives_none,
                scan_gives_at_most_its_limit,
                keys_are_ordered_bytewise,
                values_are_kept_byte_for_byte,
                revisions_rise_and_mark_what_a_commit_wrote,
                checks_that_hold_let_the_commit_through,
                each_kind_of_check_can_fail,
                a_conflict_names_the_first_failing_check_and_writes_nothing,
                checks_see_the_state_before_the_commits_own_writes,
                the_last_write_to_a_key_wins,
                deleting_an_absent_key_is_no_error,
                a_commit_without_writes_only_checks,
                keys_and_values_have_bounds,
                limits_and_counts_have_bounds,
                a_commit_carries_a_bounded_number_of_bytes,
                a_scan_gives_a_bounded_number_of_bytes,
                a_get_gives_a_bounded_number_of_bytes,
                after_close_everything_is_unavailable,
            );
            conformance!(@with_shared_store $backend:
                readers_see_whole_commits,
                no_update_is_lost,
                a_dropped_commit_is_whole_or_absent,
                random_histories_agree_with_a_model,
            );
        }
    };
    ($backend:ident, persistent) => {
        conformance!($backend);
        mod persistent {
            mod $backend {
                conformance!(@with_backend $backend:
                    entries_and_revisions_survive_a_reopen,
                    two_opens_of_one_place_are_one_store,
                );
            }
        }
    };
    (@with_store $backend:ident: $($test:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $test() {
            let backend = crate::$backend();
            let store = backend.open().await;
            crate::$test(&*store).await;
            store.close().await;
        }
    )*};
    (@with_shared_store $backend:ident: $($test:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $test() {
            let backend = crate::$backend();
            let store = backend.open().await;
            crate::$test(&store).await;
            store.close().await;
        }
    )*};
    (@with_backend $backend:ident: $($test:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $test() {
            crate::$test(&crate::$backend()).await;
        }
    )*};
}

conformance!(memory);
conformance!(sqlite, persistent);
