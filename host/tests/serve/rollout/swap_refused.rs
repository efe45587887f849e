//! Candidates that do not come to serve: each is refused with its reason, and what serves goes on.

use std::fs;

use serde_json::Value;

use crate::{
    harness::{TestHost, fixture, orders, run},
    rollout::swap::{Swapped, compiled},
};

#[tokio::test]
async fn what_cannot_serve_changes_nothing() {
    let swapped = Swapped::start(&fixture("answers"), &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let good = fs::read(orders()).unwrap();
    let (compiled, _) = compiled().await;
    for (candidate, says) in [
        (file("empty", b""), "the file is empty"),
        (file("text", b"#!/bin/sh\n"), "not WebAssembly"),
        (file("core", b"\0asm\x01\x00\x00\x00"), "a core module"),
        (file("truncated", &good[..good.len() / 2]), "does not compile"),
        (file("no-handler", b"\0asm\x0d\x00\x01\x00"), "wasi:http/incoming-handler"),
        (folder.path().join("missing"), "No such file"),
        (fixture("imports_mail"), "acme:mail/send@1.0.0"),
        (fixture("traps_at_start"), "it does not start"),
        (compiled, "--trust-compiled"),
    ] {
        swapped.check_refused(&candidate, &[says]).await;
    }
    // And it can still be replaced.
    swapped.swap(&fixture("remembers")).await;
}

#[tokio::test]
async fn a_candidate_must_pass_its_smoke_requests() {
    let options = ["--smoke", "GET /", "--smoke", "GET /trap"];
    let swapped = Swapped::start(&fixture("answers"), &options).await;
    swapped.check_refused(&fixture("traps"), &["smoke request GET /: ", "unreachable"]).await;
    swapped.check_refused(&fixture("traps_on_demand"), &["smoke request GET /trap: ", "unreachable"]).await;
    swapped.check_refused(&fixture("never_answers"), &["without an answer"]).await;
    swapped.check_refused(&fixture("writes"), &["smoke request GET /: ", "write to the store"]).await;
    swapped.check_refused(&fixture("leaves_unfinished"), &["before its answer was finished"]).await;
    let passed = |line: &Value| line["message"] == "smoke request answered" && line["status"] == 200;
    let before = swapped.host.log().lines().iter().filter(|line| passed(line)).count();
    // An answer below 500 passes: 404 is what the orders say to both.
    swapped.swap(&orders()).await;
    let lines = swapped.host.log().lines();
    let after: Vec<_> = lines.iter().filter(|line| line["message"] == "smoke request answered").collect();
    assert_eq!(after.iter().rev().take(2).filter(|line| line["status"] == 404).count(), 2, "{after:?}");
    assert!(before >= 2, "those of the start are logged too");
}

/// What a smoke request may not do, a request may; and it reads what is there.
#[tokio::test]
async fn a_smoke_request_reads_the_real_store_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("orders.db").display());
    let host = TestHost::orders(&["--store", &store]).await;
    let made = host.connect().await.create().await.unwrap();
    let location = made.field("location").to_owned();
    drop(host);

    let reads = format!("GET {location}");
    let swapped = Swapped::start(&fixture("answers"), &["--store", &store, "--smoke", &reads]).await;
    swapped.check_refused(&fixture("writes"), &["write to the store"]).await;
    swapped.swap(&orders()).await;
    let lines = swapped.host.log().lines();
    let smoke = lines.iter().rfind(|line| line["message"] == "smoke request answered").unwrap();
    assert_eq!((&smoke["status"], &smoke["request"]), (&200.into(), &reads.as_str().into()));
    assert_eq!(swapped.host.get(&location).await.body, made.body);

    let writing = TestHost::fixture("writes", &[]).await;
    assert_eq!(&writing.get("/").await.body[..], b"written\n");
}

#[tokio::test]
async fn a_start_whose_smoke_request_fails_is_none() {
    let component = fixture("traps_on_demand").display().to_string();
    let start = ["serve", "--component", &component, "--store", "memory:", "--listen", "127.0.0.1:0"];
    for (smoke, says) in [
        ("GET /;GET /trap", "smoke request GET /trap: "),
        ("GET", "a request is written like `GET /path`"),
        ("GET nowhere", "a request is written like `GET /path`"),
    ] {
        let ran = run(start.iter().chain(&["--smoke", smoke])).await;
        assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{smoke}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{smoke}: {}", ran.stderr);
        assert!(!ran.stdout.contains("serving"), "{}", ran.stdout);
    }
}

#[tokio::test]
async fn a_compiler_that_takes_too_long_is_ended() {
    let (answers, _) = compiled().await;
    let options = ["--trust-compiled", "--compile-timeout", "1ms"];
    let swapped = Swapped::start(&answers, &options).await;
    swapped.check_refused(&orders(), &["longer than 1ms", "--compile-timeout"]).await;
}

#[tokio::test]
async fn a_compiler_that_takes_too_much_memory_is_ended() {
    let (answers, _) = compiled().await;
    // Neither enough to read the component, nor to compile it.
    for (memory, says) in [("16MiB", "16.0 MiB"), ("64MiB", "64.0 MiB")] {
        let options = ["--trust-compiled", "--compile-memory", memory];
        let swapped = Swapped::start(&answers, &options).await;
        swapped.check_refused(&orders(), &["its compiler broke off", "--compile-memory", says]).await;
    }
    let swapped = Swapped::start(&answers, &["--trust-compiled"]).await;
    swapped.swap(&orders()).await;
}
