//! What the orders component imports, and what `inspect` says about components.

use wit_parser::Resolve;

use crate::harness::{fixture, orders, run};

/// The component imports nothing but `orders:state/store` and what every `wasi:http/proxy` host offers, and exports the
/// handler.
#[test]
fn the_component_fits_its_world() {
    let folder = tempfile::tempdir().unwrap();
    orders_wit::write_to(folder.path()).unwrap();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(folder.path()).unwrap();
    let world = resolve.select_world(&[package], Some("service")).unwrap();
    let component = std::fs::read(orders()).unwrap();
    wit_component::targets(&resolve, world, &component, false).unwrap();
}

/// "The component stays under 400 KB": it is sent, compiled and loaded quickly.
#[test]
fn the_component_is_small() {
    let size = std::fs::metadata(orders()).unwrap().len();
    assert!(size < 400_000, "{size} bytes");
}

#[tokio::test]
async fn inspect_lists_imports_and_exports() {
    let ran = run(["inspect".as_ref(), orders().as_os_str()]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for line in
        ["  orders:state/store@0.1.0", "  wasi:http/types@0.2.12", "  wasi:http/incoming-handler@0.2.12"]
    {
        assert!(ran.stdout.lines().any(|found| found == line), "no {line} in {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("wasi:filesystem"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("this host can run it\n"), "{}", ran.stdout);
}

#[tokio::test]
async fn inspect_says_why_a_component_would_not_run() {
    let ran = run(["inspect".as_ref(), fixture("imports_mail").as_os_str()]).await;
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains("  acme:mail/send@1.0.0"), "{}", ran.stdout);
    let verdict = ran.stdout.lines().last().unwrap();
    assert!(verdict.starts_with("this host cannot run it: "), "{verdict}");
    assert!(verdict.contains("acme:mail/send@1.0.0"), "{verdict}");
}

#[tokio::test]
async fn inspect_fails_for_a_file_that_cannot_be_read() {
    let ran = run(["inspect", "/nowhere.wasm"]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains("/nowhere.wasm"), "{}", ran.stderr);
}

#[tokio::test]
async fn inspect_accepts_a_fixture() {
    let ran = run(["inspect".as_ref(), fixture("answers").as_os_str()]).await;
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
}
