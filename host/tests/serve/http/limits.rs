//! The limits of time, bytes and counts, and what happens at each of them.

use http::Request;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    harness::{ORDER, TestHost, post, read_to_end, within},
    raw::{exchange, order},
};

/// One byte more than the default limit of a body.
const TOO_LARGE: usize = (1 << 20) + 1;
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n";
const HEAD: &str = "POST /api/v1/orders HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n";

fn field<'a>(response: &'a str, name: &str) -> Option<&'a str> {
    response.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Chunks with one byte more than 1 KiB in total, and no last chunk.
fn too_large_chunks() -> String {
    format!("400\r\n{}\r\n1\r\nx\r\n", "x".repeat(1024))
}

/// The component has the same limit, and words the response.
#[tokio::test]
async fn a_body_announced_as_too_large_is_rejected_before_it_is_sent() {
    let host = TestHost::orders(&["--max-concurrent", "1"]).await;
    let mut socket = host.raw().await;
    socket.write_all(format!("{HEAD}Content-Length: {TOO_LARGE}\r\n\r\n").as_bytes()).await.unwrap();
    let response = read_to_end(&mut socket).await;
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
    assert_eq!(field(&response, "connection"), Some("close"));
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
}

/// 404 and 405 precede 413, and only the component knows which paths and methods exist.
#[tokio::test]
async fn an_unknown_path_or_method_precedes_a_body_too_large() {
    let host = TestHost::orders(&["--max-body", "1KiB"]).await;
    for (start, status) in [("POST /nowhere", 404), ("PUT /api/v1/orders", 405)] {
        for framing in ["Content-Length: 1025\r\n\r\n".to_owned(), format!("{CHUNKED}{}", too_large_chunks())]
        {
            let mut socket = host.raw().await;
            let request = HEAD.replacen("POST /api/v1/orders", start, 1);
            socket.write_all(format!("{request}{framing}").as_bytes()).await.unwrap();
            let response = read_to_end(&mut socket).await;
            assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
            assert_eq!(field(&response, "connection"), Some("close"));
        }
    }
}

#[tokio::test]
async fn a_client_that_expects_100_does_not_get_it_for_a_body_too_large() {
    let host = TestHost::orders(&[]).await;
    let mut socket = host.raw().await;
    let expect = "Expect: 100-continue\r\n";
    let request = format!("{HEAD}{expect}Content-Length: {TOO_LARGE}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let response = read_to_end(&mut socket).await;
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");

    let mut socket = host.raw().await;
    let close = "Connection: close\r\n";
    let length = ORDER.len();
    let head = format!("{HEAD}{expect}{close}Content-Length: {length}\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(ORDER.as_bytes()).await.unwrap();
    let response = read_to_end(&mut socket).await;
    assert!(response.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 "), "{response}");
}

#[tokio::test]
async fn a_body_that_turns_out_too_large_is_rejected_while_it_arrives() {
    let host = TestHost::orders(&["--max-body", "1KiB"]).await;
    // The lengths are more than a 32-bit component can count. Nothing of it is read: the component has a limit of its own.
    for (framing, limit) in [
        (format!("{CHUNKED}{}", too_large_chunks()), 1024),
        // Modulo 2³², it is 1.
        ("Content-Length: 4294967297\r\n\r\n".to_owned(), 1_048_576),
        ("Content-Length: 5000000000\r\n\r\n".to_owned(), 1_048_576),
        (format!("Content-Length: {}\r\n\r\n", 1_u64 << 63), 1_048_576),
    ] {
        let mut socket = host.raw().await;
        socket.write_all(format!("{HEAD}{framing}").as_bytes()).await.unwrap();
        let response = read_to_end(&mut socket).await;
        assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
        assert!(
            response.contains(&format!("the limit is {limit} bytes")),
            "the detail names the limit: {response}"
        );
        assert_eq!(field(&response, "connection"), Some("close"));
    }
}

/// Even for methods whose handler would not read the body, however the body is framed.
#[tokio::test]
async fn a_body_that_is_too_large_is_rejected_with_any_method() {
    let host = TestHost::orders(&["--max-body", "1KiB"]).await;
    for method in ["GET", "OPTIONS", "POST"] {
        for framing in [format!("{CHUNKED}{}", too_large_chunks()), "Content-Length: 2000\r\n\r\n".to_owned()]
        {
            let head = HEAD.replacen("POST", method, 1);
            assert!(head.starts_with(method), "{head}");
            let mut socket = host.raw().await;
            socket.write_all(format!("{head}{framing}").as_bytes()).await.unwrap();
            let response = read_to_end(&mut socket).await;
            assert!(response.starts_with("HTTP/1.1 413 "), "{method}: {response}");
        }
    }
}

/// The rest of the body is never read as a request.
#[tokio::test]
async fn nothing_is_executed_after_a_body_that_turns_out_too_large() {
    let host = TestHost::orders(&["--max-body", "1KiB"]).await;
    let request = format!("{HEAD}{CHUNKED}{}{}", too_large_chunks(), order(""));
    let responses = exchange(&host, request).await;
    assert_eq!(responses.len(), 1, "{responses:?}");
    assert_eq!(responses[0].status, 413, "{responses:?}");
    assert_eq!(host.get("/api/v1/orders").await.json()["items"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_accepted() {
    let host = TestHost::orders(&[]).await;
    for (size, status) in [(1 << 20, 201), (TOO_LARGE, 413)] {
        let padded = format!("{ORDER}{}", " ".repeat(size - ORDER.len()));
        let response = host.connect().await.send(post("/api/v1/orders", padded)).await.unwrap();
        assert_eq!(response.status(), status, "{response:?}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_gets_408() {
    let host = TestHost::orders(&["--request-timeout", "1s", "--max-concurrent", "1"]).await;
    let mut slow = host.raw().await;
    let head = format!("{HEAD}Expect: 100-continue\r\nContent-Length: 100\r\n\r\n");
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    within("the host to wait for the body", slow.read_exact(&mut interim)).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    slow.write_all(b"{").await.unwrap();
    // The upload occupies its connection, but not the only permit for the component.
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
    let response = read_to_end(&mut slow).await;
    assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
    assert!(response.contains("did not arrive in time"), "{response}");
    assert_eq!(field(&response, "connection"), Some("close"));
}

#[tokio::test]
async fn a_body_that_ends_early_creates_nothing() {
    let host = TestHost::orders(&[]).await;
    let mut socket = host.raw().await;
    let id = "X-Request-Id: broken\r\n";
    socket.write_all(format!("{HEAD}{id}Content-Length: 100\r\n\r\n{{").as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    read_to_end(&mut socket).await;
    host.log().access("broken").await;
    let listed = host.get("/api/v1/orders").await;
    assert_eq!(listed.json()["items"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn requests_beyond_the_limit_get_503_immediately_and_health_probes_are_still_served() {
    let options = ["--max-concurrent", "1", "--request-timeout", "2s"];
    let host = TestHost::fixture("blocks", &options).await;
    let mut first = host.connect().await;
    let first = tokio::spawn(async move { first.get("/").await });
    host.log().wait_for("the first request to block", |line| line["message"] == "waiting").await;

    let rejected = host.get("/").await;
    assert!(rejected.host_problem(503).contains("the limit of requests in flight"));
    assert_eq!(rejected.field("retry-after"), "1");
    assert_eq!(host.get("/health").await.status(), 200);
    assert_eq!(host.get("/ready").await.status(), 200);

    first.await.unwrap().host_problem(504);
    let mut next = host.connect().await;
    next.get("/").await.host_problem(504);
}

#[tokio::test]
async fn connections_beyond_the_limit_get_503() {
    let host = TestHost::orders(&["--max-connections", "1"]).await;
    let mut first = host.connect().await;
    assert_eq!(first.create().await.unwrap().status(), 201);

    let rejected = host.connect().await.create().await.unwrap();
    assert!(rejected.host_problem(503).contains("its limit of connections"));
    assert_eq!(rejected.field("connection"), "close");
    assert_eq!(host.get("/health").await.status(), 200);

    drop(first);
    within("the permit to be released", async {
        while host.connect().await.create().await.unwrap().status() != 201 {}
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let host = TestHost::orders(&["--idle-timeout", "2s"]).await;
    let mut silent = host.raw().await;
    assert_eq!(read_to_end(&mut silent).await, "");

    let mut used = host.raw().await;
    used.write_all(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    assert!(read_to_end(&mut used).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_head_that_is_too_large_gets_431() {
    let host = TestHost::orders(&[]).await;
    for (size, status) in [(31 * 1024, 200), (33 * 1024, 431)] {
        let request = Request::get("/api/v1/orders").header("x-large", "x".repeat(size));
        let response = host.connect().await.send(request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(response.status(), status);
        if status == 431 {
            assert!(response.host_problem(431).contains("at most 32768 bytes"));
        }
    }
}
