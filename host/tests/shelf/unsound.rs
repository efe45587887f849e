//! Damaged files: rejected, replaced or compiled again, but never served.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{FileExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use orders_host::module::{hash::ModuleHash, shelf::Shelf};
use tempfile::TempDir;

use crate::{
    children::{Overrun, assert_succeeded, limited, run},
    support::{active, compile, component, logged, names, open},
};

/// A folder with a module and its code.
struct Folder {
    folder: TempDir,
    shelf: Shelf,
    module: ModuleHash,
}

fn folder() -> Folder {
    let folder = tempfile::tempdir().unwrap();
    let shelf = open(folder.path());
    let module = shelf.store_component(&component(b'1')).unwrap();
    shelf.store_compiled(&compile(&component(b'1'))).unwrap();
    Folder { folder, shelf, module }
}

impl Folder {
    fn file(&self, extension: &str) -> PathBuf {
        self.folder.path().join(format!("{}.{extension}", self.module))
    }
}

fn flip_last_bit(path: &Path) {
    let (file, bytes) = (File::options().write(true).open(path).unwrap(), fs::read(path).unwrap());
    file.write_all_at(&[bytes[bytes.len() - 1] ^ 1], bytes.len() as u64 - 1).unwrap();
}

fn truncate(path: &Path) {
    File::options().write(true).open(path).unwrap().set_len(9).unwrap();
}

fn let_others_write(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
}

fn replace_with_link(path: &Path) {
    let target = path.with_extension("elsewhere");
    fs::rename(path, &target).unwrap();
    symlink(target, path).unwrap();
}

fn replace_with_pipe(path: &Path) {
    fs::remove_file(path).unwrap();
    let status = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(status.success());
}

fn replace_with_folder(path: &Path) {
    fs::remove_file(path).unwrap();
    fs::create_dir(path).unwrap();
}

fn make_too_large(path: &Path) {
    // The file is sparse, and takes no room.
    File::options().write(true).open(path).unwrap().set_len(1 << 40).unwrap();
}

fn remove(path: &Path) {
    fs::remove_file(path).unwrap();
}

/// A way to damage a file, and a part of the error that follows.
type Damage = (fn(&Path), &'static str);

/// Damage that is possible with every file.
const ANY_FILE: [Damage; 5] = [
    (let_others_write, "others can write to it"),
    (replace_with_link, "it is a symbolic link"),
    (replace_with_pipe, "not a regular file"),
    (replace_with_folder, "not a regular file"),
    (make_too_large, "larger than the maximum of"),
];
/// A missing file.
const MISSING: Damage = (remove, "No such file");

#[test]
fn a_damaged_component_is_rejected_with_its_file_name() {
    let changed: [Damage; 3] =
        [(flip_last_bit, "changed after it was stored"), (truncate, "changed after it was stored"), MISSING];
    for (damage, expected) in ANY_FILE.into_iter().chain(changed) {
        let stored = folder();
        let path = stored.file("wasm");
        damage(&path);
        let error = stored.shelf.read_component(stored.module).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(error.contains(path.file_name().unwrap().to_str().unwrap()), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        if path.is_dir() {
            // Only an operator can remove a folder that is in the way.
            stored.shelf.store_component(&component(b'1')).unwrap_err();
            fs::remove_dir(&path).unwrap();
        }
        // To store it again repairs it.
        stored.shelf.store_component(&component(b'1')).unwrap();
        assert_eq!(stored.shelf.read_component(stored.module), Ok(component(b'1')));
    }
}

/// A process that is killed before it stores the code leaves this state, so it is not logged.
#[test]
fn missing_code_is_compiled() {
    let stored = folder();
    remove(&stored.file("compiled"));
    let (code, log) = logged(|| stored.shelf.read_compiled(stored.module));
    assert!(code.is_none() && log.is_empty(), "{log}");
}

#[test]
fn damaged_code_is_compiled_again() {
    let changed: [Damage; 2] =
        [(flip_last_bit, "SHA-256 differs"), (truncate, "is missing or cannot be read")];
    for (damage, expected) in ANY_FILE.into_iter().chain(changed) {
        let stored = folder();
        let path = stored.file("compiled");
        damage(&path);
        let (code, log) = logged(|| stored.shelf.read_compiled(stored.module));
        assert!(code.is_none(), "{expected}");
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains("WARN") && log.contains(expected), "{expected}: {log}");
        assert!(log.contains(path.file_name().unwrap().to_str().unwrap()), "{log}");
        if path.is_dir() {
            fs::remove_dir(&path).unwrap();
        }
        stored.shelf.store_compiled(&compile(&component(b'1'))).unwrap();
        assert_eq!(stored.shelf.read_compiled(stored.module).unwrap().hash, stored.module);
    }
}

/// The code is intact, but has the name of another module.
#[test]
fn code_of_another_component_is_not_loaded() {
    let stored = folder();
    let other = component(b'2');
    fs::write(stored.file("compiled"), compile(&other).file()).unwrap();
    let (code, log) = logged(|| stored.shelf.read_compiled(stored.module));
    assert!(code.is_none());
    let expected = format!("it was compiled from another component ({})", ModuleHash::digest(&other));
    assert!(log.contains(&expected), "{log}");
}

#[test]
fn an_active_file_that_cannot_be_read_is_rejected() {
    let stored = folder();
    let path = stored.folder.path().join("active");
    let (module, other) = (stored.module, ModuleHash::digest(b"other"));
    let valid = format!("module {module}\ncomponent {other}\n");
    let mut invalid = vec![
        format!("{valid}\n"),
        format!("{valid}module {module}\n"),
        format!("\n{valid}"),
        format!("component {other}\nmodule {module}\n"),
        format!("module {module}\n"),
        valid.replace('\n', "\r\n"),
        valid.replace("module ", "modul "),
        valid.replace("module ", "module  "),
        valid.replacen('\n', " \n", 1),
        "x".repeat(2000),
    ];
    invalid.extend((0..valid.len()).map(|end| valid.chars().take(end).collect()));
    let check_rejected = |what: &str| {
        let error = stored.shelf.active().unwrap_err();
        assert!(error.contains("/active: ") && error.lines().count() == 1, "{what}: {error}");
        assert!(error.contains("remove it to serve what --component names"), "{what}: {error}");
        error
    };
    for text in invalid {
        fs::write(&path, &text).unwrap();
        check_rejected(&text);
    }
    fs::write(&path, b"module \xff").unwrap();
    check_rejected("not text");
    fs::write(&path, valid).unwrap();
    assert_eq!(stored.shelf.active().unwrap().unwrap().module, module);
    for (damage, expected) in ANY_FILE.into_iter().take(5) {
        damage(&path);
        assert!(check_rejected(expected).contains(expected));
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }
    remove(&path);
    assert_eq!(stored.shelf.active(), Ok(None));
}

/// A write replaces a symbolic link, and leaves its target unchanged.
#[test]
fn nothing_is_written_through_a_symbolic_link() {
    let stored = folder();
    let elsewhere = stored.folder.path().join("elsewhere");
    fs::write(&elsewhere, "unchanged").unwrap();
    let in_folder = |name: &str| stored.folder.path().join(name);
    for name in [stored.file("wasm"), stored.file("compiled"), in_folder("active"), in_folder("history")] {
        let _ = fs::remove_file(&name);
        symlink(&elsewhere, &name).unwrap();
    }
    stored.shelf.store_component(&component(b'1')).unwrap();
    stored.shelf.store_compiled(&compile(&component(b'1'))).unwrap();
    stored.shelf.activate(active(stored.module)).unwrap();
    stored.shelf.write_history(b"{}").unwrap();
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "unchanged");
    assert_eq!(stored.shelf.read_component(stored.module), Ok(component(b'1')));
    assert_eq!(stored.shelf.active().unwrap().unwrap().module, stored.module);
    assert!(stored.shelf.read_compiled(stored.module).is_some());
    assert_eq!(stored.shelf.read_history(), Ok(Some(b"{}".to_vec())));
}

/// A limit on the file size stands in for a full disk.
#[test]
fn a_full_disk_leaves_no_partial_file() {
    let stored = folder();
    let folder = stored.folder.path();
    drop(stored.shelf);
    let before = names(folder);
    assert_succeeded(&run(limited(10_000, Overrun::Fails), "child_stores_a_large_component", folder));
    let small = format!("{}.wasm", ModuleHash::digest(&component(b'b')));
    assert_eq!(names(folder), before.into_iter().chain([small]).collect());
}
