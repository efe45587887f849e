//! The password: its sources, its rotation, and the places where it must not appear.

use std::fs;

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
    let ready = host.get("/ready").await;
    let detail = ready.host_problem(503);
    assert!(
        detail.contains("the store is unavailable: the server rejected the user name or password"),
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
    assert_eq!(host.get("/ready").await.status(), 200);
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
    for line in host.log().lines() {
        assert!(!line.to_string().contains("-secret"), "{line}");
        assert!(!line.to_string().contains("keeper"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_in_a_variable_is_shown_nowhere() {
    let (_server, proxy) = guarded().await;
    let url = url(&proxy, "first-secret");
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
