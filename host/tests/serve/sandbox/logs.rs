//! The access log, the request id, and the output of components.

use http::Request;
use http_body_util::Full;
use serde_json::Value;

use crate::harness::{TestHost, post};

#[tokio::test]
async fn every_request_writes_one_access_log_line() {
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
    assert!(!format!("{lines:?}").contains("secret"), "a query may contain secrets and must not be logged");
}

#[tokio::test]
async fn a_failure_is_logged_with_its_module_and_path() {
    for (fixture, status) in [("never_answers", 502), ("traps", 500)] {
        let host = TestHost::fixture(fixture, &[]).await;
        let response = host.get("/some/path?secret=1").await;
        assert_eq!(response.status(), status);
        let id = response.field("x-request-id");
        let failed = |line: &Value| line["event"] == "request.handler_failed" && line["request_id"] == id;
        let failure = host.log().wait_for("the failure", failed).await;
        let access = host.log().access(id).await;
        assert_eq!((&failure["module"], &failure["path"]), (&access["module"], &"/some/path".into()));
        assert!(failure["module"].as_str().is_some_and(|module| module.len() == 12), "{failure}");
    }
}

#[tokio::test]
async fn health_checks_are_logged_only_at_debug_level() {
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
async fn a_valid_request_id_is_kept_and_an_invalid_one_replaced() {
    let host = TestHost::orders(&[]).await;
    let longest = "~".repeat(128);
    for given in ["a", "0/8-fifteen=nine", &longest] {
        let request = Request::get("/api/v1/orders").header("x-request-id", given);
        let response = host.connect().await.send(request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(response.field("x-request-id"), given);
        host.log().access(given).await;
    }
    for bad in ["", "two words", &"x".repeat(129)] {
        let mut request = post("/api/v1/orders", "{");
        request.headers_mut().insert("x-request-id", bad.parse().unwrap());
        let response = host.connect().await.send(request).await.unwrap();
        assert_eq!(response.status(), 400);
        let id = response.field("x-request-id");
        assert!(uuid::Uuid::parse_str(id).is_ok(), "{id} for {bad}");
        host.log().access(id).await;
    }
}

#[tokio::test]
async fn component_output_is_logged_with_the_request_id() {
    let host = TestHost::fixture("prints", &[]).await;
    let mut client = host.connect().await;
    let request = Request::get("/").header("x-request-id", "printing").body(Full::default()).unwrap();
    client.send(request).await.unwrap();
    host.log().access("printing").await;
    let printed: Vec<_> = host
        .log()
        .lines()
        .into_iter()
        .filter(|line| line["target"] == "guest" && line["request_id"] == "printing")
        .map(|line| {
            (line["level"].as_str().unwrap().to_owned(), line["message"].as_str().unwrap().to_owned())
        })
        .collect();
    let expected = [("INFO", "first line"), ("INFO", "second line"), ("WARN", "no newline")];
    assert_eq!(printed, expected.map(|(level, line)| (level.to_owned(), line.to_owned())));
}

#[tokio::test]
async fn a_component_cannot_flood_the_log() {
    let host = TestHost::fixture("floods_log", &[]).await;
    let response = host.get("/").await;
    assert_eq!(response.status(), 200);
    host.log().access(response.field("x-request-id")).await;
    let lines: Vec<_> = host.log().lines().into_iter().filter(|line| line["target"] == "guest").collect();
    let bytes: usize = lines.iter().map(|line| line["message"].as_str().unwrap().len()).sum();
    assert!(bytes < 64 * 1024 && lines.len() < 300, "{bytes} bytes in {} lines are logged", lines.len());
    let last = lines.last().unwrap()["message"].as_str().unwrap();
    assert!(last.contains("output limit of a request exceeded"), "{last}");
}
