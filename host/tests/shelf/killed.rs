//! The process is killed in the middle of what it does. What is found then is whole: the state before, or after.

use std::path::Path;

use orders_host::module::{hash::ModuleHash, shelf::Shelf};

use crate::{
    children::{Beyond, assert_ended_by, limited, run},
    support::{active, compile, component, names, open},
};

/// SIGXFSZ, by which a write beyond what a file may have ends the process.
const TOO_LARGE: i32 = 25;

/// A folder in which module `a` serves.
fn prepare(folder: &Path) -> ModuleHash {
    let shelf = open(folder);
    let old = component(b'a');
    let module = shelf.put(&old).unwrap();
    shelf.put_compiled(&compile(&old)).unwrap();
    shelf.activate(active(module)).unwrap();
    module
}

/// Fails unless everything under a right name is whole, and nothing has another name. Gives what is active.
fn assert_whole(shelf: &Shelf, folder: &Path) -> ModuleHash {
    let stored = shelf.list().unwrap();
    for stored in &stored {
        shelf.component(stored.module).unwrap();
    }
    let module = shelf.active().unwrap().expect("one was active before, and one is").module;
    assert!(stored.iter().any(|stored| stored.module == module), "what is active is stored");
    assert!(shelf.compiled(module).is_some());
    for name in names(folder) {
        let known = stored.iter().any(|stored| name.starts_with(&stored.module.to_string()));
        assert!(known || ["active", "lock"].contains(&name.as_str()), "{name}");
    }
    module
}

#[test]
fn in_the_middle_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let old = prepare(folder.path());
    let before = names(folder.path());
    let output = run(limited(10_000, Beyond::Ends), "child_stores_a_large_component", folder.path());
    assert_ended_by(&output, TOO_LARGE);
    assert_eq!(names(folder.path()).len(), before.len() + 1, "half a file is left");
    assert_eq!(assert_whole(&open(folder.path()), folder.path()), old);
    assert_eq!(names(folder.path()), before);
}

#[cfg(feature = "fault-injection")]
#[test]
fn between_any_two_steps() {
    use orders_host::module::shelf::POINTS;

    use crate::children::{assert_succeeded, unlimited};

    /// SIGKILL, which nothing can prepare for.
    const KILLED: i32 = 9;

    let new = ModuleHash::of(&component(b'b'));
    let life = POINTS.as_flattened();
    let replaced = life.iter().position(|point| *point == "pointer renamed").unwrap();
    for (step, point) in life.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let old = prepare(folder.path());
        // So that the other one is newer, however coarse the clock.
        crate::support::age(&folder.path().join(format!("{old}.wasm")), 60);
        let mut child = unlimited();
        child.env("ORDERS_FAULT", point);
        assert_ended_by(&run(child, "child_replaces_the_module", folder.path()), KILLED);

        let shelf = open(folder.path());
        let serves = assert_whole(&shelf, folder.path());
        assert_eq!(serves, if step < replaced { old } else { new }, "killed at: {point}");
        drop(shelf);
        // What was broken off can be done again.
        assert_succeeded(&run(unlimited(), "child_replaces_the_module", folder.path()));
        assert_eq!(assert_whole(&open(folder.path()), folder.path()), new, "after: {point}");
        let left = ["active", "lock", &format!("{new}.compiled"), &format!("{new}.wasm")];
        assert_eq!(names(folder.path()), left.map(str::to_owned).into(), "after: {point}");
    }
}
