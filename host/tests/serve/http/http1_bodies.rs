//! Chunked bodies, and the order of messages on a connection: what is read as a body, and what as the next request.

use tokio::io::AsyncWriteExt;

use crate::{
    harness::{ORDER, TestHost, list_all, within},
    raw::{Case, POST, check_cases, exchange, order, read_responses},
};

/// A request whose body is `chunks`.
fn chunked(chunks: &str) -> String {
    format!("{POST}Transfer-Encoding: chunked\r\n\r\n{chunks}")
}

/// A request whose body is an order in one chunk. `size` is the size of the chunk as it is written.
fn sized(size: &str) -> String {
    chunked(&format!("{size}\r\n{ORDER}\r\n0\r\n\r\n"))
}

#[tokio::test]
async fn a_chunk_has_a_size_and_two_line_ends() {
    let host = TestHost::orders(&["--request-timeout", "2s"]).await;
    let length = ORDER.len();
    let size = format!("{length:x}");
    let (first, rest) = ORDER.split_at(10);
    let two = format!("a\r\n{first}\r\n{:X}\r\n{rest}\r\n0\r\n\r\n", rest.len());
    check_cases(
        &host,
        vec![
            Case::served("one chunk", 201, sized(&size)),
            Case::served("two chunks", 201, chunked(&two)),
            Case::served("leading zeros", 201, sized(&format!("000{size}"))),
            Case::served(
                "several zeros in the last size",
                201,
                sized(&size).replace("\r\n0\r\n", "\r\n00000\r\n"),
            ),
            Case::served("an extension", 201, sized(&format!("{size};name=\"value\""))),
            Case::rejected("no size", 400, sized("")),
            Case::rejected("a minus sign", 400, sized(&format!("-{size}"))),
            Case::rejected("a plus sign", 400, sized(&format!("+{size}"))),
            Case::rejected("0x", 400, sized(&format!("0x{size}"))),
            Case::rejected("a space before the size", 400, sized(&format!(" {size}"))),
            Case::rejected("a letter that is not a digit", 400, sized(&format!("{size}g"))),
            Case::rejected("words", 400, sized("ninety")),
            Case::rejected("2^64", 400, sized("10000000000000000")),
            Case::rejected("forty digits", 400, sized(&"f".repeat(40))),
            // So many bytes never arrive, and the request times out.
            Case::rejected("2^64 - 1", 408, sized("ffffffffffffffff")),
            Case::rejected("a size that is too small", 400, sized(&format!("{:x}", length - 1))),
            Case::rejected("a size that is too large", 400, sized(&format!("{:x}", length + 1))),
            Case::rejected(
                "a line feed after the size",
                400,
                sized(&size).replacen(&format!("{size}\r\n"), &format!("{size}\n"), 1),
            ),
            Case::rejected("a carriage return after the size", 400, sized(&format!("{size}\rx"))),
            Case::rejected(
                "no line end after the data",
                400,
                sized(&size).replacen(&format!("{ORDER}\r\n"), ORDER, 1),
            ),
            Case::rejected(
                "a line feed after the data",
                400,
                sized(&size).replacen(&format!("{ORDER}\r\n"), &format!("{ORDER}\n"), 1),
            ),
            Case::rejected("a line feed in an extension", 400, sized(&format!("{size};a\nb"))),
            Case::rejected("an endless extension", 400, sized(&format!("{size};{}", "x".repeat(64 << 10)))),
        ],
    )
    .await;
}

#[tokio::test]
async fn trailers_are_read_and_discarded_and_end_the_connection() {
    let host = TestHost::orders(&[]).await;
    let last = |name, request: String| {
        let mut case = Case::served(name, 201, request);
        case.outcome.statuses.pop();
        case.outcome.orders -= 1;
        case
    };
    let trailed = |trailers: &str| chunked(&format!("{:x}\r\n{ORDER}\r\n0\r\n{trailers}\r\n", ORDER.len()));
    check_cases(
        &host,
        vec![
            last("one field", trailed("X-A: 1\r\n")),
            last("a length", trailed("Content-Length: 5\r\n")),
            last("a transfer encoding", trailed("Transfer-Encoding: chunked\r\n")),
            last("a host", trailed("Host: elsewhere\r\n")),
            // For a reader that takes a line feed for the end of the trailer section, what follows is a request.
            last("a line feed", trailed(&format!("\n{}", order("").replacen(ORDER, "", 1)))),
            last("an empty line between line feeds", trailed("\n\n\r\n")),
            Case::rejected("no colon", 400, trailed("X-A\r\n")),
            Case::rejected("a space in a name", 400, trailed("X A: 1\r\n")),
            Case::rejected("a NUL", 400, trailed("X-A: \0\r\n")),
            Case::rejected("more fields than a head may have", 400, trailed(&"X-A: 1\r\n".repeat(101))),
            Case::rejected("endless fields", 400, trailed(&"X-A: 1\r\n".repeat(1 << 16))),
            Case::rejected("an endless field", 400, trailed(&format!("X-A: {}\r\n", "x".repeat(1 << 20)))),
        ],
    )
    .await;
}

#[tokio::test]
async fn responses_are_sent_in_the_order_of_their_requests() {
    let host = TestHost::orders(&[]).await;
    let get = |path: &str, fields: &str| format!("GET {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n");
    let requests = [
        get("/health", ""),
        order("X-Request-Id: first\r\n"),
        get("/nowhere", ""),
        order("X-Request-Id: second\r\n"),
        get("/docs/nothing", ""),
        get("/health", "Connection: close\r\n"),
        order("X-Request-Id: never\r\n"),
    ];
    let responses = exchange(&host, requests.concat()).await;
    let statuses: Vec<_> = responses.iter().map(|response| response.status).collect();
    assert_eq!(statuses, [200, 201, 404, 201, 404, 200]);
    assert_eq!(responses[1].field("x-request-id"), Some("first"));
    assert_eq!(responses[3].field("x-request-id"), Some("second"));
    let created = list_all(&mut host.connect().await).await;
    assert_eq!(created.len(), 2);
    assert!(created.contains_key(responses[1].field("location").unwrap()));
}

#[tokio::test]
async fn a_request_may_arrive_byte_by_byte() {
    let host = TestHost::orders(&[]).await;
    let chunked = chunked(&format!("{:x}\r\n{ORDER}\r\n0\r\n\r\n", ORDER.len()));
    let mut socket = host.raw().await;
    socket.set_nodelay(true).unwrap();
    for byte in format!("{chunked}{}", order("Connection: close\r\n")).bytes() {
        socket.write_all(&[byte]).await.unwrap();
    }
    let responses = read_responses(&mut socket).await;
    assert_eq!(responses.iter().map(|response| response.status).collect::<Vec<_>>(), [201, 201]);
}

/// The host sends 100 (Continue) only to a client whose body it will read.
#[tokio::test]
async fn a_client_gets_100_only_if_its_body_will_be_read() {
    let host = TestHost::orders(&[]).await;
    let expect = "Expect: 100-continue\r\n";
    let length = format!("Content-Length: {}\r\n", ORDER.len());
    let cases = [
        (
            "a body that will be read",
            format!("{POST}{expect}{length}Connection: close\r\n\r\n{ORDER}"),
            vec![100, 201],
        ),
        (
            "a health probe needs no body",
            format!("POST /health HTTP/1.1\r\nHost: test\r\n{expect}{length}\r\n"),
            vec![405],
        ),
        (
            "the explorer needs no body",
            format!("GET /docs HTTP/1.1\r\nHost: test\r\n{expect}{length}\r\n"),
            vec![200],
        ),
        ("no host", format!("GET / HTTP/1.1\r\n{expect}{length}\r\n"), vec![400]),
        (
            "another transfer encoding",
            format!("{POST}{expect}Transfer-Encoding: gzip, chunked\r\n\r\n"),
            vec![501],
        ),
        ("an unreadable length", format!("{POST}{expect}Content-Length: x\r\n\r\n"), vec![400]),
        (
            "HTTP/1.0",
            format!("{POST}{expect}{length}\r\n{ORDER}").replacen("HTTP/1.1", "HTTP/1.0", 1),
            vec![201],
        ),
        (
            "no body",
            format!("GET /nowhere HTTP/1.1\r\nHost: test\r\n{expect}Connection: close\r\n\r\n"),
            vec![404],
        ),
    ];
    for (name, request, expected) in cases {
        let responses = exchange(&host, request).await;
        assert_eq!(responses.iter().map(|response| response.status).collect::<Vec<_>>(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_client_that_disconnects_in_the_middle_of_a_body_blocks_nothing() {
    let host = TestHost::orders(&["--max-concurrent", "1", "--max-connections", "2"]).await;
    for framing in [
        format!("Content-Length: {}\r\n\r\n{{", ORDER.len()),
        "Transfer-Encoding: chunked\r\n\r\n5a\r\n{".into(),
    ] {
        for _ in 0..10 {
            let mut socket = host.raw().await;
            socket.write_all(format!("{POST}{framing}").as_bytes()).await.unwrap();
        }
    }
    let mut client = within("a free permit", async {
        loop {
            let mut client = host.connect().await;
            if client.create().await.unwrap().status() == 201 {
                return client;
            }
        }
    })
    .await;
    assert_eq!(list_all(&mut client).await.len(), 1);
}

#[tokio::test]
async fn a_client_that_disconnects_while_the_component_works_frees_its_instance() {
    let host = TestHost::fixture("blocks", &["--max-concurrent", "1", "--request-timeout", "10m"]).await;
    for round in 1..=3 {
        // The previous request releases its permit when the host has noticed that its client has disconnected.
        let socket = within("a free permit", async {
            loop {
                let mut socket = host.raw().await;
                socket.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
                let waits = host
                    .log()
                    .wait_for_count("the request to wait", round, |line| line["message"] == "waiting");
                tokio::select! {
                    () = waits => return socket,
                    _ = socket.readable() => {}
                }
            }
        })
        .await;
        assert_eq!(host.get("/health").await.status(), 200);
        drop(socket);
    }
}
