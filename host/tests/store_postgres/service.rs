//! The service on a database behind a faulty network, and what its clients must see.

use std::time::{Duration, Instant};

use http::Request;
use http_body_util::Full;

use crate::{
    harness::{ORDER, PATIENCE, TestHost, TestResponse, orders, post, within},
    postgres::Server,
    proxy::Proxy,
};

/// The request timeout of the hosts in these tests.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// Additional time that a client may wait on a busy machine.
const GRACE: Duration = Duration::from_secs(2);
/// Within this time, `/ready` must report the fault. Its check takes 0.8 s at most; the rest is for the machine.
const DETECTION_TIME: Duration = Duration::from_secs(1);

/// A service, the network to its server, and the name of its database.
pub struct Service {
    pub host: TestHost,
    pub proxy: Proxy,
    pub database: String,
}

impl Service {
    /// Starts a service on a new database of a server.
    pub async fn start(server: &Server) -> Self {
        Self::start_as(server, &server.database(), "postgres").await
    }

    /// Starts a service on this database, as this user.
    pub async fn start_as(server: &Server, database: &str, user: &str) -> Self {
        let proxy = Proxy::start(&server.socket()).await;
        let host = start_host(&proxy.url(database).replace("postgres@", &format!("{user}@"))).await;
        Self { host, proxy, database: database.to_owned() }
    }

    /// Checks that `/ready` reports within a second that no requests should be routed here, that requests fail with
    /// 503 within their deadline, and that the log says why.
    pub async fn must_be_down(&self, why: &str) {
        self.must_not_be_ready(why).await;
        for attempt in ["while the fault is being detected", "after it has been detected"] {
            must_be_unavailable(&self.create().await, attempt);
            must_be_unavailable(&self.get("/api/v1/orders").await, attempt);
        }
    }

    pub async fn must_not_be_ready(&self, why: &str) {
        // An answer is kept for half a second, so the first ones may be from before the fault.
        let asked = async {
            loop {
                let started = Instant::now();
                let ready = self.host.get("/ready").await;
                let took = started.elapsed();
                assert!(took < DETECTION_TIME, "/ready took {took:?}");
                if ready.status() != 200 {
                    return ready;
                }
            }
        };
        let ready = within("the fault to be detected", asked).await;
        let mut detail = ready.host_problem(503);
        let says = ["not ready: the store is unavailable: ", "not ready: the store has failed: "];
        assert!(says.iter().any(|says| detail.contains(says)), "{detail}");
        // The first probe may report a timeout; once the reason is known, later ones report it.
        let reported = async {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            while !detail.contains(why) {
                tick.tick().await;
                detail = self.host.get("/ready").await.host_problem(503);
            }
        };
        let reported = tokio::time::timeout(PATIENCE, reported).await;
        assert!(reported.is_ok(), "/ready does not report {why:?}: {:#?}", self.host.log().lines());
        let logged = |line: &serde_json::Value| {
            line["event"] == "service.not_ready"
                && line["error"].as_str().is_some_and(|error| error.contains(why))
        };
        self.host.log().wait_for(why, logged).await;
    }

    /// Waits until the service has recovered without help, and checks that it works.
    pub async fn must_recover(&self) {
        let started = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while self.host.get("/ready").await.status() != 200 {
            tick.tick().await;
            assert!(
                started.elapsed() < PATIENCE,
                "the service does not recover: {:#?}",
                self.host.log().lines()
            );
        }
        self.must_work().await;
    }

    pub async fn must_work(&self) {
        let created = self.create().await;
        assert_eq!(created.status(), 201, "{created:?}");
        let read = self.get(created.field("location")).await;
        assert_eq!(read.json(), created.json());
    }

    pub async fn create(&self) -> TestResponse {
        self.send_in_time(post("/api/v1/orders", ORDER)).await
    }

    /// Creates an order with an idempotency key, so that the request may be repeated.
    pub async fn create_once(&self, customer: &str, key: &str) -> TestResponse {
        let body = ORDER.replace("ada", customer);
        let mut request = post("/api/v1/orders", body);
        request.headers_mut().insert("idempotency-key", format!("\"{key}\"").parse().unwrap());
        self.send_in_time(request).await
    }

    /// The number of orders of the customer.
    pub async fn orders_of(&self, customer: &str) -> usize {
        let response = self.get(&format!("/api/v1/orders?customer={customer}")).await;
        assert_eq!(response.status(), 200, "{response:?}");
        response.json()["items"].as_array().unwrap().len()
    }

    pub async fn get(&self, path: &str) -> TestResponse {
        self.send_in_time(Request::get(path).body(Full::default()).unwrap()).await
    }

    /// Sends a request and checks that its response arrives before the deadline.
    async fn send_in_time(&self, request: Request<Full<bytes::Bytes>>) -> TestResponse {
        let started = Instant::now();
        let response = self.host.connect().await.send(request).await.expect("a response");
        let took = started.elapsed();
        assert!(took < REQUEST_TIMEOUT + GRACE, "{took:?}: {response:?}");
        response
    }
}

pub async fn start_host(url: &str) -> TestHost {
    let timeout = format!("{}s", REQUEST_TIMEOUT.as_secs());
    TestHost::start(&orders(), &["--store", url, "--request-timeout", &timeout, "--threads", "2"]).await
}

/// Checks for 503 with `Retry-After`.
pub fn must_be_unavailable(response: &TestResponse, when: &str) {
    assert_eq!(response.status(), 503, "{when}: {response:?}");
    assert_eq!(response.field("retry-after"), "1");
    assert_eq!(response.field("content-type"), "application/problem+json");
}

/// A session that holds a lock until it is released.
pub struct LockHolder(tokio_postgres::Client);

impl LockHolder {
    pub async fn acquire(server: &Server, database: &str, lock: &str) -> Self {
        let url = server.url(database);
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(&format!("BEGIN; {lock}")).await.unwrap();
        Self(client)
    }

    pub async fn release(self) {
        self.0.batch_execute("ROLLBACK").await.unwrap();
    }
}
