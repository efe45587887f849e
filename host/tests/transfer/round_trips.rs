//! From a store to a file, to a store of another kind, and back.

use std::{fs, path::Path};

use clap::Parser;
use orders_host::{
    commands::state as transfer,
    config::{Cli, Command, StateCommand},
};
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    test_runner::{Config, TestRunner},
};

use crate::support::{Contents, Folder, contents, database, export, fill, import, numbered};

/// Runs a command in this process, which is faster than a process each time.
async fn state(arguments: &[&str]) -> String {
    let cli = Cli::try_parse_from(["orders-host", "state"].iter().chain(arguments)).unwrap();
    let Command::State(command) = cli.command else { panic!("{arguments:?}") };
    let result = match command {
        StateCommand::Export(config) => Box::pin(transfer::export(&config)).await,
        StateCommand::Import(config) => Box::pin(transfer::import(&config)).await,
        StateCommand::Check(config) => Box::pin(transfer::check(&config)).await,
    };
    result.unwrap()
}

/// A file without its first line, which depends on the time and the kind of store.
fn body(path: &Path) -> String {
    fs::read_to_string(path).unwrap().split_once('\n').unwrap().1.to_owned()
}

/// SQLite → file → PostgreSQL → file → SQLite: the entries and the files stay the same.
async fn check_round_trip(given: Contents) {
    let folder = Folder::new();
    let (from, through, to) = (folder.sqlite("from.db"), database(), folder.sqlite("to.db"));
    let (first, second, third) = (folder.at("1.jsonl"), folder.at("2.jsonl"), folder.at("3.jsonl"));
    fill(&from, given.clone()).await;
    for (store, file, next) in [(&from, &first, &through), (&through, &second, &to)] {
        state(&["export", "--store", store, "--output", file.to_str().unwrap()]).await;
        state(&["import", "--store", next, "--input", file.to_str().unwrap()]).await;
        assert!(contents(next).await == given, "the entries differ");
    }
    state(&["export", "--store", &to, "--output", third.to_str().unwrap()]).await;
    assert!(body(&first) == body(&second) && body(&second) == body(&third), "the files differ");
    assert_eq!(
        folder.names().iter().filter(|name| name.ends_with(".jsonl") || name.ends_with(".partial")).count(),
        3
    );
}

fn entries() -> impl Strategy<Value = Contents> {
    let key = prop_oneof![
        vec(any::<char>(), 1..20).prop_map(String::from_iter),
        "[ab\u{0}\"\\\\\n]{1,6}",
        Just("é".repeat(256)),
        Just(char::MAX.to_string().repeat(128)),
        Just("\u{0}".repeat(512)),
    ];
    let value = prop_oneof![
        vec(any::<u8>(), 0..64),
        vec(any::<char>(), 0..64).prop_map(|text| String::from_iter(text).into_bytes()),
        Just(b"{\"a\":\"b\"}\n".to_vec()),
    ];
    btree_map(key, value, 0..300).prop_map(|map| map.into_iter().collect())
}

#[test]
fn random_entries_survive_a_round_trip_through_every_store() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let config = Config { cases: 16, failure_persistence: None, max_shrink_iters: 32, ..Config::default() };
    TestRunner::new(config)
        .run(&entries(), |given| {
            runtime.block_on(check_round_trip(given));
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn the_largest_values_survive_a_round_trip() {
    let mut given: Contents = (0..10).map(|n| (format!("{n}"), vec![n + 1; 1 << 20])).collect();
    given.push(("text".into(), vec![b'x'; 1 << 20]));
    check_round_trip(given).await;
}

#[tokio::test]
async fn each_command_prints_a_summary() {
    let folder = Folder::new();
    let (from, to, file) = (folder.sqlite("from.db"), folder.sqlite("to.db"), folder.at("state.jsonl"));
    fill(&from, numbered(1000, 10)).await;
    let exported = export(&from, &file).await;
    assert!(
        exported.succeeded().starts_with(&format!("exported 1000 entries of {from} to \"")),
        "{}",
        exported.stdout
    );
    let written = fs::read_to_string(&file).unwrap();
    let head: serde_json::Value = serde_json::from_str(written.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&head["format"], &head["version"], &head["entries"]),
        (&"orders-host state".into(), &1.into(), &1000.into())
    );
    let end: serde_json::Value = serde_json::from_str(written.lines().last().unwrap()).unwrap();
    let sha256 = end["sha256"].as_str().unwrap();
    assert!(exported.stdout.contains(sha256));
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "others must not be able to read it");

    let imported = import(&to, &file, &[]).await;
    assert!(
        imported.succeeded().starts_with(&format!("imported 1000 entries into {to} (")),
        "{}",
        imported.stdout
    );
    assert!(imported.stdout.contains(&format!("verified: sha256 {sha256}")));
    let again = import(&to, &file, &[]).await;
    assert!(
        again.succeeded().starts_with("imported 1000 entries (1000 already present)"),
        "{}",
        again.stdout
    );

    // Without --output, standard output carries the state.
    let piped = crate::harness::run(["state", "export", "--store", to.as_str()]).await;
    assert_eq!(
        (piped.code, piped.stdout.split_once('\n').unwrap().1),
        (Some(0), written.split_once('\n').unwrap().1)
    );
    assert!(
        piped.stderr.starts_with("exported 1000 entries") && piped.stderr.lines().count() == 1,
        "{}",
        piped.stderr
    );
}

/// Neither the file nor the summary contains the login of the server.
#[tokio::test]
async fn an_export_does_not_reveal_the_url_of_the_store() {
    let folder = Folder::new();
    let (store, file) = (database(), folder.at("state.jsonl"));
    fill(&store, numbered(1, 1)).await;
    let exported = export(&store, &file).await;
    let login = "postgres@";
    assert!(store.contains(login) && !exported.succeeded().contains(login));
    let head = fs::read_to_string(&file).unwrap().lines().next().unwrap().to_owned();
    assert!(head.contains(r#""store":"postgres""#) && !head.contains("://"), "{head}");
}
