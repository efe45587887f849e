//! Modules are stored, listed, activated, and removed when they are old.

use std::{fs, os::unix::fs::PermissionsExt, time::SystemTime};

use orders_host::module::{hash::ModuleHash, shelf::Shelf};

use crate::support::{active, age, compile, component, logged, names, open};

#[test]
fn stored_modules_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("modules");
    let [one, two] = [b'1', b'2'].map(component);
    let shelf = open(&folder);
    assert_eq!((shelf.active().unwrap(), shelf.list().unwrap()), (None, vec![]));
    let module = shelf.store_component(&one).unwrap();
    assert_eq!(module, ModuleHash::digest(&one));
    let code = compile(&one);
    shelf.store_compiled(&code).unwrap();
    shelf.activate(active(module)).unwrap();
    shelf.store_component(&two).unwrap();
    drop(shelf);

    let shelf = open(&folder);
    assert_eq!(shelf.active(), Ok(Some(active(module))));
    assert_eq!(shelf.read_component(module), Ok(one));
    assert_eq!(shelf.read_component(ModuleHash::digest(&two)).as_deref(), Ok(two.as_slice()));
    let (again, log) = logged(|| shelf.read_compiled(module));
    assert!(again.unwrap().file() == code.file() && log.is_empty(), "{log}");
    assert_eq!(shelf.list().unwrap().len(), 2);
    // Only the owner has access.
    for name in names(&folder) {
        let mode = fs::metadata(folder.join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn the_active_file_is_two_readable_lines() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = open(folder.path());
    let module = shelf.store_component(&component(b'1')).unwrap();
    let one = active(module);
    shelf.activate(one).unwrap();
    let text = fs::read_to_string(folder.path().join("active")).unwrap();
    assert_eq!(text, format!("module {module}\ncomponent {}\n", one.component));
    let other = shelf.store_component(&component(b'2')).unwrap();
    shelf.activate(active(other)).unwrap();
    assert_eq!(shelf.active(), Ok(Some(active(other))));
}

#[test]
fn only_a_stored_module_becomes_active_or_gets_code() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = open(folder.path());
    let module = shelf.store_component(&component(b'1')).unwrap();
    shelf.activate(active(module)).unwrap();
    let missing = component(b'2');
    for error in [
        shelf.activate(active(ModuleHash::digest(&missing))).unwrap_err(),
        shelf.store_compiled(&compile(&missing)).unwrap_err(),
    ] {
        assert!(error.contains("is not stored") && error.contains(&ModuleHash::digest(&missing).to_string()));
    }
    assert_eq!(shelf.active(), Ok(Some(active(module))));
}

#[test]
fn the_newest_modules_are_listed_first() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = open(folder.path());
    let modules = [b'1', b'2', b'3'].map(|name| shelf.store_component(&component(name)).unwrap());
    for (module, seconds) in modules.iter().zip([200, 300, 100]) {
        age(&folder.path().join(format!("{module}.wasm")), seconds);
    }
    // Foreign files are ignored.
    let upper = modules[0].to_string().to_uppercase();
    for name in ["notes.txt", "x.wasm", &format!("{upper}.wasm")] {
        fs::write(folder.path().join(name), "not a module").unwrap();
    }
    fs::create_dir(folder.path().join(format!("{}.wasm", ModuleHash::digest(b"a folder")))).unwrap();
    let listed = || shelf.list().unwrap().iter().map(|stored| stored.module).collect::<Vec<_>>();
    assert_eq!(listed(), [modules[2], modules[0], modules[1]]);
    // Storing a module again makes it the newest.
    let before = SystemTime::now();
    shelf.store_component(&component(b'2')).unwrap();
    assert_eq!(listed(), [modules[1], modules[2], modules[0]]);
    let newest = shelf.list().unwrap()[0];
    assert_eq!(newest.size, 12);
    assert!(newest.stored_at >= before && newest.stored_at <= SystemTime::now());
}

#[test]
fn the_newest_modules_and_those_in_use_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(folder.path(), 2).unwrap();
    let mut modules = Vec::new();
    for (name, days) in (b'0'..).zip([6, 5, 4, 3, 2, 1_u64]) {
        let component = component(name);
        let module = shelf.store_component(&component).unwrap();
        shelf.store_compiled(&compile(&component)).unwrap();
        age(&folder.path().join(format!("{module}.wasm")), days * 86_400);
        modules.push(module);
    }
    fs::write(folder.path().join("notes.txt"), "foreign").unwrap();
    shelf.activate(active(modules[0])).unwrap();
    let ((), log) = logged(|| shelf.remove_old(&[modules[2], ModuleHash::digest(b"elsewhere")]));
    let kept = [modules[0], modules[2], modules[4], modules[5]];
    let mut expected: Vec<_> = ["active", "lock", "notes.txt"].map(str::to_owned).into();
    expected
        .extend(kept.iter().flat_map(|module| ["wasm", "compiled"].map(|kind| format!("{module}.{kind}"))));
    assert_eq!(names(folder.path()), expected.into_iter().collect());
    for module in [modules[1], modules[3]] {
        assert!(log.contains(&format!("event=\"module.removed\" module={module}")), "{log}");
    }
    assert_eq!(log.lines().count(), 2, "{log}");
    // A second call finds nothing to remove.
    let ((), log) = logged(|| shelf.remove_old(&[modules[2]]));
    assert_eq!(log, "");
}

#[test]
fn nothing_is_removed_while_the_active_module_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(folder.path(), 0).unwrap();
    shelf.store_component(&component(b'1')).unwrap();
    fs::write(folder.path().join("active"), "module one\n").unwrap();
    let ((), log) = logged(|| shelf.remove_old(&[]));
    assert!(log.contains("WARN") && log.contains("/active: "), "{log}");
    assert_eq!(shelf.list().unwrap().len(), 1);
}
