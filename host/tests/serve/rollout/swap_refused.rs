//! Candidates that are refused: each with its reason, while the serving module is unchanged.

use std::fs;

use serde_json::Value;

use crate::{
    harness::{TestHost, fixture, orders, run},
    rollout::swap::{SwapHost, compiled},
};

#[tokio::test]
async fn a_component_that_cannot_serve_is_refused() {
    let swap_host = SwapHost::start(&fixture("answers"), &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let good = fs::read(orders()).unwrap();
    let (compiled, _) = compiled().await;
    for (candidate, expected) in [
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
        swap_host.check_refused(&candidate, &[expected]).await;
    }
    // The next valid component is accepted.
    swap_host.swap(&fixture("remembers")).await;
}

#[tokio::test]
async fn a_candidate_must_pass_its_smoke_requests() {
    let options = ["--smoke", "GET /", "--smoke", "GET /trap"];
    let swap_host = SwapHost::start(&fixture("answers"), &options).await;
    swap_host.check_refused(&fixture("traps"), &["smoke request GET /: ", "unreachable"]).await;
    swap_host.check_refused(&fixture("traps_on_demand"), &["smoke request GET /trap: ", "unreachable"]).await;
    swap_host.check_refused(&fixture("never_answers"), &["without a response"]).await;
    swap_host.check_refused(&fixture("writes"), &["smoke request GET /: ", "write to the store"]).await;
    swap_host.check_refused(&fixture("leaves_unfinished"), &["before its response was complete"]).await;
    // The orders component answers, but at least one request not with success.
    let says = ["smoke request GET /", "404 Not Found", "below 400", "`GET /path 404`"];
    swap_host.check_refused(&orders(), &says).await;
    assert_eq!(passed(&swap_host.host)[..2], [200, 200], "the smoke requests of the start are logged");
}

/// The statuses of the smoke requests that were passed.
fn passed(host: &TestHost) -> Vec<Value> {
    let lines = host.log().lines().into_iter();
    let passed = lines.filter(|line| line["event"] == "rollout.smoke_request_passed");
    passed.map(|line| line["status"].clone()).collect()
}

#[tokio::test]
async fn a_smoke_request_may_name_the_status_that_is_right() {
    let options = ["--smoke", "GET /nowhere 404", "--smoke", "HEAD /openapi.json 200"];
    let swap_host = SwapHost::start(&orders(), &options).await;
    assert_eq!(passed(&swap_host.host), [404, 200]);
    let says = ["smoke request GET /nowhere 404: ", "has status 200 OK, not 404"];
    swap_host.check_refused(&fixture("answers"), &says).await;
}

/// A smoke request reads existing orders but must not write; other requests may write.
#[tokio::test]
async fn a_smoke_request_reads_the_real_store_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("orders.db").display());
    let host = TestHost::orders(&["--store", &store]).await;
    let created = host.connect().await.create().await.unwrap();
    let location = created.field("location").to_owned();
    drop(host);

    let reads = format!("GET {location}");
    let swap_host = SwapHost::start(&fixture("answers"), &["--store", &store, "--smoke", &reads]).await;
    swap_host.check_refused(&fixture("writes"), &["write to the store"]).await;
    swap_host.swap(&orders()).await;
    let lines = swap_host.host.log().lines();
    let smoke = lines.iter().rfind(|line| line["event"] == "rollout.smoke_request_passed").unwrap();
    assert_eq!((&smoke["status"], &smoke["request"]), (&200.into(), &reads.as_str().into()));
    assert_eq!(swap_host.host.get(&location).await.body, created.body);

    let writing = TestHost::fixture("writes", &[]).await;
    assert_eq!(&writing.get("/").await.body[..], b"written\n");
}

#[tokio::test]
async fn a_start_fails_if_a_smoke_request_fails() {
    let component = fixture("traps_on_demand").display().to_string();
    let start = ["serve", "--component", &component, "--store", "memory:", "--listen", "127.0.0.1:0"];
    for (smoke, expected) in [
        ("GET /;GET /trap", "smoke request GET /trap: "),
        ("GET", "a smoke request is written like `GET /path`"),
        ("GET nowhere", "a smoke request is written like `GET /path`"),
        ("GET /x 200 OK", "a smoke request is written like `GET /path`"),
        ("GET /x OK", "a status is a number"),
        ("GET /x 99", "a status is a number"),
        ("POST /x", "GET or HEAD, because it must not write"),
        ("DELETE /x 200", "GET or HEAD, because it must not write"),
    ] {
        let ran = run(start.iter().chain(&["--smoke", smoke])).await;
        assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{smoke}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{smoke}: {}", ran.stderr);
        assert!(!ran.stdout.contains("serving"), "{}", ran.stdout);
    }
}

#[tokio::test]
async fn a_compiler_that_takes_too_long_is_killed() {
    let (answers, _) = compiled().await;
    let options = ["--trust-compiled", "--compile-timeout", "1ms"];
    let swap_host = SwapHost::start(&answers, &options).await;
    swap_host.check_refused(&orders(), &["longer than 1ms", "--compile-timeout"]).await;
}

#[tokio::test]
async fn a_compiler_that_takes_too_much_memory_is_stopped() {
    let (answers, _) = compiled().await;
    // The first is too little to read the component, the second to compile it.
    for (memory, expected) in [("16MiB", "16.0 MiB"), ("64MiB", "64.0 MiB")] {
        let options = ["--trust-compiled", "--compile-memory", memory];
        let swap_host = SwapHost::start(&answers, &options).await;
        swap_host.check_refused(&orders(), &["the compiler failed", "--compile-memory", expected]).await;
    }
    let swap_host = SwapHost::start(&answers, &["--trust-compiled"]).await;
    swap_host.swap(&orders()).await;
}
