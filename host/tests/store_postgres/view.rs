//! The analysts' view shows the orders of the service, whatever else is stored, and does not allow writes.

use std::{fs, path::Path};

use http::Request;
use http_body_util::Full;
use serde_json::Value;

use crate::{
    harness::{ORDER, post},
    postgres::{self, Server},
    service::Service,
};

fn script() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/sql/orders-view.sql");
    fs::read_to_string(path).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_view_shows_the_orders_and_is_read_only() {
    let server = postgres::shared();
    let service = Service::start(server).await;
    let database = &service.database;
    server.sql(database, &script());
    assert_eq!(server.sql(database, "SELECT count(*) FROM orders"), "0");
    let mut client = service.host.connect().await;
    let body =
        ORDER.replace("ada", "Zoë ❤").replace(r#""items""#, r#""notes":"a 'quoted' \"note\"","items""#);
    let created = client.send(post("/api/v1/orders", body)).await.unwrap();
    assert_eq!(created.status(), 201, "{created:?}");
    client.create().await.unwrap();
    let shipped = format!("{}/confirm", created.field("location"));
    let confirmed = client.send(Request::post(shipped).body(Full::default()).unwrap()).await.unwrap();
    // Creates the view again, over a table that is in use.
    server.sql(database, &script());

    let order = client.get(created.field("location")).await.json();
    assert_eq!(confirmed.status(), 200, "{confirmed:?}");
    let row = server.sql(
        database,
        "SELECT to_jsonb(orders) FROM orders WHERE customer = 'Zoë ❤' AND created_at <= now() AND total > 0",
    );
    let row: Value = serde_json::from_str(&row).unwrap();
    for column in ["id", "status", "version", "customer", "currency", "total", "notes"] {
        assert_eq!(row[column], order[column], "{column}");
    }
    assert_eq!(row["items"], 1);
    assert_eq!(row["document"]["items"], order["items"]);
    let moments = server.sql(
        database,
        "SELECT to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') FROM orders \
         WHERE customer = 'Zoë ❤'",
    );
    assert_eq!(moments, order["updated_at"].as_str().unwrap());
    assert_eq!(server.sql(database, "SELECT count(*) FROM orders"), "2");

    for write in [
        "DELETE FROM orders",
        "UPDATE orders SET notes = ''",
        "INSERT INTO orders DEFAULT VALUES",
        "DELETE FROM orders_unreadable",
    ] {
        let why = server.try_sql(database, write).unwrap_err();
        assert!(why.contains("cannot"), "{write}: {why}");
    }
    // A role that may read the view can read nothing else.
    let analyst = format!("analyst_of_{database}");
    server.sql(database, &format!("CREATE ROLE {analyst}; GRANT SELECT ON orders TO {analyst}"));
    let count = |relation: &str| {
        server.try_sql(database, &format!("SET ROLE {analyst}; SELECT count(*) FROM {relation}"))
    };
    assert_eq!(count("orders"), Ok("2".to_owned()));
    assert!(count("orders_state.entries").unwrap_err().contains("permission denied"));
}

/// Adds a record under `o/`; the key and the value are SQL expressions.
fn put(server: &Server, database: &str, key: &str, value: &str) {
    let columns = "orders_state.entries (key, value, revision)";
    server.sql(database, &format!("INSERT INTO {columns} VALUES ('o/'::bytea || {key}, {value}, 1)"));
}

/// The id of a record that a test writes.
fn id(number: usize) -> String {
    format!("01890000-0000-7000-8000-{number:012}")
}

/// Adds a record under the key of an order. `ID` in it stands for the id.
fn put_order(server: &Server, database: &str, number: usize, json: &str) {
    let id = id(number);
    let value = format!("convert_to($json${}$json$, 'UTF8')", json.replace("ID", &id));
    put(server, database, &format!("'{id}'"), &value);
}

/// Values that are not orders.
const HOSTILE: [&str; 14] = [
    "",
    "{\"id\":",
    "[]",
    "\"ID\"",
    "{}",
    "null",
    r#"{"id":"00000000-0000-7000-8000-000000000000","status":"pending","version":1}"#,
    r#"{"status":"pending","version":1}"#,
    r#"{"id":"ID","version":1}"#,
    r#"{"id":"ID","status":1,"version":1}"#,
    r#"{"id":"ID","status":"pending"}"#,
    r#"{"id":"ID","status":"pending","version":"1"}"#,
    r#"{"id":"ID","status":"pending","version":1e400}"#,
    r#"{"id":"ID","status":"pending","version":1,"notes":"\ud800"}"#,
];

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_not_an_order_is_listed_apart_from_the_orders() {
    let server = postgres::shared();
    let service = Service::start(server).await;
    let database = &service.database;
    server.sql(database, &script());
    service.host.connect().await.create().await.unwrap();
    for (number, value) in HOSTILE.iter().enumerate() {
        put_order(server, database, number, value);
    }
    for (key, value) in [
        ("'\\xff'::bytea", "'{}'"),
        ("''", "'{}'"),
        ("'x'", "'{\"id\":\"x\",\"status\":\"pending\",\"version\":1}'"),
        (&format!("'{}'", id(100)), "'\\xff'"),
        // Deeper than the server's stack allows.
        (&format!("'{}'", id(101)), "convert_to(repeat('[', 1000000), 'UTF8')"),
    ] {
        put(server, database, key, value);
    }
    assert_eq!(server.sql(database, "SELECT count(*), sum(total) > 0 FROM orders WHERE total >= 0"), "1|t");
    let unreadable = server.sql(database, "SELECT count(*), max(size) FROM orders_unreadable");
    assert_eq!(unreadable, format!("{}|1000000", HOSTILE.len() + 5));
    let keys =
        server.sql(database, "SELECT key FROM orders_unreadable ORDER BY key COLLATE \"C\" DESC LIMIT 2");
    assert_eq!(keys, "o/x\no/\\377");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_with_unexpected_members_is_shown() {
    let server = postgres::shared();
    let service = Service::start(server).await;
    let database = &service.database;
    // The view may have the columns of an earlier version.
    server.sql(
        database,
        "CREATE VIEW orders AS SELECT NULL::uuid AS id, NULL AS status, 0::bigint AS version, NULL AS customer, \
         NULL AS currency, 0::bigint AS total, 0 AS items, NULL AS notes, now() AS created_at, now() AS updated_at, \
         NULL::jsonb AS document",
    );
    server.sql(database, &script());
    for (number, json) in [
        r#"{"layout":2,"id":"ID","status":"returned","version":7,"priority":"express","tracking":"JD01","reason":"late"}"#,
        r#"{"id":"ID","status":"pending","version":1,"customer":"a\u0000b","notes":"\\u0000 \\\u0000\u0000"}"#,
        r#"{"id":"ID","status":"pending","version":1,"customer":{"name":"ada"},"total":"9","items":{},"notes":1}"#,
        r#"{"id":"ID","status":"pending","version":1,"total":1e99,"items":null,"created_at":"2026-02-30T00:00:00.000Z"}"#,
        r#"{"id":"ID","status":"pending","version":1,"created_at":"now","updated_at":"2026-11-22T12:49:44.452Z"}"#,
    ]
    .iter()
    .enumerate()
    {
        put_order(server, database, number, json);
    }
    let rows = server.sql(database, "SELECT to_jsonb(orders) FROM orders ORDER BY id");
    let rows: Vec<Value> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    let [newer, zero, types, values, times] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(newer["document"]["priority"], "express");
    assert_eq!(newer["document"].get("layout"), None);
    for (column, expected) in [("status", "returned"), ("tracking", "JD01"), ("reason", "late")] {
        assert_eq!(newer[column], expected);
    }
    assert_eq!(
        (&zero["customer"], &zero["notes"]),
        (&"a\u{fffd}b".into(), &"\\u0000 \\\u{fffd}\u{fffd}".into())
    );
    for (row, columns) in [
        (types, &["customer", "currency", "total", "items", "notes", "tracking"][..]),
        (values, &["total", "items", "created_at", "updated_at"]),
        (times, &["created_at"]),
    ] {
        for column in columns {
            assert_eq!(row[column], Value::Null, "{column} of {row}");
        }
    }
    assert_eq!(types["document"]["customer"]["name"], "ada");
    assert_eq!(
        server.sql(database, "SELECT updated_at = '2026-11-22 12:49:44.452Z' FROM orders OFFSET 4"),
        "t"
    );
    assert_eq!(server.sql(database, "SELECT count(*) FROM orders_unreadable"), "0");
}
