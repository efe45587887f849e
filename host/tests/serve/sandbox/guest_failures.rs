//! Every way a component can fail: each has its own response and costs one request.

use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Client, TestHost, behaving, post, within};

/// Checks that the service works as before, whatever a request did to its instance.
pub async fn check_healthy(host: &TestHost) {
    assert_eq!(host.get("/health").await.status(), 200);
    assert_eq!(host.get("/ready").await.status(), 200);
}

/// Checks that the log names the cause of the failure of `request_id` once.
pub async fn check_cause(host: &TestHost, request_id: &str, cause: &str) {
    host.log().access(request_id).await;
    let errors: Vec<_> = host
        .log()
        .lines()
        .into_iter()
        .filter(|line| line["request_id"] == request_id && line["level"] == "ERROR")
        .collect();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(errors[0]["failure"].as_str().unwrap().contains(cause), "{errors:#?}");
}

#[tokio::test]
async fn a_working_component_responds() {
    let host = TestHost::fixture("answers", &[]).await;
    let response = host.get("/anything").await;
    assert_eq!((response.status(), &response.body[..]), (200, &b"hello\n"[..]));
}

#[tokio::test]
async fn a_trap_yields_500_and_costs_one_request() {
    let host = TestHost::fixture("traps", &[]).await;
    let mut client = host.connect().await;
    for _ in 0..3 {
        let response = client.get("/").await;
        assert_eq!(response.host_problem(500), "The request handler failed.");
        check_cause(&host, response.field("x-request-id"), "unreachable").await;
    }
    check_healthy(&host).await;
}

#[tokio::test]
async fn an_endless_computation_yields_504_and_blocks_no_other_request() {
    let host = TestHost::fixture("spins", &["--request-timeout", "3s"]).await;
    // There are more of them than processors; other requests still get their turn.
    let mut spinning = Vec::new();
    for _ in 0..8 {
        let mut client = host.connect().await;
        spinning.push(tokio::spawn(async move { client.get("/").await }));
    }
    host.log().wait_for_count("all of them to spin", 8, |line| line["message"] == "spinning").await;
    check_healthy(&host).await;
    for response in spinning {
        let response = within("a spinning request to end", response).await.unwrap();
        assert_eq!(response.host_problem(504), "The request handler did not respond before the deadline.");
        check_cause(&host, response.field("x-request-id"), "deadline").await;
    }
    check_healthy(&host).await;
}

#[tokio::test]
async fn an_endless_wait_yields_504() {
    let host = TestHost::fixture("blocks", &["--request-timeout", "300ms"]).await;
    let response = host.get("/").await;
    response.host_problem(504);
    check_cause(&host, response.field("x-request-id"), "deadline").await;
    check_healthy(&host).await;
}

#[tokio::test]
async fn exceeding_the_memory_limit_yields_500_with_the_reason() {
    let host = TestHost::fixture("exhausts_memory", &["--max-memory", "8MiB"]).await;
    let before = host.peak_memory_kib();
    for _ in 0..20 {
        let response = host.get("/").await;
        assert_eq!(response.host_problem(500), "The request handler exceeded its memory limit.");
        check_cause(&host, response.field("x-request-id"), "memory").await;
    }
    let grown = host.peak_memory_kib() - before;
    assert!(grown < 32 * 1024, "the host's memory has grown by {grown} KiB");
    check_healthy(&host).await;
}

#[tokio::test]
async fn returning_without_a_response_yields_502() {
    let host = TestHost::fixture("never_answers", &[]).await;
    let response = host.get("/").await;
    assert_eq!(response.host_problem(502), "The request handler ended without a response.");
    check_cause(&host, response.field("x-request-id"), "without a response").await;
}

#[tokio::test]
async fn returning_an_error_yields_502() {
    let host = TestHost::fixture("gives_up", &[]).await;
    let response = host.get("/").await;
    assert_eq!(response.host_problem(502), "The request handler returned an error instead of a response.");
    check_cause(&host, response.field("x-request-id"), "no idea").await;
}

#[tokio::test]
async fn dropping_the_response_and_waiting_yields_504() {
    let host = TestHost::fixture("drops_answer", &["--request-timeout", "500ms"]).await;
    let response = host.get("/").await;
    response.host_problem(504);
    check_cause(&host, response.field("x-request-id"), "deadline").await;
}

/// Sent unchanged, the response would make the client take the next response for a part of it.
#[tokio::test]
async fn a_content_length_that_does_not_match_the_body_yields_502() {
    let host = TestHost::fixture("announces_body", &[]).await;
    let mut client = host.connect().await;
    for _ in 0..2 {
        let response = client.get("/").await;
        assert!(response.host_problem(502).contains("an invalid response"));
        check_cause(&host, response.field("x-request-id"), "Content-Length").await;
    }
    let head = Request::head("/").body(Full::default()).unwrap();
    let response = client.send(head).await.unwrap();
    assert_eq!(
        (response.status(), response.field("content-length")),
        (200, "100"),
        "HEAD has no body to compare"
    );
}

#[tokio::test]
async fn a_status_that_is_not_final_yields_502() {
    let host = TestHost::fixture("hints", &[]).await;
    let response = host.get("/").await;
    response.host_problem(502);
    check_cause(&host, response.field("x-request-id"), "final").await;
}

#[tokio::test]
async fn an_incomplete_response_is_cut() {
    let host = TestHost::fixture("leaves_unfinished", &[]).await;
    let mut client = host.connect().await;
    let request = Request::get("/").header("x-request-id", "unfinished").body(Full::default()).unwrap();
    let response = client.head(request).await.unwrap();
    let body = within("the response to end early", response.into_body().collect()).await;
    assert!(body.is_err(), "a partial response was taken for a complete one");
    check_cause(&host, "unfinished", "before its response was complete").await;
}

/// In HTTP/1.0 only the end of the connection ends a response, so only a reset shows that the response is incomplete.
#[tokio::test]
async fn a_cut_response_resets_an_http_1_0_connection() {
    let host = TestHost::fixture("fails_after_head", &[]).await;
    let mut socket = host.raw().await;
    socket.write_all(b"GET / HTTP/1.0\r\nHost: test\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    let end = within("the response to end early", socket.read_to_end(&mut bytes)).await;
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn hoarding_resources_yields_500() {
    let host = TestHost::fixture("hoards_resources", &[]).await;
    let before = host.peak_memory_kib();
    for _ in 0..20 {
        host.get("/").await.host_problem(500);
    }
    let grown = host.peak_memory_kib() - before;
    assert!(grown < 32 * 1024, "the host's memory has grown by {grown} KiB");
    check_healthy(&host).await;
}

#[tokio::test]
async fn a_failure_after_the_head_cuts_the_connection() {
    let host = TestHost::fixture("fails_after_head", &[]).await;
    let mut client = host.connect().await;
    let request = Request::get("/").header("x-request-id", "half").body(Full::default()).unwrap();
    let response = client.head(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = within("the response to end early", response.into_body().collect()).await;
    assert!(body.is_err(), "a partial response was taken for a complete one");
    let access = host.log().access("half").await;
    assert_eq!((&access["status"], &access["end"]), (&200.into(), &"cut".into()));
    check_cause(&host, "half", "unreachable").await;
    check_healthy(&host).await;
}

#[tokio::test]
async fn a_failure_before_anything_was_sent_yields_500() {
    let host = TestHost::fixture("fails_before_sending", &[]).await;
    let response = host.get("/").await;
    response.host_problem(500);
    check_cause(&host, response.field("x-request-id"), "unreachable").await;
}

#[tokio::test]
async fn a_gigabyte_is_streamed_without_being_buffered() {
    let host = TestHost::fixture("answers_gigabyte", &["--request-timeout", "5m", "--max-cpu", "5m"]).await;
    let before = host.peak_memory_kib();
    let mut client = host.connect().await;
    let request = Request::get("/").body(Full::default()).unwrap();
    let mut body = client.head(request).await.unwrap().into_body();
    let mut length = 0;
    while let Some(frame) = within("more of the response", body.frame()).await {
        length += frame.unwrap().data_ref().map_or(0, |data| data.len());
    }
    assert_eq!(length, 1 << 30);
    let grown = host.peak_memory_kib() - before;
    assert!(grown < 16 * 1024, "the host's memory has grown by {grown} KiB");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_at_the_deadline() {
    let options = ["--request-timeout", "500ms", "--max-concurrent", "1"];
    let host = TestHost::fixture("answers_gigabyte", &options).await;
    let mut client = host.connect().await;
    let request = Request::get("/").header("x-request-id", "unread").body(Full::default()).unwrap();
    let unread = client.head(request).await.unwrap();
    let access = host.log().access("unread").await;
    assert_ne!(access["end"], "whole");
    drop(unread);
    within("its permit to be released", async {
        let request = || Request::get("/").body(Full::default()).unwrap();
        while host.connect().await.head(request()).await.unwrap().status() != 200 {}
    })
    .await;
}

#[tokio::test]
async fn a_failing_request_does_not_affect_concurrent_requests() {
    let host = TestHost::fixture("traps_on_demand", &[]).await;
    let mut clients = Vec::new();
    for number in 0..8 {
        let mut client = host.connect().await;
        clients.push(tokio::spawn(async move {
            for _ in 0..50 {
                if number % 2 == 0 {
                    assert_eq!(client.get("/trap").await.status(), 500);
                } else {
                    check_echo(&mut client).await;
                }
            }
        }));
    }
    for client in clients {
        within("the clients to finish", client).await.unwrap();
    }
}

async fn check_echo(client: &mut Client) {
    let response = client.send(post("/echo", "the same again")).await.unwrap();
    assert_eq!((response.status(), &response.body[..]), (200, &b"the same again"[..]));
}

/// Every fixture is used by a test.
#[tokio::test]
async fn a_component_behaves_as_its_marker_says() {
    let host = TestHost::fixture("behaves", &[]).await;
    let response = host.get("/").await;
    assert_eq!((response.status(), &response.body[..]), (200, &b"version 1\n"[..]));
    let folder = tempfile::tempdir().unwrap();
    for (behaviour, status) in [
        ("version=2 wait=300", 200),
        ("version=2 status=404", 404),
        ("version=2 share=100 trap", 500),
        ("version=2 share=0 trap", 200),
        ("version=2 hang", 504),
        ("version=2 spin", 504),
        ("version=2 eat=48", 504),
    ] {
        let host = TestHost::start(&behaving(behaviour, folder.path()), &["--request-timeout", "2s"]).await;
        let began = std::time::Instant::now();
        let response = host.get("/").await;
        assert_eq!(response.status(), status, "{behaviour}");
        if status < 500 {
            assert_eq!(&response.body[..], b"version 2\n", "{behaviour}");
        }
        assert!(!behaviour.contains("wait") || began.elapsed().as_millis() >= 300);
    }
}

#[test]
fn every_fixture_is_tested() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guests/examples");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let tests = concat!(
            include_str!("../http/framing.rs"),
            include_str!("../rollout/canary.rs"),
            include_str!("framing.rs"),
            include_str!("guest_failures.rs"),
            include_str!("logs.rs"),
            include_str!("outbound.rs"),
            include_str!("processor_time.rs"),
            include_str!("reuse.rs"),
            include_str!("../lifecycle/start.rs"),
            include_str!("../rollout/swap_refused.rs")
        );
        assert!(tests.contains(&format!("fixture(\"{name}\"")), "{name}");
    }
}
