//! Files that are not as they were written: refused, replaced, or compiled anew, but never served.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{FileExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use orders_host::module::{hash::ModuleHash, shelf::Shelf};
use tempfile::TempDir;

use crate::{
    children::{Beyond, assert_succeeded, limited, run},
    support::{active, compile, component, logged, names, open},
};

struct Folder {
    folder: TempDir,
    shelf: Shelf,
    module: ModuleHash,
}

/// A folder with a module and its code.
fn folder() -> Folder {
    let folder = tempfile::tempdir().unwrap();
    let shelf = open(folder.path());
    let module = shelf.put(&component(b'1')).unwrap();
    shelf.put_compiled(&compile(&component(b'1'))).unwrap();
    Folder { folder, shelf, module }
}

impl Folder {
    fn file(&self, kind: &str) -> PathBuf {
        self.folder.path().join(format!("{}.{kind}", self.module))
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

fn become_link(path: &Path) {
    let target = path.with_extension("elsewhere");
    fs::rename(path, &target).unwrap();
    symlink(target, path).unwrap();
}

fn become_pipe(path: &Path) {
    fs::remove_file(path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

fn become_folder(path: &Path) {
    fs::remove_file(path).unwrap();
    fs::create_dir(path).unwrap();
}

fn become_too_large(path: &Path) {
    // Sparse: it takes no room.
    File::options().write(true).open(path).unwrap().set_len(1 << 40).unwrap();
}

fn vanish(path: &Path) {
    fs::remove_file(path).unwrap();
}

/// Something that is done to a file, and what is said of it.
type Damage = (fn(&Path), &'static str);

/// What can be wrong with any file.
const FAULTS: [Damage; 5] = [
    (let_others_write, "others can write to it"),
    (become_link, "it is a link"),
    (become_pipe, "not a regular file"),
    (become_folder, "not a regular file"),
    (become_too_large, "bytes that are accepted"),
];
/// What is not there is not as it was, either.
const GONE: Damage = (vanish, "No such file");

#[test]
fn a_component_that_is_not_as_it_was_is_refused_with_its_name() {
    let changed: [Damage; 3] =
        [(flip_last_bit, "not as it was stored"), (truncate, "not as it was stored"), GONE];
    for (damage, says) in FAULTS.into_iter().chain(changed) {
        let at = folder();
        let path = at.file("wasm");
        damage(&path);
        let error = at.shelf.component(at.module).unwrap_err();
        assert!(error.contains(says), "{says}: {error}");
        assert!(error.contains(path.file_name().unwrap().to_str().unwrap()), "{error}");
        assert!(error.contains("put the same component there again; without the file `active`"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        if path.is_dir() {
            // That nobody's file is in the way of is for a person to say.
            at.shelf.put(&component(b'1')).unwrap_err();
            fs::remove_dir(&path).unwrap();
        }
        // What is said helps.
        at.shelf.put(&component(b'1')).unwrap();
        assert_eq!(at.shelf.component(at.module), Ok(component(b'1')));
    }
}

/// As if a process had been killed before it was stored: nothing is wrong.
#[test]
fn code_that_is_not_there_is_compiled() {
    let at = folder();
    vanish(&at.file("compiled"));
    let (code, log) = logged(|| at.shelf.compiled(at.module));
    assert!(code.is_none() && log.is_empty(), "{log}");
}

#[test]
fn code_that_is_not_as_it_was_is_compiled_anew() {
    let changed: [Damage; 2] =
        [(flip_last_bit, "SHA-256 differs"), (truncate, "is missing or cannot be read")];
    for (damage, says) in FAULTS.into_iter().chain(changed) {
        let at = folder();
        let path = at.file("compiled");
        damage(&path);
        let (code, log) = logged(|| at.shelf.compiled(at.module));
        assert!(code.is_none(), "{says}");
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains("WARN") && log.contains(says), "{says}: {log}");
        assert!(log.contains(path.file_name().unwrap().to_str().unwrap()), "{log}");
        if path.is_dir() {
            fs::remove_dir(&path).unwrap();
        }
        at.shelf.put_compiled(&compile(&component(b'1'))).unwrap();
        assert_eq!(at.shelf.compiled(at.module).unwrap().hash, at.module);
    }
}

/// Sound code, of this host, under the name of another module.
#[test]
fn code_of_another_component_is_not_loaded() {
    let at = folder();
    let other = component(b'2');
    fs::write(at.file("compiled"), compile(&other).file()).unwrap();
    let (code, log) = logged(|| at.shelf.compiled(at.module));
    assert!(code.is_none());
    let says = format!("it was compiled from another component ({})", ModuleHash::of(&other));
    assert!(log.contains(&says), "{log}");
}

#[test]
fn a_pointer_that_cannot_be_read_is_refused_and_not_guessed() {
    let at = folder();
    let path = at.folder.path().join("active");
    let (module, other) = (at.module, ModuleHash::of(b"other"));
    let good = format!("module {module}\ncomponent {other}\n");
    let mut bad = vec![
        format!("{good}\n"),
        format!("{good}module {module}\n"),
        format!("\n{good}"),
        format!("component {other}\nmodule {module}\n"),
        format!("module {module}\n"),
        good.replace('\n', "\r\n"),
        good.replace("module ", "modul "),
        good.replace("module ", "module  "),
        good.replacen('\n', " \n", 1),
        "x".repeat(2000),
    ];
    bad.extend((0..good.len()).map(|end| good.chars().take(end).collect()));
    let refused = |what: &str| {
        let error = at.shelf.active().unwrap_err();
        assert!(error.contains("/active: ") && error.lines().count() == 1, "{what}: {error}");
        assert!(error.contains("remove it to serve what --component names"), "{what}: {error}");
        error
    };
    for text in bad {
        fs::write(&path, &text).unwrap();
        refused(&text);
    }
    fs::write(&path, b"module \xff").unwrap();
    refused("no text");
    fs::write(&path, good).unwrap();
    assert_eq!(at.shelf.active().unwrap().unwrap().module, module);
    for (damage, says) in FAULTS.into_iter().take(5) {
        damage(&path);
        assert!(refused(says).contains(says));
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }
    vanish(&path);
    assert_eq!(at.shelf.active(), Ok(None));
}

/// What is written takes the place of a link; where the link leads to stays as it is.
#[test]
fn nothing_is_written_through_a_link() {
    let at = folder();
    let elsewhere = at.folder.path().join("elsewhere");
    fs::write(&elsewhere, "as it was").unwrap();
    for name in [at.file("wasm"), at.file("compiled"), at.folder.path().join("active")] {
        let _ = fs::remove_file(&name);
        symlink(&elsewhere, &name).unwrap();
    }
    at.shelf.put(&component(b'1')).unwrap();
    at.shelf.put_compiled(&compile(&component(b'1'))).unwrap();
    at.shelf.activate(active(at.module)).unwrap();
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "as it was");
    assert_eq!(at.shelf.component(at.module), Ok(component(b'1')));
    assert_eq!(at.shelf.active().unwrap().unwrap().module, at.module);
    assert!(at.shelf.compiled(at.module).is_some());
}

/// A full disk, as it shows: a limit on what one file may have.
#[test]
fn a_disk_that_is_full() {
    let at = folder();
    let folder = at.folder.path();
    drop(at.shelf);
    let before = names(folder);
    assert_succeeded(&run(limited(10_000, Beyond::Fails), "child_stores_a_large_component", folder));
    let small = format!("{}.wasm", ModuleHash::of(&component(b'b')));
    assert_eq!(names(folder), before.into_iter().chain([small]).collect());
}
