//! The files that SQLite opens, and those that it rejects.

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown, symlink},
        net::UnixListener,
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use futures_util::future::join_all;
use orders_host::store::{Outcome, Revision};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::{
    children::ChildProcess,
    support::{all_keys, change, commit, make_store, open, put},
};

/// The contents of each file in a directory, and the kind of every other entry.
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

/// Checks that opening `path` fails with one line that names it and contains `expected`, and that no file in its
/// directory changes.
async fn assert_rejected(path: &Path, expected: &str) {
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

#[tokio::test]
async fn a_path_that_cannot_be_a_file_is_rejected() {
    let directory = TempDir::new().unwrap();
    let at = |name: &str| directory.path().join(name);
    assert_rejected(&at("missing/orders.db"), "does not exist; create or mount it").await;
    assert!(!at("missing").exists());
    fs::write(at("file"), "text").unwrap();
    assert_rejected(&at("file/orders.db"), "is not a directory").await;
    fs::create_dir(at("directory")).unwrap();
    assert_rejected(&at("directory"), "it is a directory; name a file in it").await;
    let _socket = UnixListener::bind(at("socket")).unwrap();
    assert_rejected(&at("socket"), "it is not a regular file").await;
    symlink(at("missing/orders.db"), at("dangling")).unwrap();
    assert_rejected(&at("dangling"), "this process must be able to read and write it").await;
    let error = open(Path::new("")).await.err().unwrap();
    assert_says(&error.to_string(), Path::new(""), "name a file");
    let error = open(Path::new("/")).await.err().unwrap();
    assert_says(&error.to_string(), Path::new("/"), "it does not name a file");
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_rejected() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    let almost = [b"SQLite format 3\0".as_slice(), &[0xFF; 8000]].concat();
    for bytes in [b"x".as_slice(), b"orders: none\n", &[0; 4096], &[0xFF; 5000]] {
        fs::write(&path, bytes).unwrap();
        assert_rejected(&path, "it is not a SQLite database").await;
    }
    fs::write(&path, almost).unwrap();
    assert_rejected(&path, "its first page is damaged").await;
}

#[tokio::test]
async fn the_database_of_another_application_is_rejected() {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name);
    let expected = "it is a SQLite database of another application";
    change(&path("plain"), "CREATE TABLE notes (text); INSERT INTO notes VALUES ('keep me')");
    assert_rejected(&path("plain"), expected).await;
    change(&path("log"), "PRAGMA journal_mode = wal; CREATE TABLE notes (text)");
    assert_rejected(&path("log"), expected).await;
    change(&path("marked"), "PRAGMA application_id = 7; CREATE TABLE notes (text)");
    assert_rejected(&path("marked"), "(id 0x7; a store has 0x4f524453)").await;
    change(&path("tableless"), "CREATE TABLE notes (text); DROP TABLE notes; VACUUM");
    assert_rejected(&path("tableless"), expected).await;
    change(&path("pageless"), "PRAGMA user_version = 0; VACUUM; PRAGMA journal_mode = wal");
    assert!(fs::metadata(path("pageless")).unwrap().len() > 0);
    assert_rejected(&path("pageless"), expected).await;
    // The application is using it, and its writes are still in the WAL.
    let other = Connection::open(path("log")).unwrap();
    other.execute_batch("INSERT INTO notes VALUES ('only in the log')").unwrap();
    assert_rejected(&path("log"), expected).await;
}

#[tokio::test]
async fn another_schema_version_is_rejected() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    make_store(&path).await;
    for version in [2, 0, -1] {
        change(&path, &format!("PRAGMA user_version = {version}"));
        let expected = format!("it has schema version {version}, but this binary supports version 1");
        assert_rejected(&path, &expected).await;
    }
    change(&path, "PRAGMA user_version = 1");
    open(&path).await.unwrap().close().await;
}

/// A newer version is only in the WAL of a process that died. The file and the WAL must stay unchanged; only the
/// index of the WAL, which SQLite can rebuild, may change.
#[tokio::test]
async fn a_newer_version_that_is_only_in_the_wal_is_rejected() {
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
    assert_says(&error, &left, "it has schema version 2, but this binary supports version 1");
    assert!(sides.map(|side| fs::read(side).unwrap()) == before);
}

#[tokio::test]
async fn a_damaged_store_is_rejected() {
    let directory = TempDir::new().unwrap();
    let good = directory.path().join("good");
    make_store(&good).await;
    let bytes = fs::read(&good).unwrap();
    let path = directory.path().join("orders.db");
    for length in [bytes.len() - 1, bytes.len() - 4096, bytes.len() / 2, 4096, 512] {
        fs::write(&path, &bytes[..length]).unwrap();
        assert_rejected(&path, "truncated").await;
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
    assert_rejected(&path, "it is damaged or truncated").await;
    damage("DROP TABLE entries");
    assert_rejected(&path, "its tables do not match schema version 1").await;
    damage("DROP TABLE entries; CREATE TABLE entries (key TEXT PRIMARY KEY, value BLOB, revision INTEGER)");
    assert_rejected(&path, "its tables do not match schema version 1").await;
    damage("DELETE FROM last_revision");
    assert_rejected(&path, "its tables do not match schema version 1").await;
}

#[tokio::test]
async fn a_wal_without_its_file_is_rejected() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("orders.db");
    fs::write(directory.path().join("orders.db-wal"), [1; 4152]).unwrap();
    assert_rejected(&path, "it is missing or empty, but its write-ahead log").await;
    fs::write(&path, "").unwrap();
    assert_rejected(&path, "it is missing or empty, but its write-ahead log").await;
}

/// The user `nobody`, by convention.
const NOBODY: u32 = 65534;

/// Root can access everything, so an unprivileged child process opens the files.
#[tokio::test]
async fn a_file_without_read_and_write_permission_is_rejected() {
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
    let mut child = ChildProcess::start(command, "child_opens");
    for (path, expected) in [
        (&unwritable, "this process can read it but not write it"),
        (&unreadable, "this process must be able to read and write it and its directory"),
        (&closed, "this process must be able to read and write it and its directory"),
        (&closed_empty, "this process must be able to read and write it and its directory"),
        (&closed_store, "this process must be able to read and write it and its directory"),
    ] {
        child.send(path.to_str().unwrap());
        assert_says(&child.receive(), path, expected);
    }
    child.finish();

    restrict(&unreadable, 0o600);
    for path in [&closed, &closed_empty, &closed_store] {
        restrict(path.parent().unwrap(), 0o755);
    }
    assert!(paths.map(|path| contents(path.parent().unwrap())) == before);
}

// Files that can be opened.

#[tokio::test]
async fn an_empty_file_and_any_file_name_can_be_opened() {
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
    // A closed store is a single file.
    assert_eq!(contents(directory.path()).len(), 6);
}

/// Whatever the mask of the process allows. An existing file keeps its mode.
#[tokio::test]
async fn a_new_store_is_private_to_its_user() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    symlink("target.db", at("relative.db")).unwrap();
    symlink(at("relative.db"), at("link.db")).unwrap();
    fs::write(at("shared.db"), "").unwrap();
    fs::set_permissions(at("shared.db"), fs::Permissions::from_mode(0o640)).unwrap();
    for (name, mode) in [("orders.db", 0o600), ("link.db", 0o600), ("shared.db", 0o640)] {
        let store = open(&at(name)).await.unwrap();
        commit(&*store, vec![put("a", "1")]).await.unwrap();
        let file = fs::canonicalize(at(name)).unwrap();
        for suffix in ["", "-wal", "-shm"] {
            let file = PathBuf::from(format!("{}{suffix}", file.display()));
            let found = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{}: {found:o}", file.display());
        }
        store.close().await;
    }
}

#[tokio::test]
async fn a_relative_name_is_a_file_in_the_current_directory() {
    let directory = TempDir::new().unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    command.current_dir(directory.path());
    let mut child = ChildProcess::start(command, "child_opens");
    for name in [":memory:", "file:orders.db", "orders.db"] {
        child.send(name);
        assert_eq!(child.receive(), "opened");
        assert!(fs::metadata(directory.path().join(name)).unwrap().len() > 0, "{name}");
    }
    child.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_opens_create_one_store() {
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
