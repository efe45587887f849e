//! The service on a database behind a network that can be broken, and what its clients must see.

use std::time::{Duration, Instant};

use http::Request;
use http_body_util::Full;

use crate::{
    harness::{ORDER, PATIENCE, TestHost, TestResponse, orders, post},
    postgres::Server,
    proxy::Proxy,
};

/// How long a request may take, as the hosts of these tests are told.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// What a client may wait beyond that, on a busy machine.
const GRACE: Duration = Duration::from_secs(2);
/// Within this time whoever asks `/ready` must know. Answers take 0.8 s at most; the rest is the machine's.
const NOTICED: Duration = Duration::from_secs(1);

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

    /// Whoever asks `/ready` learns within a second that requests should not come here; requests fail with 503 inside
    /// their deadline. The log says why.
    pub async fn must_be_down(&self, why: &str) {
        self.must_not_be_ready(why).await;
        for attempt in ["while it is being found out", "when it is known"] {
            must_be_unavailable(&self.create().await, attempt);
            must_be_unavailable(&self.get("/api/v1/orders").await, attempt);
        }
    }

    pub async fn must_not_be_ready(&self, why: &str) {
        let asked = Instant::now();
        let ready = self.host.get("/ready").await;
        let took = asked.elapsed();
        assert!(took < NOTICED, "/ready took {took:?}");
        let mut said = ready.host_problem(503);
        assert!(said.contains("not ready: the store is unavailable: "), "{said}");
        // The first probe may say that there was no answer; once it is known why, the next ones do.
        let told = async {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            while !said.contains(why) {
                tick.tick().await;
                said = self.host.get("/ready").await.host_problem(503);
            }
        };
        let told = tokio::time::timeout(PATIENCE, told).await;
        assert!(told.is_ok(), "/ready does not say {why:?}: {:#?}", self.host.log().lines());
        let said = |line: &serde_json::Value| {
            line["event"] == "service.not_ready"
                && line["error"].as_str().is_some_and(|error| error.contains(why))
        };
        self.host.log().wait_for(why, said).await;
    }

    /// Sooner or later it serves again, by itself; and then it does all that it did.
    pub async fn must_come_back(&self) {
        let asked = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while self.host.get("/ready").await.status() != 200 {
            tick.tick().await;
            assert!(asked.elapsed() < PATIENCE, "it does not come back: {:#?}", self.host.log().lines());
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
        self.timely(post("/api/v1/orders", ORDER)).await
    }

    /// A create that may be repeated: the key says that it is the same one.
    pub async fn create_once(&self, customer: &str, key: &str) -> TestResponse {
        let body = ORDER.replace("ada", customer);
        let mut request = post("/api/v1/orders", body);
        request.headers_mut().insert("idempotency-key", format!("\"{key}\"").parse().unwrap());
        self.timely(request).await
    }

    /// How many orders the customer has.
    pub async fn orders_of(&self, customer: &str) -> usize {
        let answer = self.get(&format!("/api/v1/orders?customer={customer}")).await;
        assert_eq!(answer.status(), 200, "{answer:?}");
        answer.json()["items"].as_array().unwrap().len()
    }

    pub async fn get(&self, path: &str) -> TestResponse {
        self.timely(Request::get(path).body(Full::default()).unwrap()).await
    }

    /// Whatever happens, there is an answer inside the deadline.
    async fn timely(&self, request: Request<Full<bytes::Bytes>>) -> TestResponse {
        let asked = Instant::now();
        let answer = self.host.connect().await.send(request).await.expect("an answer");
        let took = asked.elapsed();
        assert!(took < REQUEST_TIMEOUT + GRACE, "{took:?}: {answer:?}");
        answer
    }
}

pub async fn start_host(url: &str) -> TestHost {
    let timeout = format!("{}s", REQUEST_TIMEOUT.as_secs());
    TestHost::start(&orders(), &["--store", url, "--request-timeout", &timeout, "--threads", "2"]).await
}

/// 503, with the word when to try again.
pub fn must_be_unavailable(answer: &TestResponse, when: &str) {
    assert_eq!(answer.status(), 503, "{when}: {answer:?}");
    assert_eq!(answer.field("retry-after"), "1");
    assert_eq!(answer.field("content-type"), "application/problem+json");
}
