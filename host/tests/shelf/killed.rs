//! The process is killed in the middle of a change. The folder is then in the state before or after the change.

use std::path::Path;

use orders_host::module::{hash::ModuleHash, shelf::Shelf};

use crate::{
    children::{Overrun, assert_ended_by, limited, run},
    support::{active, compile, component, names, open},
};

/// SIGXFSZ, which a write beyond the file size limit raises.
const SIGXFSZ: i32 = 25;

/// Stores module `a`, activates it, and writes a history that names it.
fn prepare(folder: &Path) -> ModuleHash {
    let shelf = open(folder);
    let old = component(b'a');
    let module = shelf.store_component(&old).unwrap();
    shelf.store_compiled(&compile(&old)).unwrap();
    shelf.activate(active(module)).unwrap();
    shelf.write_history(module.to_string().as_bytes()).unwrap();
    module
}

/// Asserts that every file is complete and has a valid name. Returns the active module, and the one that the history names.
fn assert_intact(shelf: &Shelf, folder: &Path) -> (ModuleHash, ModuleHash) {
    let stored = shelf.list().unwrap();
    for stored in &stored {
        shelf.read_component(stored.module).unwrap();
    }
    let module = shelf.active().unwrap().expect("a module is active before and after the change").module;
    assert!(stored.iter().any(|stored| stored.module == module), "the active module is not stored");
    assert!(shelf.read_compiled(module).is_some());
    for name in names(folder) {
        let known = stored.iter().any(|stored| name.starts_with(&stored.module.to_string()));
        assert!(known || ["active", "history", "lock"].contains(&name.as_str()), "{name}");
    }
    let history = shelf.read_history().unwrap().expect("there is a history before and after the change");
    (module, String::from_utf8(history).unwrap().parse().unwrap())
}

#[test]
fn a_kill_in_the_middle_of_a_file_leaves_the_old_module() {
    let folder = tempfile::tempdir().unwrap();
    let old = prepare(folder.path());
    let before = names(folder.path());
    let output = run(limited(10_000, Overrun::Kills), "child_stores_a_large_component", folder.path());
    assert_ended_by(&output, SIGXFSZ);
    assert_eq!(names(folder.path()).len(), before.len() + 1, "no partial file is left");
    assert_eq!(assert_intact(&open(folder.path()), folder.path()), (old, old));
    assert_eq!(names(folder.path()), before);
}

#[cfg(feature = "fault-injection")]
#[test]
fn a_kill_between_any_two_steps_leaves_the_old_module_or_the_new_one() {
    use orders_host::module::shelf::POINTS;

    use crate::children::{assert_succeeded, unlimited};

    /// The signal that a process cannot catch.
    const SIGKILL: i32 = 9;

    let new = ModuleHash::digest(&component(b'b'));
    let life = POINTS.as_flattened();
    let step_of = |name: &str| life.iter().position(|point| *point == name).unwrap();
    let [replaced, told] = ["pointer renamed", "history renamed"].map(step_of);
    for (step, point) in life.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let old = prepare(folder.path());
        // So that the new module is newer, however coarse the clock.
        crate::support::age(&folder.path().join(format!("{old}.wasm")), 60);
        let mut child = unlimited();
        child.env("ORDERS_FAULT", point);
        assert_ended_by(&run(child, "child_replaces_the_module", folder.path()), SIGKILL);

        let shelf = open(folder.path());
        let found = assert_intact(&shelf, folder.path());
        let expected = [replaced, told].map(|change| if step < change { old } else { new });
        assert_eq!(found, expected.into(), "killed at: {point}");
        drop(shelf);
        // The interrupted change can be repeated.
        assert_succeeded(&run(unlimited(), "child_replaces_the_module", folder.path()));
        assert_eq!(assert_intact(&open(folder.path()), folder.path()), (new, new), "after: {point}");
        let left = ["active", "history", "lock", &format!("{new}.compiled"), &format!("{new}.wasm")];
        assert_eq!(names(folder.path()), left.map(str::to_owned).into(), "after: {point}");
    }
}
