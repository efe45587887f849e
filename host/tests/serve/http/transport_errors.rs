//! What goes wrong before there is a request: the client is still told, in the form of every other error.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    harness::{ORDER, TestHost, read_to_end, within},
    raw::{RawAnswer, answers, exchange, order},
};

/// Checks that there is a line in the access log for an answer to no request.
async fn check_access(host: &TestHost, answer: &RawAnswer) {
    let access = host.log().access(answer.field("x-request-id").unwrap()).await;
    assert_eq!((&access["method"], &access["path"]), (&"-".into(), &"-".into()), "{access}");
    assert_eq!((&access["status"], &access["end"]), (&answer.status.into(), &"whole".into()), "{access}");
    assert_eq!(access["bytes"], answer.body.len(), "{access}");
}

/// hyper tells kinds of errors apart only in its words. If it changes them, this notices.
#[tokio::test]
async fn a_head_that_cannot_be_read_is_told_what_is_wrong_with_it() {
    let host = TestHost::orders(&[]).await;
    let cases = [
        ("P(ST / HTTP/1.1\r\n\r\n", "does not begin with a method"),
        ("\u{16}\u{3}\u{1}\r\n\r\n", "without TLS"),
        ("GET / HTTP/2.0\r\n\r\n", "HTTP/1.1 and HTTP/1.0"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 and HTTP/1.0"),
        ("GET /\u{7f} HTTP/1.1\r\n\r\n", "target"),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", "a field is a name, a colon and a value"),
        ("GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "a Content-Length is one decimal number"),
        ("GET / HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n", "a Transfer-Encoding is `chunked`"),
        ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "needs HTTP/1.1"),
    ];
    for (request, detail) in cases {
        let answers = exchange(&host, request).await;
        assert_eq!(answers.len(), 1, "{request:?}: {answers:?}");
        let told = answers[0].last_problem(400);
        assert!(told.contains(detail), "{request:?}: {told}");
        check_access(&host, &answers[0]).await;
    }
}

#[tokio::test]
async fn a_head_that_breaks_off_is_told_so() {
    let host = TestHost::orders(&[]).await;
    let mut socket = host.raw().await;
    socket.write_all(b"GET /api/v1/orders HTTP/1.1\r\nHost: te").await.unwrap();
    socket.shutdown().await.unwrap();
    let answers = answers(&mut socket).await;
    assert!(answers[0].last_problem(400).contains("broke off"));
    check_access(&host, &answers[0]).await;

    let mut silent = host.raw().await;
    silent.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut silent).await, "");
}

/// However much the client sends, it can read why it was stopped.
#[tokio::test]
async fn a_head_that_is_too_large_is_told_so() {
    let host = TestHost::orders(&[]).await;
    let head = |target: usize, fields: usize, each: usize| {
        let fields: String = (0..fields).map(|n| format!("X-{n}: {}\r\n", "x".repeat(each))).collect();
        format!("GET /{} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{fields}\r\n", "x".repeat(target))
    };
    let cases = [
        ("a field that hyper takes", 431, head(0, 1, 33 << 10), "at most 32768 bytes"),
        ("a field that it does not", 431, head(0, 1, 100 << 10), "at most 32768 bytes"),
        ("a field without end", 431, head(0, 1, 4 << 20), "at most 32768 bytes"),
        ("many fields", 431, head(0, 99, 1), "at most 100"),
        ("many large fields", 431, head(0, 90, 1 << 10), "at most 32768 bytes"),
        ("a target that hyper takes", 414, head(33 << 10, 1, 1), "at most 32768 bytes"),
        ("a target that it does not", 414, head(100 << 10, 1, 1), "at most 32768 bytes"),
        ("a target without end", 414, head(4 << 20, 1, 1), "at most 32768 bytes"),
    ];
    for (name, status, request, detail) in cases {
        let answers = exchange(&host, request).await;
        assert_eq!(answers.len(), 1, "{name}: {answers:?}");
        let told = answers[0].last_problem(status);
        assert!(told.contains(detail), "{name}: {told}");
    }
    assert_eq!(exchange(&host, head(0, 98, 1)).await[0].status, 404, "two fields less");
    assert_eq!(host.get("/health").await.status(), 200);
}

/// The connection is closed in stages: a client that sends all before it reads meets no reset.
#[tokio::test]
async fn who_is_told_off_is_listened_to_until_the_end() {
    let host = TestHost::orders(&[]).await;
    let (mut reading, mut writing) = host.raw().await.into_split();
    let head = format!("GET / HTTP/1.1\r\nX-Large: {}\r\n\r\n", "x".repeat(16 << 20));
    within("all of it to be taken", writing.write_all(head.as_bytes())).await.expect("no reset");
    let mut answer = String::new();
    within("the end", reading.read_to_string(&mut answer)).await.expect("no reset");
    assert!(answer.starts_with("HTTP/1.1 431 ") && answer.ends_with('}'), "{answer}");
}

#[tokio::test]
async fn a_head_that_does_not_arrive_in_time_is_408() {
    let host = TestHost::orders(&["--header-timeout", "300ms"]).await;
    let mut slow = host.raw().await;
    slow.write_all(b"GET /health HTTP/1.1\r\nHost:").await.unwrap();
    // Only a head is urged, silence is not: these two are as old when the slow one is closed.
    let mut silent = host.connect().await;
    let mut used = host.connect().await;
    assert_eq!(used.get("/health").await.status(), 200);
    let answers = answers(&mut slow).await;
    assert!(answers[0].last_problem(408).contains("did not arrive in time"));
    check_access(&host, &answers[0]).await;
    assert_eq!(silent.get("/health").await.status(), 200);
    assert_eq!(used.get("/health").await.status(), 200);
}

#[tokio::test]
async fn a_second_head_that_does_not_arrive_in_time_is_408_too() {
    let host = TestHost::orders(&["--header-timeout", "300ms", "--idle-timeout", "2s"]).await;
    // The beginning of the second request comes with the first, or after its answer.
    let mut together = host.raw().await;
    together.write_all(format!("{}GET", order("")).as_bytes()).await.unwrap();
    let mut after = host.raw().await;
    after.write_all(order("").as_bytes()).await.unwrap();
    within("the first byte of an answer", after.readable()).await.unwrap();
    after.write_all(b"GET").await.unwrap();
    for mut socket in [together, after] {
        let answers = answers(&mut socket).await;
        assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [201, 408]);
        answers[1].last_problem(408);
    }
}

/// The answer before it is whole, and nothing after it is interpreted.
#[tokio::test]
async fn an_unreadable_request_harms_no_answer_before_it() {
    let host = TestHost::orders(&[]).await;
    for bad in ["NO(\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "\0"] {
        let answers = exchange(&host, format!("{}{}{bad}{}", order(""), order(""), order(""))).await;
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [201, 201, 400], "{answers:?}");
        answers[2].last_problem(400);
    }
    let listed = host.get("/api/v1/orders").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 6);
}

/// An answer of many megabytes is on its way to a client that does not read when the nonsense arrives behind it.
#[tokio::test]
async fn an_unreadable_request_harms_no_answer_that_is_still_being_written() {
    let host = TestHost::fixture("answers_gigabyte", &["--request-timeout", "40s"]).await;
    let mut socket = host.raw().await;
    socket.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    within("the answer to begin", socket.readable()).await.unwrap();
    socket.write_all(b"NO(\r\n\r\n").await.unwrap();
    let mut read = 0;
    let mut buffer = vec![0; 1 << 20];
    let mut last = Vec::new();
    loop {
        match within("more of the answer", socket.read(&mut buffer)).await.unwrap() {
            0 => break,
            more => {
                read += more;
                last.extend_from_slice(&buffer[..more]);
                last.drain(..last.len().saturating_sub(4096));
            }
        }
    }
    assert!(read > 1 << 30, "{read} bytes");
    let last = String::from_utf8_lossy(&last);
    let (_, refusal) = last.split_once("\r\n0\r\n\r\n").expect("the end of the answer, then a refusal");
    assert!(refusal.contains("400 Bad Request") && refusal.ends_with('}'), "{refusal}");
}

/// Beyond all places nothing is waited for: one attempt to say so, and the end.
#[tokio::test]
async fn connections_beyond_all_places_are_told_so() {
    let host = TestHost::orders(&["--max-connections", "1", "--idle-timeout", "10m"]).await;
    let mut first = host.connect().await;
    assert_eq!(first.get("/health").await.status(), 200);
    // As many as are served beyond the limit stay for two seconds at most: enough are opened to meet one that is not.
    let mut crowd: Vec<TcpStream> = Vec::new();
    let refused = within("a connection to be turned away", async {
        loop {
            for _ in 0..100 {
                crowd.push(host.raw().await);
            }
            let mut last = crowd.pop().unwrap();
            if let Some(answer) = answers(&mut last).await.pop() {
                return answer;
            }
        }
    })
    .await;
    assert!(refused.last_problem(503).contains("as many connections as it can take"));
    assert_eq!(refused.field("retry-after"), Some("1"));
    check_access(&host, &refused).await;
    drop(crowd);
    assert_eq!(first.create().await.unwrap().status(), 201);
}

/// A body that is late is refused by the host, and so is what its client goes on to send.
#[tokio::test]
async fn nothing_is_executed_after_a_body_that_is_late() {
    let host = TestHost::orders(&["--request-timeout", "1s"]).await;
    let head = order("").replacen(ORDER, "", 1);
    let answers = exchange(&host, head).await;
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers[0].last_problem(408);
    assert_eq!(host.get("/api/v1/orders").await.json()["items"].as_array().unwrap().len(), 0);
}
