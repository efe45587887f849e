//! The location of the store, as an operator writes it.

use std::{fs, path::Path};

use crate::harness::{TestHost, orders, run};

/// Names of the files in a folder that are no companions of a SQLite file.
fn stores(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm")).collect()
}

/// `$(cat file)` loses a trailing line break, but a variable that an orchestrator reads from a file keeps it.
#[tokio::test]
async fn a_line_break_after_the_location_opens_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("o.db").display());
    for (given, orders_before) in
        [(store.clone(), 0), (format!("{store}\n"), 1), (format!(" {store}\r\n"), 2)]
    {
        let host = TestHost::start_with(&orders(), &[], &[("ORDERS_STORE", &given)]).await;
        let listed = host.get("/api/v1/orders").await.json();
        assert_eq!(listed["items"].as_array().unwrap().len(), orders_before, "{given:?}");
        assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
        drop(host);
    }
    assert_eq!(stores(folder.path()), ["o.db"]);
}

#[tokio::test]
async fn a_location_that_is_not_meant_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().display();
    let component = orders();
    let rows = [
        (format!("sqlite:/{inside}/x.db"), format!("`sqlite:{inside}/x.db`")),
        (format!("sqlite:{inside}/x.db?mode=ro"), "`?`".to_owned()),
        ("sqlite::memory:".to_owned(), "write `memory:`".to_owned()),
        ("sqlite:file:x.db".to_owned(), "`file:`".to_owned()),
        ("memory:x".to_owned(), "nothing follows `memory:`".to_owned()),
        (format!("sqlite:{inside}/a\nb"), "control character".to_owned()),
    ];
    let component = component.to_str().unwrap();
    for (store, says) in rows {
        for command in [
            &["serve", "--component", component, "--listen", "127.0.0.1:0", "--store", &store][..],
            &["state", "export", "--output", "/dev/null", "--store", &store],
        ] {
            let ran = run(command).await;
            assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{store:?}: {}", ran.stderr);
            assert!(ran.stderr.contains(&says), "{store:?}: {}", ran.stderr);
        }
    }
    assert_eq!(stores(folder.path()), [] as [&str; 0]);
}
