//! The access log, the request id, and the output of components.

use http::Request;
use http_body_util::Full;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::harness::{TestHost, post, read_to_end};

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
    let duration = access["duration_ms"].as_f64().unwrap();
    assert!(
        duration > 0.0 && access["duration_ms"].to_string().split_once('.').unwrap().1.len() <= 3,
        "{access}"
    );
    assert_eq!((&access["client"], &access["user_agent"]), (&"127.0.0.1".into(), &Value::Null));
    assert!(serving["module"].as_str().unwrap().starts_with(access["module"].as_str().unwrap()));

    let missing = host.get("/nowhere?secret=1").await;
    let access = host.log().access(missing.field("x-request-id")).await;
    assert_eq!((&access["path"], &access["status"]), (&"/nowhere".into(), &404.into()));
    let lines = host.log().lines();
    assert_eq!(lines.iter().filter(|line| line["request_id"] == id).count(), 1, "{lines:#?}");
    assert!(!format!("{lines:?}").contains("secret"), "a query may contain secrets and must not be logged");
}

#[tokio::test]
async fn the_access_log_has_what_identifies_a_client_and_its_trace() {
    let host = TestHost::orders(&[]).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let amazon = "Root=1-67891233-abcdef012345678912345678";
    let request = Request::get("/api/v1/orders")
        .header("x-request-id", "traced")
        .header("user-agent", format!("curl/8 \u{202e}{}", "x".repeat(300)))
        .header("traceparent", trace)
        .header("x-amzn-trace-id", amazon);
    host.connect().await.send(request.body(Full::default()).unwrap()).await.unwrap();
    let access = host.log().access("traced").await;
    let agent = access["user_agent"].as_str().unwrap();
    assert!(agent.starts_with("curl/8 \u{202e}x") && agent.ends_with("x…") && agent.len() < 260, "{agent}");
    assert_eq!((&access["traceparent"], &access["amzn_trace_id"]), (&trace.into(), &amazon.into()));
}

#[tokio::test]
async fn the_access_log_can_be_limited_to_errors_and_switched_off() {
    for (option, expected) in [("all", vec![200, 404, 400]), ("errors", vec![404, 400]), ("off", vec![])] {
        let mut host = TestHost::orders(&["--access-log", option]).await;
        assert_eq!(host.get("/api/v1/orders").await.status(), 200);
        assert_eq!(host.get("/nowhere").await.status(), 404);
        let mut socket = host.raw().await;
        socket.write_all(b"nonsense\r\n\r\n").await.unwrap();
        assert!(read_to_end(&mut socket).await.starts_with("HTTP/1.1 400 "));
        host.signal(rustix::process::Signal::TERM);
        host.exit().await;
        host.log().wait_for("the end", |line| line["event"] == "service.stopped").await;
        let lines = host.log().lines();
        let logged: Vec<_> =
            lines.iter().filter(|line| line["target"] == "access").map(|line| &line["status"]).collect();
        assert_eq!(logged, expected, "{option}");
    }
}

/// A response that breaks off is an error, whatever its status is.
#[tokio::test]
async fn a_response_that_breaks_off_is_logged_as_an_error() {
    let host = TestHost::fixture("fails_after_head", &["--access-log", "errors"]).await;
    let request = Request::get("/").body(Full::default()).unwrap();
    assert!(host.connect().await.send(request).await.is_err());
    let line = host.log().wait_for("the record", |line| line["target"] == "access").await;
    assert_eq!((&line["status"], &line["end"]), (&200.into(), &"cut".into()));
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
    let stdout = ["first line", "second line", "third line", "50 %\r100 %\0"];
    let expected = stdout.map(|line| ("INFO", line)).into_iter().chain([("WARN", "no newline")]);
    let expected: Vec<_> = expected.map(|(level, line)| (level.to_owned(), line.to_owned())).collect();
    assert_eq!(printed, expected);
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
