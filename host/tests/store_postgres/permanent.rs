//! Errors that do not pass by themselves: clients are not asked to try again, and the service works as soon as somebody has
//! acted.

use crate::{postgres, service::Service};

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_has_to_mend_is_not_reported_as_temporary() {
    let server = postgres::shared();
    let database = server.database();
    let user = format!("{database}_user");
    server.sql("postgres", &format!("CREATE ROLE {user} LOGIN; ALTER DATABASE {database} OWNER TO {user}"));
    let service = Service::start_as(server, &database, &user).await;
    service.must_work().await;
    for (what, breaks, mends) in [
        (
            "a missing table",
            "ALTER TABLE orders_state.entries RENAME TO gone",
            "ALTER TABLE orders_state.gone RENAME TO entries",
        ),
        (
            "a revoked right",
            "REVOKE SELECT, INSERT ON orders_state.entries FROM MEMBER",
            "GRANT SELECT, INSERT ON orders_state.entries TO MEMBER",
        ),
        (
            "a missing procedure",
            "ALTER SCHEMA orders_state RENAME TO elsewhere",
            "ALTER SCHEMA elsewhere RENAME TO orders_state",
        ),
    ] {
        server.sql(&database, &breaks.replace("MEMBER", &user));
        must_have_failed(&service, what).await;
        server.sql(&database, &mends.replace("MEMBER", &user));
        service.must_recover().await;
    }
}

async fn must_have_failed(service: &Service, what: &str) {
    for response in [service.create().await, service.get("/api/v1/orders").await] {
        let detail = response.host_problem(503);
        assert!(detail.contains("until an operator has acted"), "{what}: {detail}");
    }
    let ready = service.host.ready(503).await.host_problem(503);
    assert!(ready.contains("the store has failed"), "{what}: {ready}");
    service.host.log().wait_for(what, |line| line["event"] == "store.failed").await;
}
