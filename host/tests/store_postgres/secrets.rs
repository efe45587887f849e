//! The password: its sources, its rotation, and the places where it must not appear.

use std::{fs, time::Duration};

use tokio::process::Command;

use crate::{
    harness::{TestHost, binary, orders, run, within},
    postgres::Server,
    proxy::Proxy,
};

/// Starts a server that requires passwords, and a proxy in front of it.
async fn guarded() -> (Server, Proxy) {
    let server = Server::start(&[]);
    server.admit("local all all scram-sha-256");
    server.sql("postgres", "CREATE ROLE keeper LOGIN PASSWORD 'first-secret'");
    server.sql("postgres", "CREATE DATABASE kept OWNER keeper");
    let proxy = Proxy::start(&server.socket()).await;
    (server, proxy)
}

fn url(proxy: &Proxy, password: &str) -> String {
    format!("postgres://keeper:{password}@{}/kept", proxy.address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_is_reloaded_from_the_file() {
    let (server, proxy) = guarded().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store");
    fs::write(&file, format!("{}\n", url(&proxy, "first-secret"))).unwrap();
    let host = TestHost::start_with(&orders(), &[], &[("ORDERS_STORE_FILE", file.to_str().unwrap())]).await;
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);

    // The password changes; open connections are not affected.
    server.sql("postgres", "ALTER ROLE keeper PASSWORD 'second-secret'");
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
    proxy.cut();
    host.log()
        .wait_for("the rejected login", |line| line["why"] == "the server rejected the user name or password")
        .await;
    let ready = host.ready(503).await;
    let detail = ready.host_problem(503);
    assert!(
        detail.contains("the store has failed: the server rejected the user name or password"),
        "{detail}"
    );

    // Invalid contents of the file are reported and do not end the service.
    for (text, expected) in
        [("", "does not hold a store"), ("sqlite:x", "now names a different kind of store")]
    {
        fs::write(&file, text).unwrap();
        let reported =
            |line: &serde_json::Value| line["why"].as_str().is_some_and(|why| why.contains(expected));
        host.log().wait_for(expected, reported).await;
    }
    fs::write(&file, url(&proxy, "second-secret")).unwrap();
    host.log().wait_for("the reconnection", |line| line["event"] == "store.reconnected").await;
    host.ready(200).await;
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
    for line in host.log().lines() {
        assert!(!line.to_string().contains("-secret"), "{line}");
        assert!(!line.to_string().contains("keeper"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_in_a_variable_is_shown_nowhere() {
    let (_server, proxy) = guarded().await;
    // The line break of a file that the variable was read from is no part of the name.
    let url = format!("{}\n", url(&proxy, "first-secret"));
    let host = TestHost::start_with(&orders(), &["--log", "trace"], &[("ORDERS_STORE", &url)]).await;
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
    proxy.cut();
    host.log().wait_for("the lost connection", |line| line["event"] == "store.connection_lost").await;
    for line in host.log().lines() {
        assert!(!line.to_string().contains("-secret"), "{line}");
    }
    // The source of what `ps` shows.
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path().join("cmdline"));
    let listed: String = processes.filter_map(|path| fs::read_to_string(path).ok()).collect();
    assert!(listed.contains("--component"), "{listed}");
    assert!(!listed.contains("first-secret"), "{listed}");
}

/// What the server says, which may name its parts, is for the log.
#[tokio::test(flavor = "multi_thread")]
async fn ready_names_no_part_of_the_store() {
    let (server, proxy) = guarded().await;
    let host = TestHost::start_with(&orders(), &[], &[("ORDERS_STORE", &url(&proxy, "first-secret"))]).await;
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
    // Each change comes with the change back, the public reason, and a part of the logged one.
    for (change, back, public, logged) in [
        (
            "ALTER DATABASE kept ALLOW_CONNECTIONS false",
            "ALTER DATABASE kept ALLOW_CONNECTIONS true",
            "the server reported an error",
            "\"kept\"",
        ),
        (
            "REVOKE CONNECT ON DATABASE kept FROM PUBLIC, keeper",
            "GRANT CONNECT ON DATABASE kept TO PUBLIC",
            "the user lacks a privilege",
            "\"kept\"",
        ),
        (
            "ALTER ROLE keeper NOLOGIN",
            "ALTER ROLE keeper LOGIN",
            "the server rejected the user name or password",
            "",
        ),
        (
            "ALTER ROLE keeper CONNECTION LIMIT 0",
            "ALTER ROLE keeper CONNECTION LIMIT -1",
            "the server has reached its connection limit",
            "",
        ),
    ] {
        server.sql("postgres", change);
        proxy.cut();
        let detail = within(public, detail_of_ready(&host, |detail| detail.contains(public))).await;
        // A place may become free; the rest needs somebody who acts.
        let state = if change.contains("LIMIT") { "is unavailable" } else { "has failed" };
        assert_eq!(detail, format!("The service is not ready: the store {state}: {public}."), "{change}");
        let reported = |line: &serde_json::Value| {
            line["event"] == "service.not_ready"
                && line["error"].as_str().is_some_and(|why| why.contains(public) && why.contains(logged))
        };
        host.log().wait_for(public, reported).await;
        server.sql("postgres", back);
        within("the recovery", async { while host.get("/ready").await.status() != 200 {} }).await;
    }
}

/// Asks until the reason is the expected one.
async fn detail_of_ready(host: &TestHost, is_expected: impl Fn(&str) -> bool) -> String {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    loop {
        tick.tick().await;
        let ready = host.get("/ready").await;
        if ready.status() != 200 {
            let detail = ready.host_problem(503);
            assert!(!["kept", "keeper", "127.0.0.1"].iter().any(|name| detail.contains(name)), "{detail}");
            if is_expected(&detail) {
                return detail;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_url_is_not_shown() {
    let component = orders();
    let component = component.to_str().unwrap();
    for bad in [
        "postgre://keeper:bad-secret@localhost/kept",
        "postgres:keeper:bad-secret@localhost/kept",
        "postgres://keeper:bad-secret@localhost:port/kept",
        "postgres://keeper:bad-secret@localhost/kept?sslmode=bad-secret",
        "postgres://keeper:bad-secret@127.0.0.1:1/kept",
    ] {
        let ran = run([
            "serve",
            "--component",
            component,
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "off",
            "--store-wait",
            "0s",
            "--store",
            bad,
        ])
        .await;
        assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{}", ran.stderr);
        assert!(!(ran.stdout + &ran.stderr).contains("bad-secret"), "{bad}");
    }
    let help = Command::new(binary())
        .env_clear()
        .env("ORDERS_STORE", "postgres://keeper:bad-secret@localhost/kept")
        .args(["serve", "--help"])
        .output();
    let help = within("the help", help).await.unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.contains("ORDERS_STORE") && !help.contains("bad-secret"), "{help}");
}
