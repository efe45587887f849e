//! A start while the database is away: the service listens, waits, and says so.

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    harness::{Client, TestHost, fixture, orders, post, run},
    postgres::{self, Server},
    proxy::{Network, Proxy},
    service::LockHolder,
};

/// Launches a host whose server is behind a proxy.
async fn launch(proxy: &Proxy, database: &str) -> TestHost {
    TestHost::launch(&orders(), &["--store", &proxy.url(database)]).await
}

async fn waits(host: &TestHost) -> Value {
    host.log().wait_for("the wait", |line| line["event"] == "store.waiting").await
}

/// Checks that the service is alive and serves nothing.
async fn check_waits(host: &TestHost, client: &mut Client) {
    let line = waits(host).await;
    assert!(
        line["level"] == "WARN" && line["left"].as_str().is_some_and(|left| left.contains('m')),
        "{line}"
    );
    assert!(line["why"].as_str().is_some_and(|why| why.contains("cannot open the store")), "{line}");
    assert_eq!(client.get("/health").await.status(), 200);
    let detail = client.get("/ready").await.host_problem(503);
    assert!(detail.contains("it waits for its store"), "{detail}");
    for path in ["/", "/docs", "/api/v1/orders", "/openapi.json"] {
        let response = client.get(path).await;
        assert!(response.host_problem(503).contains("starting"), "{path}: {response:?}");
        assert_eq!(response.field("retry-after"), "1", "{path}");
    }
    let response = client.send(post("/api/v1/orders", "{}")).await.unwrap();
    assert_eq!((response.status(), response.field("retry-after")), (503, "1"));
    // The access log has no module for these.
    let id = response.field("x-request-id");
    assert_eq!(host.log().access(id).await.get("module"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_a_server_that_is_away() {
    let server = postgres::shared();
    for fault in [Network::Refusing, Network::Hanging] {
        let proxy = Proxy::start(&server.socket()).await;
        proxy.network(fault.clone());
        let mut host = launch(&proxy, &server.database()).await;
        let mut client = host.connect().await;
        check_waits(&host, &mut client).await;
        proxy.network(Network::Working);
        host.wait_until_serving().await;
        host.log().wait_for("the end of the wait", |line| line["event"] == "store.reached").await;
        // The connection from before the start is still good.
        assert_eq!(client.create().await.unwrap().status(), 201, "{fault:?}");
        host.ready(200).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_a_standby_to_be_promoted() {
    let mut primary = Server::start(&[]);
    let standby = primary.standby();
    primary.stop();
    let mut host = TestHost::launch(&orders(), &["--store", &standby.url("postgres")]).await;
    let line = waits(&host).await;
    assert!(line["why"].as_str().is_some_and(|why| why.contains("read-only")), "{line}");
    standby.sql("postgres", "SELECT pg_promote()");
    host.wait_until_serving().await;
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
}

/// Several copies start on a new database, and the first of them waits for a standby as it creates the schema. The server ends a wait
/// for the lock after nearly 30 s, which must not end the start.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_another_that_creates_the_schema() {
    let server = postgres::shared();
    let database = server.database();
    let lock = "SELECT pg_advisory_xact_lock(x'4F52445300000001'::bigint)";
    let holder = LockHolder::acquire(server, &database, lock).await;
    let mut host = TestHost::launch(&orders(), &["--store", &server.url(&database)]).await;
    let refused = |line: &Value| line["why"].as_str().is_some_and(|why| why.contains("holds a lock"));
    host.log().wait_for("the end of an attempt", refused).await;
    holder.release().await;
    host.wait_until_serving().await;
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
}

/// A file that names the store is read again before each attempt.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_waits_reads_its_store_file_again() {
    let server = postgres::shared();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store");
    fs::write(&file, "postgres://postgres@127.0.0.1:1/x").unwrap();
    let mut host =
        TestHost::launch_with(&orders(), &[], &[("ORDERS_STORE_FILE", file.to_str().unwrap())]).await;
    waits(&host).await;
    // A file that is being replaced does not end the wait.
    fs::write(&file, "").unwrap();
    let reported =
        |line: &Value| line["why"].as_str().is_some_and(|why| why.contains("does not hold a store"));
    host.log().wait_for("the report", reported).await;
    fs::write(&file, server.url(&server.database())).unwrap();
    host.wait_until_serving().await;
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_a_start_that_waits() {
    let proxy = Proxy::start(&postgres::shared().socket()).await;
    proxy.network(Network::Refusing);
    let mut host = launch(&proxy, "x").await;
    waits(&host).await;
    host.signal(Signal::TERM);
    assert_eq!(host.exit().await.code(), Some(0));
    host.log().wait_for("the line", |line| line["event"] == "service.start_aborted").await;
}

/// The exit code, and the only line on standard error, of a start that fails.
async fn failure(component: &str, store: &str, options: &[&str]) -> String {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "off", "--component", component];
    let ran = run(arguments.iter().chain(&["--store", store]).chain(options)).await;
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{}{}", ran.stdout, ran.stderr);
    assert!(!ran.stdout.contains("\"serving\""), "{}", ran.stdout);
    ran.stdout + &ran.stderr
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_after_its_time() {
    let component = orders().display().to_string();
    let store = "postgres://ada:secret@127.0.0.1:1/x";
    let output = failure(&component, store, &["--store-wait", "1s"]).await;
    assert!(output.contains("refused") && output.contains("waited for 1s (--store-wait)"), "{output}");
    assert!(output.contains("store.waiting") && !output.contains("secret"), "{output}");
    let output = failure(&component, store, &["--store-wait", "0s"]).await;
    assert!(output.contains("refused") && !output.contains("waiting"), "{output}");
}

/// The server accepts the schema and waits for a standby that is not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_ends_the_start_in_time() {
    let server = Server::start(&["synchronous_standby_names=nobody"]);
    let component = orders().display().to_string();
    let began = Instant::now();
    let output = failure(&component, &server.url("postgres"), &["--store-wait", "6s"]).await;
    assert!(
        output.contains("it has not responded yet; the start has waited for 6s (--store-wait)"),
        "{output}"
    );
    assert!(output.contains("store.waiting"), "{output}");
    // An attempt may take 30 s by itself.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

/// What only a person can correct ends the start at once, before the component is compiled.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_can_be_reached_and_not_used_ends_the_start_at_once() {
    let server = Server::start(&[]);
    server.admit("local all all scram-sha-256");
    server.sql("postgres", "CREATE ROLE keeper LOGIN PASSWORD 'secret'");
    let proxy = Proxy::start(&server.socket()).await;
    let as_keeper = |password: &str, database: &str| {
        proxy.url(database).replace("postgres@", &format!("keeper:{password}@"))
    };
    let component = orders().display().to_string();
    for (store, says) in [
        (as_keeper("wrong", "postgres"), "rejected the user name or password"),
        (proxy.url("nowhere"), "the database does not exist"),
        // An ordinary user may not create a schema in this database.
        (as_keeper("secret", "template1"), "may not create one: grant CREATE"),
        (format!("{}&sslmode=verify-full&sslrootcert=/no/such", proxy.url("postgres")), "sslrootcert"),
        (proxy.url("postgres").replace("sslmode=disable", "sslmode=require"), "TLS"),
    ] {
        let output = failure(&component, &store, &["--store-wait", "10m"]).await;
        assert!(output.contains(says), "no {says:?} in {output}");
        assert!(!output.contains("store.waiting") && !output.contains("module.compiled"), "{output}");
    }
}

/// The store is created only when the module has loaded.
#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_does_not_start_leaves_the_database_unchanged() {
    let server = postgres::shared();
    let database = server.database();
    let component = fixture("traps_at_start").display().to_string();
    let output = failure(&component, &server.url(&database), &[]).await;
    assert!(output.contains("it does not start"), "{output}");
    let schemas = server.sql(&database, "SELECT count(*) FROM pg_namespace WHERE nspname = 'orders_state'");
    assert_eq!(schemas, "0");
}
