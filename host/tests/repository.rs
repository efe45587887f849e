//! What must stay true of the repository itself: the order of the files, and what is written about them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends by panicking"
)]

use std::{fs, path::Path};

/// A file imports only what stands before it. `lib.rs` lists them in this order too.
const ORDER: &[&str] = &[
    "config",
    "fault",
    "shutdown",
    "store",
    "imports",
    "output",
    "outbound",
    "failure",
    "tally",
    "instance",
    "body",
    "guest_body",
    "guest",
    "engine",
    "module",
    "file",
    "compiled",
    "keys",
    "signature",
    "source",
    "shelf",
    "events",
    "kept",
    "compiling",
    "roster",
    "candidate",
    "smoke",
    "slot",
    "verdict",
    "trial",
    "swap",
    "signing",
    "limits",
    "reject",
    "head",
    "health",
    "explorer",
    "answer",
    "service",
    "clock",
    "socket",
    "refusal",
    "connection",
    "workers",
    "listener",
    "admin",
    "operator",
    "transfer",
    "healthcheck",
    "app",
];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The sources of the host, each with the place of its module in [`ORDER`].
fn sources() -> Vec<(String, usize, String)> {
    let mut sources = Vec::new();
    let mut folders = vec![repository().join("host/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(repository().join("host/src")).unwrap().to_str().unwrap().to_owned();
            let module = name.trim_end_matches(".rs").split('/').next().unwrap();
            if !matches!(module, "lib" | "main") {
                let place = ORDER.iter().position(|listed| *listed == module);
                let place = place.unwrap_or_else(|| panic!("{name} has no place in the order"));
                sources.push((name.clone(), place, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(sources.len() >= ORDER.len(), "a module of the order has no file");
    sources
}

/// The code of a file, without comments.
fn code(source: &str) -> String {
    source.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// The modules of this crate that some code names: after `crate::`, or in the braces after `use crate::`.
fn modules_named(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for after in code.split("crate::").skip(1) {
        let list = match after.strip_prefix('{') {
            Some(braced) => {
                // Only the outermost level of the list names modules.
                let mut depth = 0;
                braced
                    .chars()
                    .take_while(|character| {
                        depth += i32::from(*character == '{') - i32::from(*character == '}');
                        depth >= 0
                    })
                    .scan(0, |depth, character| {
                        *depth += i32::from(character == '{') - i32::from(character == '}');
                        Some(if *depth > 0 || character == '}' { ' ' } else { character })
                    })
                    .collect()
            }
            None => after.to_owned(),
        };
        let braced = after.starts_with('{');
        for item in list.split(',').take(if braced { usize::MAX } else { 1 }) {
            let name: String = item
                .trim()
                .chars()
                .take_while(|character| character.is_alphanumeric() || *character == '_')
                .collect();
            if !name.is_empty() {
                named.push(name);
            }
        }
    }
    named
}

#[test]
fn a_file_imports_only_what_stands_before_it() {
    for (file, place, source) in sources() {
        for module in modules_named(&code(&source)) {
            let imported = ORDER.iter().position(|listed| *listed == module);
            let imported =
                imported.unwrap_or_else(|| panic!("{file} imports crate::{module}, which is no module"));
            assert!(imported <= place, "{file} imports {module}, which stands after it");
        }
    }
}

#[test]
fn the_check_of_imports_sees_them() {
    let code = "use crate::{\n    guest::{Failure, Guest},\n    store::{self, Store},\n};\nuse crate::config::Cli;\nlet x: crate::limits::Limits;";
    assert_eq!(modules_named(code), ["guest", "store", "config", "limits"]);
}

#[test]
fn the_map_in_lib_rs_is_the_order() {
    let map = fs::read_to_string(repository().join("host/src/lib.rs")).unwrap();
    let listed: Vec<_> =
        map.lines().filter_map(|line| line.strip_prefix("//! | [`")?.split('`').next()).collect();
    assert_eq!(listed, ORDER);
}

/// Native code is loaded in one place; nothing else needs what the compiler cannot check.
#[test]
fn one_file_of_the_host_has_unsafe_code() {
    let unsafe_code = |source: &str| code(source).contains("unsafe");
    let files: Vec<_> = sources().into_iter().filter(|(_, _, source)| unsafe_code(source)).collect();
    let names: Vec<_> = files.iter().map(|(file, ..)| file.as_str()).collect();
    assert_eq!(names, ["compiled.rs"]);
    assert_eq!(files[0].2.matches("unsafe {").count(), 1);
}

/// The host knows nothing about orders.
#[test]
fn the_host_knows_no_word_of_the_trade() {
    for (file, _, source) in sources() {
        for word in ["customer", "unit_price", "quantity", "shipped", "cancelled", "/api/v1", "idempotency"] {
            assert!(!code(&source).to_lowercase().contains(word), "{file} knows what a {word} is");
        }
    }
}

/// Only one file of the component touches `wasi:http`, and only one the store.
#[test]
fn the_component_keeps_its_borders() {
    let mut paths = vec![repository().join("guest/src")];
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let code = code(&fs::read_to_string(&path).unwrap());
        assert!(!code.contains("wasi::") || name == "component.rs", "{name} touches WASI");
        assert!(!code.contains("orders::state") || name == "wit_store.rs", "{name} touches the store");
    }
}
