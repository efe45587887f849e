//! What is SQLite's alone: what it refuses to open, how it folds commits, and how it fails and recovers.
//!
//! Some tests need a process of their own, one with other rights or one that dies: they run this binary again,
//! with one of the ignored tests at the end of this file (`child_…`), and talk to it over its standard
//! input and output.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader, Write as _, stdin},
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown, symlink},
        net::UnixListener,
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex},
};

use futures_util::{FutureExt, future::join_all};
use orders_host::{
    config::StoreLocation,
    store::{
        self, Check, Commit, Key, OpenError, Order, Outcome, Revision, Scan, Store, StoreError, Value, Write,
    },
};
use rusqlite::Connection;
use tempfile::TempDir;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

async fn open(path: &Path) -> Result<Arc<dyn Store>, OpenError> {
    store::open(&StoreLocation::Sqlite(path.to_owned())).await
}

fn key(text: impl Into<String>) -> Key {
    Key::try_from(text.into()).unwrap()
}

fn put(at: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Write {
    Write::Put(key(at), Value::try_from(bytes.into()).unwrap())
}

async fn commit(store: &dyn Store, writes: Vec<Write>) -> Result<Outcome, StoreError> {
    store.commit(Commit::new(vec![], writes).unwrap()).await
}

async fn all_keys(store: &dyn Store) -> Vec<String> {
    let scan = Scan::new(key("\0"), key(char::MAX), 1000, Order::Ascending).unwrap();
    let entries = store.scan(scan).await.unwrap();
    entries.iter().map(|entry| entry.key.as_str().to_owned()).collect()
}

/// Writes that must be found together or not at all.
fn pair(name: &str, bytes: usize) -> Vec<Write> {
    vec![put(format!("left/{name}"), vec![1; bytes / 2]), put(format!("right/{name}"), vec![1; bytes / 2])]
}

/// The names of the pairs in the store; fails on half a pair.
async fn pairs(store: &dyn Store) -> Vec<String> {
    let keys = all_keys(store).await;
    let side = |prefix: &str| -> Vec<String> {
        keys.iter().filter_map(|at| at.strip_prefix(prefix)).map(str::to_owned).collect()
    };
    let (left, right) = (side("left/"), side("right/"));
    assert_eq!(left, right, "half a commit");
    left
}

fn assert_unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    }
}

// What it refuses to open.

/// Every file of a directory with its bytes; other things with their kind.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().unwrap();
        let bytes = if kind.is_file() { fs::read(entry.path()).unwrap() } else { Vec::new() };
        (format!("{name} {kind:?}"), bytes)
    });
    entries.collect()
}

/// Opening `path` fails with one line that names it and says `expected`, and changes nothing around it.
async fn assert_refused(path: &Path, expected: &str) {
    let directory = path.parent().filter(|directory| directory.is_dir()).unwrap_or(Path::new("/dev/null"));
    let look = || if directory.is_dir() { contents(directory) } else { BTreeMap::new() };
    let before = look();
    let error = open(path).await.err().unwrap_or_else(|| panic!("{path:?} was opened")).to_string();
    assert!(look() == before, "{error}: files changed: {:?} → {:?}", before.keys(), look().keys());
    assert_says(&error, path, expected);
}

fn assert_says(error: &str, path: &Path, expected: &str) {
    assert!(error.contains(expected), "expected “{expected}” in: {error}");
    assert!(error.starts_with(&format!("cannot open the store {path:?}: ")), "{error}");
    assert!(!error.contains('\n'), "{error}");
}

/// A good store with enough in it to have many pages, closed.
async fn make_store(path: &Path) {
    let store = open(path).await.unwrap();
    commit(&*store, (0..64).map(|n| put(format!("k/{n}"), vec![7; 4096])).collect()).await.unwrap();
    store.close().await;
}

fn change(path: &Path, script: &str) {
    Connection::open(path).unwrap().execute_batch(script).unwrap();
}

#[tokio::test]
async fn refuses_a_place_where_no_file_can_be() {
    let directory = TempDir::new().unwrap();
    let at = |name: &str| directory.path().join(name);
    assert_refused(&at("missing/orders.db"), "does not exist; create it or mount it").await;
    assert!(!at("missing").exists());
    fs::write(at("file"), "text").unwrap();
    assert_refused(&at("file/orders.db"), "is not a directory").await;
    fs::create_dir(at("directory")).unwrap();
    assert_refused(&at("directory"), "it is a directory; name a file in it").await;
    let _socket = UnixListener::bind(at("socket")).unwrap();
    assert_refused(&at("socket"), "it is not a regular file").await;
    symlink(at("missing/orders.db"), at("dangling")).unwrap();
    assert_refused(&at("dangling"), "this process must be able to read and write it").await;
    let error = open(Path::new("")).await.err().unwrap();
    assert_says(&error.to_string(), Path::new(""), "name a file");
    let error = open(Path::new("/")).await.err().unwrap();
    assert_says(&error.to_string(), Path::new("/"), "it is not the name of a file");
}

#[tokio::test]
async fn refuses_what_is_no_database() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    let almost = [b"SQLite format 3\0".as_slice(), &[0xFF; 8000]].concat();
    for bytes in [b"x".as_slice(), b"orders: none\n", &[0; 4096], &[0xFF; 5000], &almost] {
        fs::write(&path, bytes).unwrap();
        assert_refused(&path, "it is not a SQLite database").await;
    }
}

#[tokio::test]
async fn refuses_the_database_of_another_application() {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name);
    let expected = "it is a SQLite database of another application";
    change(&path("plain"), "CREATE TABLE notes (text); INSERT INTO notes VALUES ('keep me')");
    assert_refused(&path("plain"), expected).await;
    change(&path("log"), "PRAGMA journal_mode = wal; CREATE TABLE notes (text)");
    assert_refused(&path("log"), expected).await;
    change(&path("marked"), "PRAGMA application_id = 7; CREATE TABLE notes (text)");
    assert_refused(&path("marked"), "(id 0x7, a store has 0x4f524453)").await;
    change(&path("tableless"), "CREATE TABLE notes (text); DROP TABLE notes; VACUUM");
    assert_refused(&path("tableless"), expected).await;
    change(&path("pageless"), "PRAGMA user_version = 0; VACUUM; PRAGMA journal_mode = wal");
    assert!(fs::metadata(path("pageless")).unwrap().len() > 0);
    assert_refused(&path("pageless"), expected).await;
    // In use by that application, with what it wrote still in the log.
    let other = Connection::open(path("log")).unwrap();
    other.execute_batch("INSERT INTO notes VALUES ('only in the log')").unwrap();
    assert_refused(&path("log"), expected).await;
}

#[tokio::test]
async fn refuses_another_schema_version() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    make_store(&path).await;
    for version in [2, 0, -1] {
        change(&path, &format!("PRAGMA user_version = {version}"));
        let expected = format!("it has schema version {version}, this binary knows version 1");
        assert_refused(&path, &expected).await;
    }
    change(&path, "PRAGMA user_version = 1");
    open(&path).await.unwrap().close().await;
}

/// A newer version that is still in the log of a process that died: the file and its log stay as they are,
/// only the log's index, which SQLite rebuilds at will, may not.
#[tokio::test]
async fn refuses_a_newer_version_that_is_only_in_the_log() {
    let directory = TempDir::new().unwrap();
    let (live, left) = (directory.path().join("live"), directory.path().join("left"));
    make_store(&live).await;
    let newer = Connection::open(&live).unwrap();
    newer.execute_batch("PRAGMA user_version = 2").unwrap();
    let sides = ["", "-wal"].map(|side| {
        let name = |path: &Path| PathBuf::from(format!("{}{side}", path.display()));
        fs::copy(name(&live), name(&left)).unwrap();
        name(&left)
    });
    let before = sides.each_ref().map(|side| fs::read(side).unwrap());
    let error = open(&left).await.err().unwrap().to_string();
    assert_says(&error, &left, "it has schema version 2, this binary knows version 1");
    assert!(sides.map(|side| fs::read(side).unwrap()) == before);
}

#[tokio::test]
async fn refuses_a_damaged_store() {
    let directory = TempDir::new().unwrap();
    let good = directory.path().join("good");
    make_store(&good).await;
    let bytes = fs::read(&good).unwrap();
    let path = directory.path().join("orders.db");
    for length in [bytes.len() - 1, bytes.len() - 4096, bytes.len() / 2, 4096, 512] {
        fs::write(&path, &bytes[..length]).unwrap();
        assert_refused(&path, "cut short").await;
    }
    for length in [1, 15, 100] {
        fs::write(&path, &bytes[..length]).unwrap();
        assert!(open(&path).await.is_err());
        assert!(fs::read(&path).unwrap() == bytes[..length]);
    }
    let damage = |script: &str| {
        fs::write(&path, &bytes).unwrap();
        change(&path, script);
    };
    damage(
        "PRAGMA writable_schema = on; UPDATE sqlite_schema SET sql = 'CREATE TABLE entries (' WHERE name = 'entries'",
    );
    assert_refused(&path, "it is damaged or cut short").await;
    damage("DROP TABLE entries");
    assert_refused(&path, "its tables are not those of schema version 1").await;
    damage("DROP TABLE entries; CREATE TABLE entries (key TEXT PRIMARY KEY, value BLOB, revision INTEGER)");
    assert_refused(&path, "its tables are not those of schema version 1").await;
    damage("DELETE FROM last_revision");
    assert_refused(&path, "its tables are not those of schema version 1").await;
}

#[tokio::test]
async fn refuses_a_log_without_its_file() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    fs::write(directory.path().join("orders.db-wal"), [1; 4152]).unwrap();
    assert_refused(&path, "it is missing or empty, but its log").await;
    fs::write(&path, "").unwrap();
    assert_refused(&path, "it is missing or empty, but its log").await;
}

/// The user that owns nothing, by convention.
const NOBODY: u32 = 65534;

/// Root may do everything, so a child without its rights does the opening.
#[tokio::test]
async fn refuses_what_it_may_not_read_and_write() {
    let directory = TempDir::new().unwrap();
    let is_root = fs::metadata(directory.path()).unwrap().uid() == 0;
    let program = directory.path().join("program");
    fs::copy(env::current_exe().unwrap(), &program).unwrap();
    let prepare = |name: &str| {
        let inside = directory.path().join(name);
        fs::create_dir(&inside).unwrap();
        inside.join("orders.db")
    };
    let restrict = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };

    let (unwritable, unreadable) = (prepare("unwritable"), prepare("unreadable"));
    let (closed, closed_empty, closed_store) = (prepare("closed"), prepare("empty"), prepare("store"));
    for path in [&unwritable, &unreadable, &closed_store] {
        make_store(path).await;
    }
    fs::write(&closed_empty, "").unwrap();
    let paths = [&unwritable, &unreadable, &closed, &closed_empty, &closed_store];
    let before = paths.map(|path| contents(path.parent().unwrap()));
    if is_root {
        for path in paths.into_iter().filter(|path| path.exists()) {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        for inside in paths.map(|path| path.parent().unwrap()).into_iter().chain([directory.path()]) {
            chown(inside, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    restrict(&unwritable, 0o444);
    restrict(&unreadable, 0o000);
    for path in [&closed, &closed_empty, &closed_store] {
        restrict(path.parent().unwrap(), 0o555);
    }

    let mut command = Command::new(&program);
    if is_root {
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut child = Running::start(command, "child_opens");
    for (path, expected) in [
        (&unwritable, "this process may read it but not write it"),
        (&unreadable, "this process must be able to read and write it and its directory"),
        (&closed, "this process must be able to read and write it and its directory"),
        (&closed_empty, "this process must be able to read and write it and its directory"),
        (&closed_store, "this process must be able to read and write it and its directory"),
    ] {
        child.say(path.to_str().unwrap());
        assert_says(&child.hear(), path, expected);
    }
    child.finish();

    restrict(&unreadable, 0o600);
    for path in [&closed, &closed_empty, &closed_store] {
        restrict(path.parent().unwrap(), 0o755);
    }
    assert!(paths.map(|path| contents(path.parent().unwrap())) == before);
}

// What it opens.

#[tokio::test]
async fn opens_an_empty_file_and_any_name() {
    let directory = TempDir::new().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("empty.db"), "").unwrap();
    symlink(at("empty.db"), at("link")).unwrap();
    for name in ["empty.db", ":memory:", "file:x?mode=memory", "a b%41#&?immutable=1", "é\n'\"", "link"] {
        make_store(&at(name)).await;
        let store = open(&at(name)).await.unwrap();
        assert_eq!(all_keys(&*store).await.len(), 64, "{name:?}");
        store.close().await;
        assert!(fs::metadata(at(name)).unwrap().len() > 64 * 4096, "{name:?}");
    }
    // Closed, each store is one file.
    assert_eq!(contents(directory.path()).len(), 6);
}

#[tokio::test]
async fn a_relative_name_is_a_file_here() {
    let directory = TempDir::new().unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    command.current_dir(directory.path());
    let mut child = Running::start(command, "child_opens");
    for name in [":memory:", "file:orders.db", "orders.db"] {
        child.say(name);
        assert_eq!(child.hear(), "opened");
        assert!(fs::metadata(directory.path().join(name)).unwrap().len() > 0, "{name}");
    }
    child.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_make_one_store_at_once() {
    for _ in 0..10 {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("orders.db");
        let opens = (0..8).map(|_| {
            let path = path.clone();
            tokio::spawn(async move { open(&path).await })
        });
        let stores: Vec<_> = join_all(opens).await.into_iter().map(|store| store.unwrap().unwrap()).collect();
        for (expected, store) in (1..).zip(&stores) {
            let outcome = commit(&**store, vec![put(format!("k/{expected}"), "")]).await.unwrap();
            assert_eq!(outcome, Outcome::Committed(Revision(expected)));
        }
        for store in &stores {
            store.close().await;
        }
        assert_eq!(contents(directory.path()).len(), 1);
    }
}

// How it commits.

/// What `close` logs.
#[derive(Clone, Default)]
struct CloseLog(Arc<Mutex<BTreeMap<String, u64>>>);

impl Subscriber for CloseLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl Visit for CloseLog {
    fn record_u64(&mut self, field: &Field, number: u64) {
        self.0.lock().unwrap().insert(field.name().to_owned(), number);
    }
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// Another connection that keeps the file locked for writing, as a process beside this one might.
struct Neighbour(Connection);

impl Neighbour {
    fn lock(path: &Path) -> Self {
        let connection = Connection::open(path).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(connection)
    }

    fn release(self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}

#[tokio::test]
async fn waiting_commits_share_a_transaction() {
    const COMMITS: u64 = 100;
    let log = CloseLog::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    let store = open(&path).await.unwrap();
    // The writer takes the first commit and waits for the lock; all others are queued by then.
    let neighbour = Neighbour::lock(&path);
    let mut commits: Vec<_> =
        (0..COMMITS).map(|n| commit(&*store, vec![put(format!("k/{n:03}"), "")]).boxed_local()).collect();
    for commit in &mut commits {
        assert!(commit.now_or_never().is_none());
        // Gives the task its budget back: a task that does much at once is otherwise made to wait.
        tokio::task::yield_now().await;
    }
    neighbour.release();
    // Each counts on those before it: the revisions rise without a gap in the order of the queue.
    for (expected, outcome) in (1..).zip(join_all(commits).await) {
        assert_eq!(outcome, Ok(Outcome::Committed(Revision(expected))));
    }
    let conflict = Commit::new(vec![Check::Absent(key("k/000"))], vec![put("no", "")]).unwrap();
    assert_eq!(store.commit(conflict).await, Ok(Outcome::Conflict(0)));
    store.close().await;
    let logged = log.0.lock().unwrap().clone();
    assert_eq!(logged["commits"], COMMITS);
    assert!((1..=2).contains(&logged["transactions"]), "{logged:?}");
}

#[tokio::test]
async fn commits_of_one_transaction_see_one_another() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    let store = open(&path).await.unwrap();
    let neighbour = Neighbour::lock(&path);
    let create = || Commit::new(vec![Check::Absent(key("a"))], vec![put("a", "1")]).unwrap();
    let mut commits: Vec<_> = (0..5).map(|_| store.commit(create()).boxed()).collect();
    for commit in &mut commits {
        assert!(commit.now_or_never().is_none());
    }
    neighbour.release();
    let outcomes: Vec<_> = join_all(commits).await.into_iter().map(Result::unwrap).collect();
    let conflict = Outcome::Conflict(0);
    assert_eq!(outcomes, [Outcome::Committed(Revision(1)), conflict, conflict, conflict, conflict]);
    store.close().await;
}

#[tokio::test]
async fn a_queued_commit_outlives_its_caller() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    let store = open(&path).await.unwrap();
    let neighbour = Neighbour::lock(&path);
    for n in 0..10 {
        assert!(commit(&*store, pair(&n.to_string(), 2)).now_or_never().is_none());
    }
    neighbour.release();
    commit(&*store, vec![]).await.unwrap();
    assert_eq!(pairs(&*store).await.len(), 10);
    store.close().await;
}

#[tokio::test]
async fn a_close_finishes_what_is_queued() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    let store = open(&path).await.unwrap();
    let neighbour = Neighbour::lock(&path);
    let mut commits: Vec<_> =
        (0..10).map(|n| commit(&*store, pair(&n.to_string(), 2)).boxed_local()).collect();
    for commit in &mut commits {
        assert!(commit.now_or_never().is_none());
    }
    // A close that is given up has at least closed the readers; the next one then begins by telling the writer.
    let _ = store.close().now_or_never();
    let mut close = store.close();
    assert!((&mut close).now_or_never().is_none());
    neighbour.release();
    for outcome in join_all(commits).await {
        assert!(matches!(outcome, Ok(Outcome::Committed(_))), "{outcome:?}");
    }
    close.await;
    assert_unavailable(commit(&*store, vec![]).await);
    let store = open(&path).await.unwrap();
    assert_eq!(pairs(&*store).await.len(), 10);
    store.close().await;
}

#[tokio::test]
async fn a_full_revision_counter_is_an_error() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    make_store(&path).await;
    change(&path, &format!("UPDATE last_revision SET revision = {}", i64::MAX - 1));
    let store = open(&path).await.unwrap();
    let last = Revision(u64::try_from(i64::MAX).unwrap());
    assert_eq!(commit(&*store, vec![put("a", "1")]).await, Ok(Outcome::Committed(last)));
    let why = assert_unavailable(commit(&*store, vec![put("b", "1")]).await);
    assert!(why.contains("revision counter is full"), "{why}");
    assert!(!all_keys(&*store).await.contains(&"b".to_owned()));
    assert_unavailable(store.health().await);
    store.close().await;
    change(&path, "UPDATE last_revision SET revision = -5");
    let store = open(&path).await.unwrap();
    assert!(assert_unavailable(commit(&*store, vec![]).await).contains("negative"));
    store.close().await;
}

// How it fails and recovers.

#[tokio::test]
async fn health_names_a_stuck_writer_and_recovers_without_traffic() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    let store = open(&path).await.unwrap();
    store.health().await.unwrap();
    let neighbour = Neighbour::lock(&path);
    // Nothing is to be written, so nothing is in the way.
    store.health().await.unwrap();
    let mut stuck = commit(&*store, pair("stuck", 2)).boxed_local();
    assert!((&mut stuck).now_or_never().is_none());
    let why = assert_unavailable(store.health().await);
    assert!(why.contains("the writer took nothing off its queue within 1s"), "{why}");
    assert!(assert_unavailable(stuck.await).contains("locked"));
    // The writer is free again, but it must not be called healthy before it has written.
    assert_unavailable(store.health().await);
    neighbour.release();
    store.health().await.unwrap();
    assert_eq!(pairs(&*store).await, [""; 0]);
    commit(&*store, pair("free", 2)).await.unwrap();
    assert_eq!(pairs(&*store).await, ["free"]);
    store.close().await;
    assert!(assert_unavailable(store.health().await).contains("closed"));
}

/// A limit on the size of files stands in for a full disk: SQLite's writes fail half-way in the same places.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_makes_it_unavailable_until_there_is_room() {
    const ROOM: usize = 1 << 20;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    let mut child = Running::start(limited(ROOM), "child_fills_the_disk");
    child.say(path.to_str().unwrap());
    let mut committed = Vec::new();
    loop {
        match child.hear().split_once(' ').unwrap() {
            ("committed", name) => committed.push(name.to_owned()),
            ("full", why) => break assert!(why.contains("SQLite"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(committed.len() > 4, "{committed:?}");
    assert_eq!(child.hear(), "unhealthy");
    child.lift_limit();
    child.say("there is room");
    assert_eq!(child.hear(), "healthy");
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
async fn a_disk_that_is_full_from_the_start_can_be_opened_later() {
    // From no room at all, through room for some of the first pages, to room for the file but not its log.
    for room in [0, 512, 4096, 5000, 8192, 12288] {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("orders.db");
        let mut child = Running::start(limited(room), "child_opens");
        child.say(path.to_str().unwrap());
        let heard = child.hear();
        if heard != "opened" {
            assert!(heard.starts_with(&format!("cannot open the store {path:?}: ")), "{room}: {heard}");
            child.lift_limit();
            child.say(path.to_str().unwrap());
            assert_eq!(child.hear(), "opened", "{room}");
        }
        child.finish();
        make_store(&path).await;
    }
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    // Opened before and used after: it stands for the process that takes over.
    let beside = open(&path).await.unwrap();
    let mut child = Running::start(Command::new(env::current_exe().unwrap()), "child_commits_for_ever");
    child.say(path.to_str().unwrap());
    let mut answered: Vec<_> = (0..50).map(|_| child.hear()).collect();
    answered.extend(child.kill());
    for store in [beside, open(&path).await.unwrap()] {
        let found = pairs(&*store).await;
        for name in &answered {
            assert!(found.contains(name), "{name} was answered and is gone");
        }
        commit(&*store, pair("after", 2)).await.unwrap();
        store.close().await;
    }
}

// Children.

/// This binary again, running one of the tests below.
struct Running {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// Starts what a child says, so that it can be told from what the test harness says.
const SAID: &str = "child says: ";

impl Running {
    fn start(mut command: Command, test: &str) -> Self {
        command.args(["--exact", test, "--ignored", "--nocapture"]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, input, output }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input.as_ref().unwrap(), "{line}").unwrap();
    }

    fn next(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            // A child that was killed may leave half a line.
            if self.output.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
                return None;
            }
            if let Some((_, said)) = line.trim_end().split_once(SAID) {
                return Some(said.to_owned());
            }
        }
    }

    fn hear(&mut self) -> String {
        self.next().expect("the child says something before it ends")
    }

    #[cfg(target_os = "linux")]
    fn lift_limit(&self) {
        let pid = self.process.id().to_string();
        let lifted = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:"]).status();
        assert!(lifted.unwrap().success());
    }

    fn finish(mut self) {
        drop(self.input.take());
        assert!(self.process.wait().unwrap().success());
    }

    /// Ends it at once; gives what it had said until then.
    fn kill(mut self) -> Vec<String> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        std::iter::from_fn(|| self.next()).collect()
    }
}

/// This binary, unable to make a file larger than `bytes`: a write beyond fails instead of ending it.
#[cfg(target_os = "linux")]
fn limited(bytes: usize) -> Command {
    let mut command = Command::new("prlimit");
    command.arg(format!("--fsize={bytes}:unlimited")).args(["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    command.arg(env::current_exe().unwrap());
    command
}

fn say(what: &str) {
    println!("\n{SAID}{what}");
}

/// The next line of the parent's; none if there is no parent, because somebody ran all ignored tests.
fn heard() -> Option<String> {
    stdin().lines().next().map(Result::unwrap)
}

#[tokio::test]
#[ignore = "a child of other tests"]
async fn child_opens() {
    while let Some(path) = heard() {
        match open(Path::new(&path)).await {
            Err(error) => say(&error.to_string()),
            Ok(store) => {
                store.close().await;
                say("opened");
            }
        }
    }
}

#[tokio::test]
#[ignore = "a child of another test"]
async fn child_fills_the_disk() {
    let Some(path) = heard() else { return };
    let store = open(Path::new(&path)).await.unwrap();
    // Ever smaller commits, so that in the end not even one without writes, which is what a probe is, has room.
    let mut full = None;
    for bytes in [128 << 10, 16 << 10, 2, 0] {
        for n in 0..1000 {
            let name = format!("{bytes}.{n}");
            let writes = if bytes == 0 { vec![] } else { pair(&name, bytes) };
            match commit(&*store, writes).await {
                Ok(_) if bytes == 0 => {}
                Ok(_) => say(&format!("committed {name}")),
                Err(error) => {
                    full = Some(error.to_string());
                    break;
                }
            }
        }
    }
    // Reads go on.
    assert!(!pairs(&*store).await.is_empty());
    say(&format!("full {}", full.expect("the disk became full")));
    assert_unavailable(store.health().await);
    say("unhealthy");
    heard().unwrap();
    store.health().await.unwrap();
    say("healthy");
    commit(&*store, pair("after", 256 << 10)).await.unwrap();
    store.close().await;
}

#[tokio::test]
#[ignore = "a child of another test"]
async fn child_commits_for_ever() {
    let Some(path) = heard() else { return };
    let store = open(Path::new(&path)).await.unwrap();
    let client = |client: usize| {
        let store = Arc::clone(&store);
        async move {
            // Bounded, in case the parent is gone.
            for n in 0..400 {
                let name = format!("{client}.{n:03}");
                commit(&*store, pair(&name, 4096)).await.unwrap();
                say(&name);
            }
        }
    };
    join_all((0..4).map(client)).await;
}
