//! Errors before there is a request. The client still gets a problem document, as for every other error.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    harness::{ORDER, TestHost, read_to_end, within},
    raw::{RawResponse, exchange, order, read_responses},
};

/// Checks the access log record of a response without a request.
async fn check_access(host: &TestHost, response: &RawResponse) {
    let access = host.log().access(response.field("x-request-id").unwrap()).await;
    assert_eq!((&access["method"], &access["path"]), (&"-".into(), &"-".into()), "{access}");
    assert_eq!((&access["status"], &access["end"]), (&response.status.into(), &"whole".into()), "{access}");
    assert_eq!(access["bytes"], response.body.len(), "{access}");
}

/// hyper distinguishes kinds of errors only in its messages. This test fails if it changes them.
#[tokio::test]
async fn the_response_to_an_unreadable_head_says_what_is_wrong_with_it() {
    let host = TestHost::orders(&[]).await;
    let cases = [
        ("P(ST / HTTP/1.1\r\n\r\n", "does not begin with a valid method"),
        ("\u{16}\u{3}\u{1}\r\n\r\n", "without TLS"),
        ("GET / HTTP/2.0\r\n\r\n", "use HTTP/1.1 or HTTP/1.0"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "use HTTP/1.1 or HTTP/1.0"),
        ("GET /\u{7f} HTTP/1.1\r\n\r\n", "The request target is invalid"),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", "a field must be a name, a colon and a value"),
        (
            "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            "The Content-Length is invalid: it must be one decimal number",
        ),
        (
            "GET / HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n",
            "The Transfer-Encoding is invalid: it must be `chunked`",
        ),
        ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "in a request of HTTP/1.1"),
    ];
    for (request, detail) in cases {
        let responses = exchange(&host, request).await;
        assert_eq!(responses.len(), 1, "{request:?}: {responses:?}");
        let actual = responses[0].last_problem(400);
        assert!(actual.contains(detail), "{request:?}: {actual}");
        check_access(&host, &responses[0]).await;
    }
}

#[tokio::test]
async fn an_incomplete_head_gets_400() {
    let host = TestHost::orders(&[]).await;
    let mut socket = host.raw().await;
    socket.write_all(b"GET /api/v1/orders HTTP/1.1\r\nHost: te").await.unwrap();
    socket.shutdown().await.unwrap();
    let responses = read_responses(&mut socket).await;
    assert!(responses[0].last_problem(400).contains("incomplete"));
    check_access(&host, &responses[0]).await;

    let mut silent = host.raw().await;
    silent.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut silent).await, "");
}

/// However much the client sends, it can read the response.
#[tokio::test]
async fn a_head_that_is_too_large_gets_414_or_431() {
    let host = TestHost::orders(&[]).await;
    let head = |target: usize, fields: usize, each: usize| {
        let fields: String = (0..fields).map(|n| format!("X-{n}: {}\r\n", "x".repeat(each))).collect();
        format!("GET /{} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{fields}\r\n", "x".repeat(target))
    };
    let cases = [
        ("a field that hyper accepts", 431, head(0, 1, 33 << 10), "at most 32768 bytes"),
        ("a field that hyper rejects", 431, head(0, 1, 100 << 10), "at most 32768 bytes"),
        ("an endless field", 431, head(0, 1, 4 << 20), "at most 32768 bytes"),
        ("many fields", 431, head(0, 99, 1), "at most 100"),
        ("many large fields", 431, head(0, 90, 1 << 10), "at most 32768 bytes"),
        ("a target that hyper accepts", 414, head(33 << 10, 1, 1), "at most 32768 bytes"),
        ("a target that hyper rejects", 414, head(100 << 10, 1, 1), "at most 32768 bytes"),
        ("an endless target", 414, head(4 << 20, 1, 1), "at most 32768 bytes"),
    ];
    for (name, status, request, detail) in cases {
        let responses = exchange(&host, request).await;
        assert_eq!(responses.len(), 1, "{name}: {responses:?}");
        let actual = responses[0].last_problem(status);
        assert!(actual.contains(detail), "{name}: {actual}");
    }
    // The method counts like the rest of the request line.
    for (name, start) in [
        ("a method that hyper accepts", format!("{} /", "M".repeat(33 << 10))),
        ("a method that hyper rejects", format!("{} /", "M".repeat(100 << 10))),
        ("an endless method", "M".repeat(4 << 20)),
        ("a method and a target", format!("{} /{}", "M".repeat(20 << 10), "x".repeat(20 << 10))),
    ] {
        let request = format!("{start} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        let responses = exchange(&host, request).await;
        assert_eq!(responses.len(), 1, "{name}: {responses:?}");
        let detail = responses[0].last_problem(431);
        assert!(detail.starts_with("The request line and header fields are too large"), "{name}: {detail}");
    }
    assert_eq!(exchange(&host, head(0, 98, 1)).await[0].status, 302, "two fields fewer");
    assert_eq!(host.get("/health").await.status(), 200);
}

/// The host closes the connection in stages, so that a client that sends everything before it reads gets no reset.
#[tokio::test]
async fn a_rejected_client_can_send_everything_before_it_reads() {
    let host = TestHost::orders(&[]).await;
    let (mut reading, mut writing) = host.raw().await.into_split();
    let head = format!("GET / HTTP/1.1\r\nX-Large: {}\r\n\r\n", "x".repeat(16 << 20));
    within("the request to be written", writing.write_all(head.as_bytes())).await.expect("no reset");
    let mut response = String::new();
    within("the end of the connection", reading.read_to_string(&mut response)).await.expect("no reset");
    assert!(response.starts_with("HTTP/1.1 431 ") && response.ends_with('}'), "{response}");
}

#[tokio::test]
async fn a_head_that_does_not_arrive_in_time_gets_408() {
    let host = TestHost::orders(&["--header-timeout", "300ms"]).await;
    let mut slow = host.raw().await;
    slow.write_all(b"GET /health HTTP/1.1\r\nHost:").await.unwrap();
    // The timeout applies to a head that has started, not to an idle connection: these two are idle for as long.
    let mut silent = host.connect().await;
    let mut used = host.connect().await;
    assert_eq!(used.get("/health").await.status(), 200);
    let responses = read_responses(&mut slow).await;
    assert!(responses[0].last_problem(408).contains("did not arrive in time"));
    check_access(&host, &responses[0]).await;
    assert_eq!(silent.get("/health").await.status(), 200);
    assert_eq!(used.get("/health").await.status(), 200);
}

#[tokio::test]
async fn a_second_head_that_does_not_arrive_in_time_gets_408() {
    let host = TestHost::orders(&["--header-timeout", "300ms", "--idle-timeout", "2s"]).await;
    // The second request starts together with the first, or after its response.
    let mut together = host.raw().await;
    together.write_all(format!("{}GET", order("")).as_bytes()).await.unwrap();
    let mut after = host.raw().await;
    after.write_all(order("").as_bytes()).await.unwrap();
    within("the first byte of a response", after.readable()).await.unwrap();
    after.write_all(b"GET").await.unwrap();
    for mut socket in [together, after] {
        let responses = read_responses(&mut socket).await;
        assert_eq!(responses.iter().map(|response| response.status).collect::<Vec<_>>(), [201, 408]);
        responses[1].last_problem(408);
    }
}

/// Earlier responses are complete, and nothing that follows is interpreted.
#[tokio::test]
async fn an_unreadable_request_does_not_affect_earlier_responses() {
    let host = TestHost::orders(&[]).await;
    for bad in ["NO(\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "\0"] {
        let responses = exchange(&host, format!("{}{}{bad}{}", order(""), order(""), order(""))).await;
        let statuses: Vec<_> = responses.iter().map(|response| response.status).collect();
        assert_eq!(statuses, [201, 201, 400], "{responses:?}");
        responses[2].last_problem(400);
    }
    let listed = host.get("/api/v1/orders").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 6);
}

/// While a large response waits for a client that does not read, an unreadable request follows.
#[tokio::test]
async fn an_unreadable_request_does_not_affect_a_response_in_transit() {
    const LENGTH: usize = 16 << 20;
    let host = TestHost::fixture("frames", &["--request-timeout", "40s", "--max-cpu", "40s"]).await;
    let mut socket = host.raw().await;
    let request = format!("GET /?head&write={LENGTH}&finish HTTP/1.1\r\nHost: test\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    within("the start of the response", socket.readable()).await.unwrap();
    socket.write_all(b"NO(\r\n\r\n").await.unwrap();
    let mut read = 0;
    let mut buffer = vec![0; 1 << 20];
    let mut last = Vec::new();
    loop {
        match within("more of the response", socket.read(&mut buffer)).await.unwrap() {
            0 => break,
            more => {
                read += more;
                last.extend_from_slice(&buffer[..more]);
                last.drain(..last.len().saturating_sub(4096));
            }
        }
    }
    assert!(read > LENGTH, "{read} bytes");
    let last = String::from_utf8_lossy(&last);
    let (_, rejection) = last.split_once("\r\n0\r\n\r\n").expect("the end of the response, then a rejection");
    assert!(rejection.contains("400 Bad Request") && rejection.ends_with('}'), "{rejection}");
}

/// Beyond the spare connections the host does not wait: it tries once to send the response, and closes.
#[tokio::test]
async fn connections_beyond_the_spare_ones_get_503() {
    let host = TestHost::orders(&["--max-connections", "1", "--idle-timeout", "10m"]).await;
    let mut first = host.connect().await;
    assert_eq!(first.get("/health").await.status(), 200);
    // Spare connections last for two seconds at most, so this opens enough of them to meet one that is rejected.
    let mut crowd: Vec<TcpStream> = Vec::new();
    let rejected = within("a connection to be rejected", async {
        loop {
            for _ in 0..100 {
                crowd.push(host.raw().await);
            }
            let mut last = crowd.pop().unwrap();
            if let Some(response) = read_responses(&mut last).await.pop() {
                return response;
            }
        }
    })
    .await;
    assert!(rejected.last_problem(503).contains("its limit of connections"));
    assert_eq!(rejected.field("retry-after"), Some("1"));
    check_access(&host, &rejected).await;
    drop(crowd);
    assert_eq!(first.create().await.unwrap().status(), 201);
}

/// The host rejects the request, and ignores what the client sends after that.
#[tokio::test]
async fn nothing_is_executed_after_a_body_that_times_out() {
    let host = TestHost::orders(&["--request-timeout", "1s"]).await;
    let head = order("").replacen(ORDER, "", 1);
    let responses = exchange(&host, head).await;
    assert_eq!(responses.len(), 1, "{responses:?}");
    responses[0].last_problem(408);
    assert_eq!(host.get("/api/v1/orders").await.json()["items"].as_array().unwrap().len(), 0);
}
