//! Which folders are opened, and what opening removes.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::Path,
};

use orders_host::module::{hash::ModuleHash, shelf::ActiveModule};
use rustix::process::geteuid;

use crate::{
    children::{assert_succeeded, run, unlimited},
    support::{ANOTHER_USER, component, names, open, rejection},
};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_folder_belongs_to_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = open(folder.path());
    assert!(rejection(folder.path()).contains("another process uses it; each process needs"));
    assert_succeeded(&run(unlimited(), "child_finds_the_folder_locked", folder.path()));
    drop(shelf);
    open(folder.path());
}

/// A process that shuts down has nothing more to store, but its operators may still ask what is there.
#[test]
fn a_released_folder_can_be_read_but_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = open(folder.path());
    let module = shelf.store_component(&component(1)).unwrap();
    shelf.release();
    let next = open(folder.path());
    let stored = next.store_component(&component(2)).unwrap();
    let before = names(folder.path());

    let active = ActiveModule { module, component: module };
    for changed in [
        shelf.store_component(&component(3)).map(drop),
        shelf.activate(active),
        shelf.write_history(b"history"),
    ] {
        assert!(changed.unwrap_err().contains("the service is shutting down"));
    }
    shelf.remove_old(&[]);
    assert_eq!(names(folder.path()), before);
    assert_eq!(shelf.list().unwrap().len(), 2);
    assert_eq!(shelf.read_component(stored).unwrap(), component(2));
    drop(shelf);
    assert!(
        rejection(folder.path()).contains("another process uses it"),
        "the lock of the next process was released"
    );
}

#[test]
fn a_folder_that_others_can_write_to_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [0o720, 0o702, 0o777, 0o1777] {
        set_mode(folder.path(), mode);
        let error = rejection(folder.path());
        assert!(error.contains("others can write to it") && error.contains("chmod go-w"), "{error}");
        assert!(error.contains(&format!("mode is {:03o}", mode & 0o777)), "{error}");
    }
    // The check comes before anything is created in the folder.
    assert!(names(folder.path()).is_empty());
    set_mode(folder.path(), 0o755);
    open(folder.path());
}

#[test]
fn a_folder_of_another_user_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    // Only root can change the owner of a folder; for other users, /usr belongs to root.
    let folder = if geteuid().is_root() {
        chown(folder.path(), Some(ANOTHER_USER), None).unwrap();
        folder.path()
    } else {
        Path::new("/usr")
    };
    let error = rejection(folder);
    assert!(error.contains("it belongs to user") && error.contains("must belong to user"), "{error}");
}

#[test]
fn a_symbolic_link_to_a_folder_is_resolved_once() {
    let folder = tempfile::tempdir().unwrap();
    let (modules, link) = (folder.path().join("modules"), folder.path().join("link"));
    fs::create_dir(&modules).unwrap();
    symlink(&modules, &link).unwrap();
    set_mode(&modules, 0o777);
    assert!(rejection(&link).contains("others can write to it"));
    set_mode(&modules, 0o755);
    let shelf = open(&link);
    // The open folder remains the same.
    fs::remove_file(&link).unwrap();
    symlink("nowhere", &link).unwrap();
    let module = shelf.store_component(&component(b'1')).unwrap();
    assert!(names(&modules).contains(&format!("{module}.wasm")));
}

#[test]
fn a_path_that_is_not_a_folder_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(rejection(&file).contains("it is not a folder"));
    assert!(rejection(&folder.path().join("missing/modules")).contains("it cannot be created: No such file"));
    symlink("nowhere", folder.path().join("link")).unwrap();
    assert!(rejection(&folder.path().join("link")).contains("No such file"));
}

/// A lock elsewhere would lock nothing here, and would create a file there.
#[test]
fn a_lock_file_that_is_a_symbolic_link_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let [modules, elsewhere] = ["modules", "elsewhere"].map(|name| folder.path().join(name));
    fs::create_dir(&modules).unwrap();
    symlink(&elsewhere, modules.join("lock")).unwrap();
    assert!(rejection(&modules).contains("its file `lock` cannot be locked"));
    assert!(!elsewhere.exists());
}

#[test]
fn temporary_files_are_removed_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let module = open(folder.path()).store_component(&component(b'1')).unwrap();
    let other = ModuleHash::digest(b"other");
    let unique = "1f0e8fd2-8a4f-4d2c-9a57-7b8ff3ab1f36";
    let temporary = [".active.", ".history.", &format!(".{module}.wasm."), &format!(".{other}.compiled.")];
    for name in temporary {
        fs::write(folder.path().join(format!("{name}{unique}")), "partial").unwrap();
    }
    let foreign = [
        ".active".to_owned(),
        ".history".to_owned(),
        format!(".notes.{unique}"),
        format!("active.{unique}"),
        format!(".{module}.wasm.orig"),
        format!("{other}.compiled"),
    ];
    for name in &foreign {
        fs::write(folder.path().join(name), "foreign").unwrap();
    }
    open(folder.path());
    let expected = foreign.into_iter().chain(["lock".to_owned(), format!("{module}.wasm")]);
    assert_eq!(names(folder.path()), expected.collect());
}
