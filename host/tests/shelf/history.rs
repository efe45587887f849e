//! The history of modules: it is kept across restarts, and a damaged one does not prevent a start.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::Path,
};

use orders_host::{
    module::{hash::ModuleHash, shelf::MAX_HISTORY_BYTES},
    rollout::{archive::ModuleArchive, history::History, roster::Record},
};
use rustix::process::geteuid;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{ANOTHER_USER, active, component, logged, names, open};

/// An archive over this folder.
fn archive(folder: &Path) -> ModuleArchive {
    ModuleArchive::new(Some(open(folder)), active(ModuleHash::digest(b"")).component)
}

/// Runs a future on this thread, and returns its result and what this thread logged.
fn run<T>(future: impl Future<Output = T>) -> (T, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    logged(|| runtime.block_on(future))
}

fn load(folder: &Path) -> (History, String) {
    run(archive(folder).load_history())
}

/// A folder with two modules, of which the second serves, and its history.
fn folder() -> (TempDir, History) {
    let folder = tempfile::tempdir().unwrap();
    let shelf = open(folder.path());
    let [one, two] = [b'1', b'2'].map(|name| shelf.store_component(&component(name)).unwrap());
    shelf.activate(active(two)).unwrap();
    drop(shelf);
    let record = json!({
        "module": one, "size": 12, "state": "refused", "since": "2026-01-02T03:04:05.678Z", "why": "it does not start",
        "window": null, "trial": null
    });
    let records: Vec<Record> = vec![serde_json::from_value(record).unwrap()];
    let history = History { serving: Some(two), previous: Some(one), records };
    let ((), log) = run(archive(folder.path()).save_history(&history));
    assert_eq!(log, "");
    (folder, history)
}

#[test]
fn a_history_outlives_the_process() {
    let (folder, history) = folder();
    assert_eq!(load(folder.path()), (history.clone(), String::new()));
    let written = |folder: &Path| fs::metadata(folder.join("history")).unwrap().ino();
    let before = written(folder.path());
    run(archive(folder.path()).save_history(&history));
    assert_eq!(written(folder.path()), before, "the same history was written again");
    // Another one replaces it.
    let next = History { records: vec![], ..history };
    run(archive(folder.path()).save_history(&next));
    assert_eq!(load(folder.path()), (next, String::new()));
    let mode = fs::metadata(folder.path().join("history")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_folder_without_a_history_names_the_active_module_only() {
    let (folder, history) = folder();
    fs::remove_file(folder.path().join("history")).unwrap();
    let expected = History { serving: history.serving, ..History::default() };
    assert_eq!(load(folder.path()), (expected, String::new()));
    let new = tempfile::tempdir().unwrap();
    assert_eq!(load(new.path()), (History::default(), String::new()));
}

/// The process is killed after it has recorded the serving module and before it has saved the history.
#[test]
fn a_history_is_corrected_by_the_active_module() {
    let (folder, history) = folder();
    let shelf = open(folder.path());
    let three = shelf.store_component(&component(b'3')).unwrap();
    shelf.activate(active(three)).unwrap();
    drop(shelf);
    let (loaded, log) = load(folder.path());
    assert_eq!((loaded.serving, loaded.previous), (Some(three), history.serving));
    assert_eq!((loaded.records, log.as_str()), (history.records, ""));
}

#[test]
fn a_previous_module_must_be_stored_or_named_by_the_component_option() {
    let (folder, history) = folder();
    let previous = history.previous.unwrap();
    fs::remove_file(folder.path().join(format!("{previous}.wasm"))).unwrap();
    assert_eq!(load(folder.path()).0.previous, None);
    let named = ModuleArchive::new(Some(open(folder.path())), previous);
    assert_eq!(run(named.load_history()).0.previous, Some(previous));
}

#[test]
fn a_history_that_cannot_be_used_is_ignored_with_a_warning() {
    let (folder, history) = folder();
    let path = folder.path().join("history");
    let valid = fs::read(&path).unwrap();
    let files = [
        (vec![], "it is not a history of modules: EOF"),
        (b"\xff\xfe".to_vec(), "it is not a history of modules"),
        (valid[..valid.len() - 1].to_vec(), "it is not a history of modules: EOF"),
        (b"{\"version\":2}".to_vec(), "it has version 2, and this host reads version 1"),
        (
            vec![b' '; usize::try_from(MAX_HISTORY_BYTES).unwrap() + 1],
            "larger than the maximum of 1048576 bytes",
        ),
    ];
    let check_ignored = |expected: &str| {
        let (loaded, log) = load(folder.path());
        assert_eq!(loaded, History::default(), "{expected}");
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains("WARN") && log.contains("event=\"module.history_ignored\""), "{log}");
        assert!(log.contains(expected) && log.contains("history"), "{expected}: {log}");
    };
    for (file, expected) in files {
        fs::write(&path, file).unwrap();
        check_ignored(expected);
    }
    fs::write(&path, &valid).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o622)).unwrap();
    check_ignored("others can write to it");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    if geteuid().is_root() {
        chown(&path, Some(ANOTHER_USER), None).unwrap();
        check_ignored("it belongs to user");
    }
    fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    symlink("elsewhere", &path).unwrap();
    check_ignored("it is a symbolic link");
    // The next one replaces whatever is there.
    run(archive(folder.path()).save_history(&history));
    assert_eq!(load(folder.path()), (history, String::new()));
    assert_eq!(fs::read(folder.path().join("elsewhere")).unwrap(), valid);
}

#[test]
fn records_of_another_version_are_left_out_with_a_warning() {
    let (folder, history) = folder();
    let path = folder.path().join("history");
    let mut file: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    file["records"].as_array_mut().unwrap().push(json!({ "module": history.serving, "state": "unheard-of" }));
    file["fleet"] = json!(3);
    fs::write(&path, file.to_string()).unwrap();
    let (loaded, log) = load(folder.path());
    assert_eq!(loaded, history);
    assert!(log.contains("WARN") && log.contains("event=\"module.records_ignored\" records=1"), "{log}");
}

#[test]
fn a_history_that_cannot_be_stored_is_a_warning() {
    let (folder, history) = folder();
    let path = folder.path().join("history");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let before = names(folder.path());
    let ((), log) = run(archive(folder.path()).save_history(&history));
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains("WARN") && log.contains("event=\"module.history_not_stored\""), "{log}");
    assert!(log.contains("/history: "), "{log}");
    assert_eq!(names(folder.path()), before);
}

#[test]
fn a_history_that_is_too_large_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = open(folder.path());
    let largest = vec![b' '; usize::try_from(MAX_HISTORY_BYTES).unwrap()];
    shelf.write_history(&largest).unwrap();
    let error = shelf.write_history(&[largest.as_slice(), b" "].concat()).unwrap_err();
    assert!(error.contains("/history: it is larger than the maximum of 1048576 bytes"), "{error}");
    assert_eq!(shelf.read_history(), Ok(Some(largest)));
}

/// Without a module folder nothing is kept, and nothing fails.
#[test]
fn without_a_folder_the_history_is_empty() {
    let (_folder, history) = folder();
    let archive = ModuleArchive::new(None, history.serving.unwrap());
    assert_eq!(run(archive.save_history(&history)), ((), String::new()));
    assert_eq!(run(archive.load_history()), (History::default(), String::new()));
}

#[test]
fn a_component_is_read_for_a_module_that_is_no_longer_loaded() {
    let (folder, history) = folder();
    let (one, two) = (history.previous.unwrap(), history.serving.unwrap());
    let other = ModuleHash::digest(b"other");
    let without_folder = ModuleArchive::new(None, two);
    let error = run(without_folder.read_component(one)).0.unwrap_err();
    let expected = format!(
        "{} is no longer loaded; to load a module again, the service needs --module-dir",
        one.short()
    );
    assert_eq!(error, expected);

    let archive = archive(folder.path());
    assert_eq!(run(archive.read_component(one)).0, Ok(component(b'1')));
    let error = run(archive.read_component(other)).0.unwrap_err();
    let expected = format!("{} is not in the module folder, which has ", other.short());
    assert!(error.starts_with(&expected), "{error}");
    assert!(error.contains(&one.short()) && error.contains(&two.short()), "{error}");
    assert!(error.ends_with("; besides modules in use, --keep-modules keeps the 5 newest"), "{error}");
    fs::write(folder.path().join(format!("{one}.wasm")), "damaged").unwrap();
    let error = run(archive.read_component(one)).0.unwrap_err();
    assert!(
        error.contains("changed after it was stored") && error.ends_with(": push the component again"),
        "{error}"
    );
}

#[test]
fn an_error_names_a_few_of_many_modules() {
    let folder = tempfile::tempdir().unwrap();
    let other = ModuleHash::digest(b"other");
    let archive = archive(folder.path());
    let error = run(archive.read_component(other)).0.unwrap_err();
    assert!(error.contains("which has nothing; "), "{error}");
    for name in 0..10 {
        run(archive.store_component(component(name))).0.unwrap();
    }
    let error = run(archive.read_component(other)).0.unwrap_err();
    assert!(error.contains(", 2 more; ") && error.matches(',').count() == 10, "{error}");
}
