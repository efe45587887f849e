//! The creation of the schema, the required privileges, and what is rejected.

use std::sync::Arc;

use futures_util::future::join_all;
use orders_host::store::{self, Commit, Key, OpenError, Outcome, Revision, Store, Value, Write};

use crate::{
    harness::{orders, run},
    postgres::{self, Server},
};

async fn open(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    store::open(&url.parse().unwrap()).await
}

async fn put(store: &dyn Store, key: &str) -> Outcome {
    let key = Key::try_from(key.to_owned()).unwrap();
    let write = Write::Put(key, Value::try_from(vec![1]).unwrap());
    store.commit(Commit::new(vec![], vec![write]).unwrap()).await.unwrap()
}

/// Everything in a database except the system objects, to detect changes.
fn contents(server: &Server, database: &str) -> String {
    server.sql(
        database,
        "SELECT n.nspname, c.relname, c.oid, c.xmin FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace \
         WHERE nspname !~ '^pg_|information_schema' ORDER BY 1, 2",
    ) + &server.sql(database, "SELECT nspname, xmin FROM pg_namespace ORDER BY 1")
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_opens_create_one_store() {
    let server = postgres::shared();
    for _ in 0..3 {
        let url = server.url(&server.database());
        let stores = join_all((0..8).map(|_| open(&url))).await;
        for (expected, store) in (1..).zip(&stores) {
            let store = store.as_ref().unwrap();
            assert_eq!(put(&**store, &format!("k/{expected}")).await, Outcome::Committed(Revision(expected)));
        }
        for store in stores {
            store.unwrap().close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_an_existing_store_changes_nothing() {
    let server = postgres::shared();
    let database = server.database();
    open(&server.url(&database)).await.unwrap().close().await;
    let before = contents(server, &database);
    assert!(before.contains("entries"), "{before}");
    open(&server.url(&database)).await.unwrap().close().await;
    assert_eq!(contents(server, &database), before);
}

/// A newer program has migrated the database: this one uses it if the newer one allows that, and rejects it
/// otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_used_if_compatible_and_rejected_otherwise() {
    let server = postgres::shared();
    let database = server.database();
    let url = server.url(&database);
    open(&url).await.unwrap().close().await;
    server.sql(&database, "UPDATE orders_state.version SET version = 7");
    let store = open(&url).await.unwrap();
    assert_eq!(put(&*store, "k").await, Outcome::Committed(Revision(1)));
    store.close().await;
    server.sql(&database, "UPDATE orders_state.version SET usable_from = 5");
    let before = contents(server, &database);
    assert_rejected(&url, &["schema version 7", "supports version 5 or later", "supports version 1"]).await;
    server.sql(&database, "DELETE FROM orders_state.version");
    assert_rejected(&url, &["orders_state has no version"]).await;
    assert_eq!(contents(server, &database), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_creating_the_schema_needs_the_privilege_to_create() {
    let server = postgres::shared();
    let database = server.database();
    let user = format!("user_of_{database}");
    server.sql("postgres", &format!("CREATE ROLE {user} LOGIN"));
    let url = server.url(&database).replace("postgres@", &format!("{user}@"));
    let before = contents(server, &database);
    assert_rejected(&url, &["the user lacks a privilege", "permission denied for database"]).await;
    assert_eq!(contents(server, &database), before);
    // These privileges are enough for normal operation, once another user has created the schema.
    open(&server.url(&database)).await.unwrap().close().await;
    server.sql(
        &database,
        &format!(
            "GRANT USAGE ON SCHEMA orders_state TO {user}; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA orders_state TO {user}; \
             GRANT USAGE ON ALL SEQUENCES IN SCHEMA orders_state TO {user}"
        ),
    );
    let store = open(&url).await.unwrap();
    assert_eq!(put(&*store, "k").await, Outcome::Committed(Revision(1)));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_location_is_rejected_in_one_line() {
    let server = postgres::shared();
    assert_rejected(&server.url("no_such_database"), &["the database does not exist on the server"]).await;
    assert_rejected("postgres://postgres@%2Fno%2Fsuch/x", &["No such file"]).await;
    assert_rejected("postgres://postgres@/x", &["names no host"]).await;
    // The program prints one line and exits with code 2.
    let url = "postgres://ada:secret@127.0.0.1:1/x";
    let ran = run([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--component",
        orders().to_str().unwrap(),
        "--store-wait",
        "0s",
        "--store",
        url,
    ])
    .await;
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{}", ran.stderr);
    assert!(ran.stderr.contains("cannot open the store postgres://127.0.0.1:1/x: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("refused"), "{}", ran.stderr);
    assert!(!(ran.stderr + &ran.stdout).contains("secret"));
}

async fn assert_rejected(url: &str, expected: &[&str]) {
    let error = open(url).await.err().unwrap_or_else(|| panic!("{url} was opened")).to_string();
    assert!(error.starts_with("cannot open the store postgres://") && !error.contains('\n'), "{error}");
    for part in expected {
        assert!(error.contains(part), "no {part:?} in {error}");
    }
}
