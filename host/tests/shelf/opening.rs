//! Which folders are opened, and what is found in them.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::Path,
};

use orders_host::module::hash::ModuleHash;
use rustix::process::geteuid;

use crate::{
    children::{assert_succeeded, run, unlimited},
    support::{component, names, open, refusal},
};

/// Somebody else, whoever runs this.
const SOMEBODY: u32 = 54_321;

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_folder_belongs_to_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = open(folder.path());
    assert!(refusal(folder.path()).contains("another process uses it; each needs"));
    assert_succeeded(&run(unlimited(), "child_finds_it_locked", folder.path()));
    drop(shelf);
    open(folder.path());
}

#[test]
fn a_folder_that_others_can_write_to_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [0o720, 0o702, 0o777, 0o1777] {
        allow(folder.path(), mode);
        let error = refusal(folder.path());
        assert!(error.contains("others can write to it") && error.contains("chmod go-w"), "{error}");
        assert!(error.contains(&format!("mode is {:03o}", mode & 0o777)), "{error}");
    }
    // Before anything was made in it.
    assert!(names(folder.path()).is_empty());
    allow(folder.path(), 0o755);
    open(folder.path());
}

#[test]
fn a_folder_of_somebody_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    // Only the administrator can give folders away; others have folders of the administrator around them.
    let folder = if geteuid().is_root() {
        chown(folder.path(), Some(SOMEBODY), None).unwrap();
        folder.path()
    } else {
        Path::new("/usr")
    };
    let error = refusal(folder);
    assert!(error.contains("it belongs to the user") && error.contains("has to belong to"), "{error}");
}

#[test]
fn a_link_to_a_folder_is_what_it_leads_to() {
    let folder = tempfile::tempdir().unwrap();
    let (modules, link) = (folder.path().join("modules"), folder.path().join("link"));
    fs::create_dir(&modules).unwrap();
    symlink(&modules, &link).unwrap();
    allow(&modules, 0o777);
    assert!(refusal(&link).contains("others can write to it"));
    allow(&modules, 0o755);
    let shelf = open(&link);
    // It stays that one.
    fs::remove_file(&link).unwrap();
    symlink("nowhere", &link).unwrap();
    let module = shelf.put(&component(b'1')).unwrap();
    assert!(names(&modules).contains(&format!("{module}.wasm")));
}

#[test]
fn what_is_no_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(refusal(&file).contains("it is not a folder"));
    assert!(refusal(&folder.path().join("missing/modules")).contains("it cannot be made: No such file"));
    symlink("nowhere", folder.path().join("link")).unwrap();
    assert!(refusal(&folder.path().join("link")).contains("No such file"));
}

/// A lock elsewhere would lock nothing, and a file would be made there.
#[test]
fn a_lock_that_is_a_link_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [modules, elsewhere] = ["modules", "elsewhere"].map(|name| folder.path().join(name));
    fs::create_dir(&modules).unwrap();
    symlink(&elsewhere, modules.join("lock")).unwrap();
    assert!(refusal(&modules).contains("its file `lock` cannot be locked"));
    assert!(!elsewhere.exists());
}

#[test]
fn what_was_broken_off_is_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let module = open(folder.path()).put(&component(b'1')).unwrap();
    let other = ModuleHash::of(b"other");
    let unique = "1f0e8fd2-8a4f-4d2c-9a57-7b8ff3ab1f36";
    let ours = [".active.", &format!(".{module}.wasm."), &format!(".{other}.compiled.")];
    for name in ours {
        fs::write(folder.path().join(format!("{name}{unique}")), "half").unwrap();
    }
    let foreign = [
        ".active".to_owned(),
        format!(".notes.{unique}"),
        format!("active.{unique}"),
        format!(".{module}.wasm.orig"),
        format!("{other}.compiled"),
    ];
    for name in &foreign {
        fs::write(folder.path().join(name), "not ours").unwrap();
    }
    open(folder.path());
    let expected = foreign.into_iter().chain(["lock".to_owned(), format!("{module}.wasm")]);
    assert_eq!(names(folder.path()), expected.collect());
}
