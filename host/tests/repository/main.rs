//! Rules of the repository itself: the direction of imports, and the borders between host and guest.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod documents;
mod imports;
mod log_events;

use std::{fs, path::Path};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The sources of the host: paths below `host/src`, and contents.
fn sources() -> Vec<(String, String)> {
    let root = repository().join("host/src");
    let (mut sources, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                sources.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(sources.len() > 50, "only {} files are in {}", sources.len(), root.display());
    sources
}

/// The code of a file, without comments.
fn code(source: &str) -> String {
    source.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// Loading native code, in one place, is the only use of unsafe code.
#[test]
fn only_one_file_of_the_host_has_unsafe_code() {
    let unsafe_code = |source: &str| code(source).contains("unsafe");
    let files: Vec<_> = sources().into_iter().filter(|(_, source)| unsafe_code(source)).collect();
    let names: Vec<_> = files.iter().map(|(file, _)| file.as_str()).collect();
    assert_eq!(names, ["module/compiled.rs"]);
    assert_eq!(files[0].1.matches("unsafe {").count(), 1);
}

/// The host knows nothing about orders.
#[test]
fn the_host_contains_no_term_of_the_order_domain() {
    for (file, source) in sources() {
        // A method of `CancellationToken`, not a status.
        let source = code(&source).to_lowercase().replace(".cancelled_owned()", "");
        for word in ["customer", "unit_price", "quantity", "shipped", "cancelled", "/api/v1", "idempotency"] {
            assert!(!source.contains(word), "{file} contains {word:?}");
        }
    }
}

/// Only one file of the component uses `wasi:http`, and only one the store.
#[test]
fn only_one_file_of_the_component_uses_wasi_and_only_one_the_store() {
    let mut paths = vec![repository().join("guest/src")];
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let code = code(&fs::read_to_string(&path).unwrap());
        assert!(!code.contains("wasi::") || name == "component.rs", "{name} uses WASI");
        assert!(!code.contains("orders::state") || name == "wit_store.rs", "{name} uses the store");
    }
}
