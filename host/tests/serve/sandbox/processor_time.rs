//! Processor time: it is limited, waiting is free, and long computations do not hold up other requests.

use http::Request;
use http_body_util::{BodyExt, Full};

use crate::{
    harness::{TestHost, TestResponse, within},
    sandbox::guest_failures::{check_cause, check_healthy},
};

/// Options with which nothing but the limit of processor time ends a request.
const LONG: [&str; 2] = ["--request-timeout", "10m"];

/// Checks that a request was ended for the processor time that it used.
async fn check_out_of_cpu(host: &TestHost, response: &TestResponse) {
    assert_eq!(response.host_problem(504), "The request handler exceeded its limit of processor time.");
    check_cause(host, response.field("x-request-id"), "processor time").await;
}

#[tokio::test]
async fn an_endless_computation_yields_504_long_before_the_deadline() {
    let host = TestHost::fixture("spins", &[&LONG[..], &["--max-cpu", "100ms"]].concat()).await;
    // There are more of them than processors.
    let mut spinning = Vec::new();
    for _ in 0..8 {
        let mut client = host.connect().await;
        spinning.push(tokio::spawn(async move { client.get("/some/path").await }));
    }
    for response in spinning {
        let response = within("a spinning request to end", response).await.unwrap();
        check_out_of_cpu(&host, &response).await;
    }
    let overview = host.operator().await.get("/v1/modules").await.json();
    let done = &overview["serving"]["done"];
    assert_eq!((&done["requests"], &done["failures"]), (&8.into(), &8.into()), "{done}");
    check_healthy(&host).await;
}

#[tokio::test]
async fn the_limit_holds_for_a_start_function() {
    let host = TestHost::fixture("starts_slowly", &[&LONG[..], &["--max-cpu", "50ms"]].concat()).await;
    let response = host.get("/").await;
    check_out_of_cpu(&host, &response).await;
}

#[tokio::test]
async fn waiting_uses_no_processor_time() {
    // It waits for 250 ms.
    let host = TestHost::fixture("dawdles", &["--max-cpu", "100ms"]).await;
    assert_eq!(host.get("/").await.status(), 200);
}

#[tokio::test]
async fn a_computation_within_the_limit_is_answered() {
    let host = TestHost::fixture("computes", &["--max-cpu", "10m", "--request-timeout", "10m"]).await;
    let mut client = host.connect().await;
    for path in ["/100", "/", "/50"] {
        let response = client.get(path).await;
        assert_eq!((response.status(), &response.body[..]), (200, &b"hello\n"[..]));
    }
}

/// The computations are long: if each request had to wait until every computation has had its turn, they would be over before
/// the requests are.
#[tokio::test]
async fn long_computations_do_not_hold_up_other_requests() {
    const COMPUTATIONS: usize = 8;
    const REQUESTS: usize = 300;
    let options = [&LONG[..], &["--max-cpu", "10m", "--threads", "1"]].concat();
    let host = TestHost::fixture("computes", &options).await;
    let mut computing = Vec::new();
    for _ in 0..COMPUTATIONS {
        let mut client = host.connect().await;
        computing.push(tokio::spawn(async move { client.get("/250").await }));
    }
    host.log()
        .wait_for_count("all of them to compute", COMPUTATIONS, |line| line["message"] == "computing")
        .await;
    let mut client = host.connect().await;
    for _ in 0..REQUESTS {
        assert_eq!(client.get("/").await.status(), 200);
    }
    let ended = computing.iter().filter(|computation| computation.is_finished()).count();
    assert!(ended < COMPUTATIONS, "the requests have waited for {ended} computations");
    computing.iter().for_each(tokio::task::JoinHandle::abort);
}

/// A client that leaves ends its request, wherever that computes.
#[tokio::test]
async fn a_computation_ends_when_its_client_leaves() {
    let options = [&LONG[..], &["--max-cpu", "10m", "--max-concurrent", "1"]].concat();
    let host = TestHost::fixture("computes", &options).await;
    let mut client = host.connect().await;
    let request = Request::get("/forever").body(Full::default()).unwrap();
    let computation =
        tokio::spawn(async move { client.head(request).await.unwrap().into_body().collect().await });
    host.log().wait_for("it to compute", |line| line["message"] == "computing").await;
    assert_eq!(host.get("/").await.status(), 503);
    computation.abort();
    within("its permit to be released", async { while host.get("/").await.status() != 200 {} }).await;
}
