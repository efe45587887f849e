//! The access log and the request id.

use http::Request;
use http_body_util::Full;

use crate::harness::{TestHost, post};

#[tokio::test]
async fn every_request_writes_one_access_line() {
    let host = TestHost::orders(&[]).await;
    let serving = host.log().wait_for("the start", |line| line["message"] == "serving").await;
    let created = host.connect().await.create().await.unwrap();
    let id = created.field("x-request-id");
    let access = host.log().access(id).await;
    assert_eq!(access["method"], "POST");
    assert_eq!(access["path"], "/api/v1/orders");
    assert_eq!(access["status"], 201);
    assert_eq!(access["bytes"], created.body.len());
    assert_eq!(access["end"], "whole");
    assert!(access["duration_us"].as_u64().unwrap() > 0);
    assert!(serving["module"].as_str().unwrap().starts_with(access["module"].as_str().unwrap()));

    let missing = host.get("/nowhere?secret=1").await;
    let access = host.log().access(missing.field("x-request-id")).await;
    assert_eq!((&access["path"], &access["status"]), (&"/nowhere".into(), &404.into()));
    let lines = host.log().lines();
    assert_eq!(lines.iter().filter(|line| line["request_id"] == id).count(), 1, "{lines:#?}");
    assert!(!format!("{lines:?}").contains("secret"), "a query may hold what a log must not");
}

#[tokio::test]
async fn health_is_logged_only_on_demand() {
    let quiet = TestHost::orders(&[]).await;
    let verbose = TestHost::orders(&["--log", "info,access=debug"]).await;
    for host in [&quiet, &verbose] {
        host.get("/health").await;
        host.get("/api/v1/orders").await;
        host.log().wait_for("the list", |line| line["path"] == "/api/v1/orders").await;
    }
    let logged = |host: &TestHost| host.log().lines().iter().any(|line| line["path"] == "/health");
    assert_eq!((logged(&quiet), logged(&verbose)), (false, true));
}

#[tokio::test]
async fn a_good_request_id_is_kept_and_a_bad_one_replaced() {
    let host = TestHost::orders(&[]).await;
    let longest = "~".repeat(128);
    for given in ["a", "0/8-fifteen=nine", &longest] {
        let request = Request::get("/api/v1/orders").header("x-request-id", given);
        let answer = host.connect().await.send(request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(answer.field("x-request-id"), given);
        host.log().access(given).await;
    }
    for bad in ["", "two words", &"x".repeat(129)] {
        let mut request = post("/api/v1/orders", "{");
        request.headers_mut().insert("x-request-id", bad.parse().unwrap());
        let answer = host.connect().await.send(request).await.unwrap();
        assert_eq!(answer.status(), 400);
        let id = answer.field("x-request-id");
        assert!(uuid::Uuid::parse_str(id).is_ok(), "{id} for {bad}");
        host.log().access(id).await;
    }
}
