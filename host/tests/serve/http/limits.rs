//! Time, bytes and counts: what happens at each bound.

use http::Request;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    harness::{ORDER, TestHost, post, read_to_end, within},
    raw::{exchange, order},
};

/// One byte more than a body may have by default.
const TOO_LARGE: usize = (1 << 20) + 1;
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n";
const HEAD: &str = "POST /api/v1/orders HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n";

fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Chunks of one byte more than 1 KiB, and no end.
fn too_large_chunks() -> String {
    format!("400\r\n{}\r\n1\r\nx\r\n", "x".repeat(1024))
}

/// The component has the same limit, and says so in its own words.
#[tokio::test]
async fn a_body_announced_as_too_large_is_refused_before_it_is_sent() {
    let host = TestHost::orders(&["--max-concurrent", "1"]).await;
    let mut socket = host.raw().await;
    socket.write_all(format!("{HEAD}Content-Length: {TOO_LARGE}\r\n\r\n").as_bytes()).await.unwrap();
    let answer = read_to_end(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(field(&answer, "connection"), Some("close"));
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
}

/// 404 and 405 go before 413, and only the component knows them.
#[tokio::test]
async fn a_path_or_method_that_there_is_not_goes_before_a_body_too_large() {
    let host = TestHost::orders(&["--max-body", "1KiB"]).await;
    for (start, status) in [("POST /nowhere", 404), ("PUT /api/v1/orders", 405)] {
        for framing in ["Content-Length: 1025\r\n\r\n".to_owned(), format!("{CHUNKED}{}", too_large_chunks())]
        {
            let mut socket = host.raw().await;
            let request = HEAD.replacen("POST /api/v1/orders", start, 1);
            socket.write_all(format!("{request}{framing}").as_bytes()).await.unwrap();
            let answer = read_to_end(&mut socket).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert_eq!(field(&answer, "connection"), Some("close"));
        }
    }
}

#[tokio::test]
async fn a_client_that_asks_first_is_not_told_to_go_on_with_a_body_too_large() {
    let host = TestHost::orders(&[]).await;
    let mut socket = host.raw().await;
    let expect = "Expect: 100-continue\r\n";
    let request = format!("{HEAD}{expect}Content-Length: {TOO_LARGE}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let answer = read_to_end(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

    let mut socket = host.raw().await;
    let close = "Connection: close\r\n";
    let length = ORDER.len();
    let head = format!("{HEAD}{expect}{close}Content-Length: {length}\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(ORDER.as_bytes()).await.unwrap();
    let answer = read_to_end(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_turns_out_too_large_is_refused_on_the_way() {
    let host = TestHost::orders(&["--max-body", "1KiB"]).await;
    // The second announces more than a component of 32 bits can count.
    for framing in
        [format!("{CHUNKED}{}", too_large_chunks()), format!("Content-Length: {}\r\n\r\n", 1_u64 << 63)]
    {
        let mut socket = host.raw().await;
        socket.write_all(format!("{HEAD}{framing}").as_bytes()).await.unwrap();
        let answer = read_to_end(&mut socket).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("at most 1024 bytes"), "the host's own limit is told: {answer}");
        assert_eq!(field(&answer, "connection"), Some("close"));
    }
}

/// Also where nobody would have read it, however it is framed.
#[tokio::test]
async fn a_body_that_is_too_large_is_refused_with_any_method() {
    let host = TestHost::orders(&["--max-body", "1KiB"]).await;
    for method in ["GET", "OPTIONS", "POST"] {
        for framing in [format!("{CHUNKED}{}", too_large_chunks()), "Content-Length: 2000\r\n\r\n".to_owned()]
        {
            let head = HEAD.replacen("POST", method, 1);
            assert!(head.starts_with(method), "{head}");
            let mut socket = host.raw().await;
            socket.write_all(format!("{head}{framing}").as_bytes()).await.unwrap();
            let answer = read_to_end(&mut socket).await;
            assert!(answer.starts_with("HTTP/1.1 413 "), "{method}: {answer}");
        }
    }
}

/// What the client goes on to send is not taken for a request.
#[tokio::test]
async fn nothing_is_executed_after_a_body_that_turns_out_too_large() {
    let host = TestHost::orders(&["--max-body", "1KiB"]).await;
    let request = format!("{HEAD}{CHUNKED}{}{}", too_large_chunks(), order(""));
    let answers = exchange(&host, request).await;
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0].status, 413, "{answers:?}");
    assert_eq!(host.get("/api/v1/orders").await.json()["items"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_taken() {
    let host = TestHost::orders(&[]).await;
    for (size, status) in [(1 << 20, 201), (TOO_LARGE, 413)] {
        let padded = format!("{ORDER}{}", " ".repeat(size - ORDER.len()));
        let answer = host.connect().await.send(post("/api/v1/orders", padded)).await.unwrap();
        assert_eq!(answer.status(), status, "{answer:?}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_408() {
    let host = TestHost::orders(&["--request-timeout", "3s", "--max-concurrent", "1"]).await;
    let mut slow = host.raw().await;
    let head = format!("{HEAD}Expect: 100-continue\r\nContent-Length: 100\r\n\r\n");
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    within("the host to wait for the body", slow.read_exact(&mut go_on)).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    slow.write_all(b"{").await.unwrap();
    // It holds its connection, but not the only place in the component.
    assert_eq!(host.connect().await.create().await.unwrap().status(), 201);
    let answer = read_to_end(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(field(&answer, "connection"), Some("close"));
}

#[tokio::test]
async fn a_body_that_breaks_off_costs_nothing() {
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
async fn bodies_together_are_bounded() {
    let options = ["--max-body", "64KiB", "--max-buffered", "64KiB", "--request-timeout", "50s"];
    let host = TestHost::orders(&options).await;
    let hoard = format!("{HEAD}Content-Length: 65536\r\n\r\n{}", " ".repeat(60 * 1024));
    let mut hoarder = host.raw().await;
    hoarder.write_all(hoard.as_bytes()).await.unwrap();

    // As soon as the host has taken these in, there is no room for more than 4 KiB.
    let large = || post("/api/v1/orders", format!("{ORDER}{}", " ".repeat(8 * 1024)));
    let mut client = host.connect().await;
    let refused = within("a body to be refused", async {
        loop {
            let answer = client.send(large()).await.unwrap();
            if answer.status() != 201 {
                return answer;
            }
            // The two may meet, and then either may be the one that is refused.
            if hoarder.try_read(&mut [0; 64]).is_ok() {
                hoarder = host.raw().await;
                hoarder.write_all(hoard.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    refused.host_problem(503);
    assert_eq!(client.create().await.unwrap().status(), 201, "a small body still fits");

    hoarder.shutdown().await.unwrap();
    read_to_end(&mut hoarder).await;
    assert_eq!(host.connect().await.send(large()).await.unwrap().status(), 201);
}

#[tokio::test]
async fn requests_beyond_the_limit_are_503_at_once_and_health_is_still_answered() {
    let options = ["--max-concurrent", "1", "--request-timeout", "2s"];
    let host = TestHost::fixture("blocks", &options).await;
    let mut first = host.connect().await;
    let first = tokio::spawn(async move { first.get("/").await });
    host.log().wait_for("the first request to block", |line| line["message"] == "waiting").await;

    let refused = host.get("/").await;
    assert!(refused.host_problem(503).contains("as many requests as it can take"));
    assert_eq!(refused.field("retry-after"), "1");
    assert_eq!(host.get("/health").await.status(), 200);
    assert_eq!(host.get("/ready").await.status(), 200);

    first.await.unwrap().host_problem(504);
    let mut next = host.connect().await;
    next.get("/").await.host_problem(504);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_so() {
    let host = TestHost::orders(&["--max-connections", "1"]).await;
    let mut first = host.connect().await;
    assert_eq!(first.create().await.unwrap().status(), 201);

    let refused = host.connect().await.create().await.unwrap();
    assert!(refused.host_problem(503).contains("as many connections as it can take"));
    assert_eq!(refused.field("connection"), "close");
    assert_eq!(host.get("/health").await.status(), 200);

    drop(first);
    within("the host to learn of it", async {
        while host.connect().await.create().await.unwrap().status() != 201 {}
    })
    .await;
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let host = TestHost::orders(&["--idle-timeout", "2s"]).await;
    let mut silent = host.raw().await;
    assert_eq!(read_to_end(&mut silent).await, "");

    let mut used = host.raw().await;
    used.write_all(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    assert!(read_to_end(&mut used).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_head_that_is_too_large_is_431() {
    let host = TestHost::orders(&[]).await;
    for (size, status) in [(31 * 1024, 200), (33 * 1024, 431)] {
        let request = Request::get("/api/v1/orders").header("x-large", "x".repeat(size));
        let answer = host.connect().await.send(request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), status);
        if status == 431 {
            assert!(answer.host_problem(431).contains("at most 32768 bytes"));
        }
    }
}
