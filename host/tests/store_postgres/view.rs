//! The analysts' view shows the orders of the service and does not allow writes.

use std::{fs, path::Path};

use http::Request;
use http_body_util::Full;
use serde_json::Value;

use crate::{
    harness::{ORDER, post},
    postgres,
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

    for write in ["DELETE FROM orders", "UPDATE orders SET notes = ''", "INSERT INTO orders DEFAULT VALUES"] {
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
