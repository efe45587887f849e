//! Synchronous replication: what the server has not sent to its standby is never acknowledged.
//!
//! PostgreSQL cannot undo a commit that waits for a standby. If the wait is cancelled, it warns, and reports success.

use std::time::Duration;

use tokio_postgres::NoTls;

use crate::{
    harness::{ORDER, PATIENCE, TestHost, orders, post, within},
    postgres::{self, Server},
    service::{Service, must_be_unavailable},
};

/// Counts the sessions that wait for a standby.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

/// Makes commits wait for a standby that does not exist. Returns once they do.
async fn lose_standby(server: &Server) {
    server.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    server.sql("postgres", "SELECT pg_reload_conf()");
    let waits = async {
        for number in 0.. {
            let url = server.url("postgres");
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
            tokio::spawn(connection);
            let probe = tokio::spawn(async move {
                let _ = client.batch_execute(&format!("CREATE TABLE probe_{number} ()")).await;
            });
            while !probe.is_finished() {
                if server.sql("postgres", WAITING) == "1" {
                    cancel_wait(server);
                    return probe.await.unwrap();
                }
                tokio::task::yield_now().await;
            }
        }
    };
    within("commits that wait for a standby", waits).await;
}

/// Cancels the statement of each session that waits for a standby, as an administrator may.
fn cancel_wait(server: &Server) {
    server
        .sql("postgres", "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
}

fn regain_standby(server: &Server) {
    server.sql("postgres", "ALTER SYSTEM RESET synchronous_standby_names");
    server.sql("postgres", "SELECT pg_reload_conf()");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_no_standby_has_is_not_acknowledged() {
    let server = Server::start(&[]);
    let service = Service::start(&server).await;
    service.must_work().await;
    lose_standby(&server).await;

    must_be_unavailable(&service.create_once("alone", "key").await, "no standby has it");
    assert_eq!(service.host.get("/ready").await.status(), 503);
    // The first attempt still waits, and a second one with its key must not take it for done.
    must_be_unavailable(&service.create_once("alone", "key").await, "still no standby has it");
    must_be_unavailable(&service.create().await, "no standby has any other");
    assert_eq!(service.orders_of("alone").await, 0, "it is not visible before a standby has it");

    regain_standby(&server);
    service.must_recover().await;
    let created = service.create_once("alone", "key").await;
    assert_eq!(created.status(), 201, "{created:?}");
    assert_eq!(service.orders_of("alone").await, 1);
}

/// The server then reports success, and warns. It must send its warnings, whatever the defaults of the database are.
#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_wait_was_cancelled_is_not_acknowledged() {
    let server = Server::start(&[]);
    let database = server.database();
    server.sql("postgres", &format!("ALTER DATABASE {database} SET client_min_messages = error"));
    // A commit has 5 s, in which the wait must be found and cancelled.
    let host =
        TestHost::start(&orders(), &["--store", &server.url(&database), "--request-timeout", "30s"]).await;
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
    lose_standby(&server).await;

    let mut client = host.connect().await;
    let create = tokio::spawn(async move { client.send(post("/api/v1/orders", ORDER)).await.unwrap() });
    within("the commit to wait for a standby", async {
        while server.sql("postgres", WAITING) == "0" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    cancel_wait(&server);
    must_be_unavailable(&create.await.unwrap(), "the wait was cancelled");
    let warning = host.log().wait_for("the warning", |line| line["event"] == "store.server_warning").await;
    assert_eq!(warning["routine"], "SyncRepWaitForLSN");

    regain_standby(&server);
    let recovered = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while host.get("/ready").await.status() != 200 {
            tick.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, recovered).await.expect("the service recovers");
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
}

/// It says something about the trigger, and nothing about the commit.
#[tokio::test(flavor = "multi_thread")]
async fn a_create_is_acknowledged_although_a_trigger_warns() {
    let server = postgres::shared();
    let service = Service::start(server).await;
    server.sql(
        &service.database,
        "CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE WARNING 'an order'; RETURN NULL; END $$;
        CREATE TRIGGER warn AFTER INSERT ON orders_state.entries EXECUTE FUNCTION warn()",
    );
    service.must_work().await;
    let warning = |line: &serde_json::Value| line["event"] == "store.server_warning";
    let line = service.host.log().wait_for("the warning", warning).await;
    assert_eq!(line["routine"], "exec_stmt_raise");
}
