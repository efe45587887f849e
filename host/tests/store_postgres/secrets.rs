//! The password: where it may come from, how it is changed, and where it must not be seen.

use std::fs;

use tokio::process::Command;

use crate::{
    harness::{TestHost, binary, orders, run, within},
    postgres::Server,
    proxy::Proxy,
};

/// A server that asks for passwords, and a proxy in front of it.
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
async fn a_changed_password_is_read_from_the_file() {
    let (server, proxy) = guarded().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store");
    fs::write(&file, format!("{}\n", url(&proxy, "first-secret"))).unwrap();
    let host = TestHost::start_with(&orders(), &[], &[("ORDERS_STORE_FILE", file.to_str().unwrap())]).await;
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);

    // The password changes; the connections that there are do not notice.
    server.sql("postgres", "ALTER ROLE keeper PASSWORD 'second-secret'");
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
    proxy.cut();
    host.log()
        .wait_for("the refusal", |line| line["why"] == "the server refused the user or the password")
        .await;
    let ready = host.get("/ready").await;
    let said = ready.host_problem(503);
    assert!(said.contains("the store is unavailable: the server refused the user or the password"), "{said}");

    // What the file holds meanwhile is of no use: each is reported, and none ends the service.
    for (text, says) in [("", "does not hold a store"), ("sqlite:x", "names another kind of store")] {
        fs::write(&file, text).unwrap();
        let told = |line: &serde_json::Value| line["why"].as_str().is_some_and(|why| why.contains(says));
        host.log().wait_for(says, told).await;
    }
    fs::write(&file, url(&proxy, "second-secret")).unwrap();
    host.log().wait_for("the way back", |line| line["message"] == "the store can be reached again").await;
    assert_eq!(host.get("/ready").await.status(), 200);
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
    for line in host.log().lines() {
        assert!(!line.to_string().contains("-secret"), "{line}");
        assert!(!line.to_string().contains("keeper"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_in_a_variable_is_seen_nowhere() {
    let (_server, proxy) = guarded().await;
    let url = url(&proxy, "first-secret");
    let host = TestHost::start_with(&orders(), &["--log", "trace"], &[("ORDERS_STORE", &url)]).await;
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
    proxy.cut();
    host.log().wait_for("the cut", |line| line["message"] == "a connection to the store has ended").await;
    for line in host.log().lines() {
        assert!(!line.to_string().contains("-secret"), "{line}");
    }
    // What `ps` reads.
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path().join("cmdline"));
    let listed: String = processes.filter_map(|path| fs::read_to_string(path).ok()).collect();
    assert!(listed.contains("--component"), "{listed}");
    assert!(!listed.contains("first-secret"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_not_shown() {
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
            "127.0.0.1:0",
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
