//! Requests that a component sends to other servers: which are let through, and how they end.

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

use crate::harness::{TestHost, fixture, run, within};

/// The whole answer of a server.
const ANSWER: &[u8] = b"HTTP/1.1 203 OK\r\ncontent-length: 5\r\n\r\nhello";

/// A server on 127.0.0.1 that gives every request the same bytes, and then waits for its client to go.
pub struct Upstream {
    pub port: u16,
    seen: mpsc::Receiver<Seen>,
}

/// What a server sees of a connection.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// The head of a request.
    Request(String),
    /// The client has gone.
    End,
}

impl Upstream {
    /// One that answers in full.
    pub async fn start() -> Self {
        Self::with(ANSWER.to_vec()).await
    }

    async fn with(answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, seen) = mpsc::channel(100);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (sender, answer) = (sender.clone(), answer.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = socket.read_u8().await else { break };
                        head.push(byte);
                    }
                    let _ = sender.send(Seen::Request(String::from_utf8(head).unwrap())).await;
                    let _ = socket.write_all(&answer).await;
                    while socket.read_u8().await.is_ok() {}
                    let _ = sender.send(Seen::End).await;
                });
            }
        });
        Self { port, seen }
    }

    async fn next(&mut self) -> Seen {
        within("the server to see something", self.seen.recv()).await.unwrap()
    }

    /// The head of the next request, once its connection has ended too.
    pub async fn request(&mut self) -> String {
        let Seen::Request(head) = self.next().await else { panic!("an end without a request") };
        assert_eq!(self.next().await, Seen::End);
        head
    }

    /// Checks that nobody has come so far.
    pub fn check_unseen(&mut self) {
        assert_eq!(self.seen.try_recv().ok(), None, "the host let it");
    }
}

/// What a component was told, by a host with these options, of a request to this target.
async fn told(host: &TestHost, target: &str) -> (u16, String) {
    let answer = host.get(target).await;
    // What the host says of a request stands before this line.
    host.log().access(answer.field("x-request-id")).await;
    (answer.status(), String::from_utf8(answer.body.to_vec()).unwrap())
}

/// The lines about refused requests.
fn refusals(host: &TestHost) -> Vec<Value> {
    let lines = host.log().lines();
    lines.into_iter().filter(|line| line["message"] == "a request to another server was refused").collect()
}

#[tokio::test]
async fn only_the_server_that_is_named_is_asked() {
    let (mut named, mut other) = (Upstream::start().await, Upstream::start().await);
    let allowed = format!("LOCALHOST:{}", named.port);
    let host = TestHost::fixture("calls_out", &["--allow-outbound", &allowed]).await;
    let denied = (418, "ErrorCode::HttpRequestDenied".to_owned());
    let (named_port, other_port) = (named.port, other.port);
    for authority in [
        format!("localhost:{other_port}"),
        // The same server by another name is another name.
        format!("127.0.0.1:{named_port}"),
        format!("localhost.:{named_port}"),
        format!("localhost:{named_port}@127.0.0.1:{other_port}"),
        format!("a@localhost:{named_port}"),
        "localhost".to_owned(),
    ] {
        assert_eq!(told(&host, &format!("/http/{authority}/")).await, denied, "{authority}");
    }
    named.check_unseen();
    other.check_unseen();

    assert_eq!(told(&host, &format!("/http/localhost:{named_port}/a?b=c")).await, (200, "203 5".to_owned()));
    let request = named.request().await;
    assert!(request.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nhost: localhost:{named_port}\r\n")), "{request}");
    assert_eq!(refusals(&host).len(), 6);
}

#[tokio::test]
async fn without_the_option_no_server_is_asked_and_the_log_says_so_once() {
    let mut upstream = Upstream::start().await;
    let host = TestHost::fixture("calls_out", &[]).await;
    let authority = format!("127.0.0.1:{}", upstream.port);
    let answer = host.get(&format!("/http/{authority}/")).await;
    assert_eq!((answer.status(), &answer.body[..]), (418, &b"ErrorCode::HttpRequestDenied"[..]));
    upstream.check_unseen();
    let id = answer.field("x-request-id");
    host.log().access(id).await;
    let refusals = refusals(&host);
    assert_eq!(refusals.len(), 1, "it asked twice: {refusals:#?}");
    assert_eq!((&refusals[0]["request_id"], &refusals[0]["authority"]), (&id.into(), &authority.into()));
    assert!(refusals[0]["why"].as_str().unwrap().contains("--allow-outbound"), "{refusals:#?}");
}

#[tokio::test]
async fn several_servers_may_be_named_and_https_is_refused_by_name() {
    let mut upstream = Upstream::start().await;
    let options = ["--allow-outbound", "[::1]:9,example.com", "--allow-outbound", "127.0.0.1:9"];
    let allowed = format!("127.0.0.1:{}", upstream.port);
    let host =
        TestHost::fixture("calls_out", &[&options[..], &["--allow-outbound", &allowed]].concat()).await;
    assert_eq!(told(&host, &format!("/http/{allowed}/")).await, (200, "203 5".to_owned()));
    upstream.request().await;
    let (status, why) = told(&host, &format!("/https/{allowed}/")).await;
    assert_eq!(status, 418);
    assert!(why.contains("not over https"), "{why}");
    upstream.check_unseen();
    assert!(refusals(&host)[0]["why"].as_str().unwrap().contains("https"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_refused_connection() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let server = format!("127.0.0.1:{port}");
    let host = TestHost::fixture("calls_out", &["--allow-outbound", &server]).await;
    let expected = (418, "ErrorCode::ConnectionRefused".to_owned());
    assert_eq!(told(&host, &format!("/http/{server}/")).await, expected);
}

/// Before its head, and in the middle of its body.
#[tokio::test]
async fn a_server_that_hangs_is_left_at_the_deadline() {
    for answer in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe"] {
        let mut upstream = Upstream::with(answer.to_vec()).await;
        let server = format!("127.0.0.1:{}", upstream.port);
        let options = ["--request-timeout", "1s", "--allow-outbound", &server];
        let host = TestHost::fixture("calls_out", &options).await;
        let answer = host.get(&format!("/http/{server}/")).await;
        assert_eq!(answer.host_problem(504), "The request handler did not respond before the deadline.");
        upstream.request().await;
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_makes_no_sense_is_an_error() {
    let long = [b"HTTP/1.1 200 OK\r\nlong: ".to_vec(), vec![b'a'; 128 * 1024]].concat();
    for (answer, code) in [
        (b"SSH-2.0-server\r\n\r\n".to_vec(), "ErrorCode::HttpProtocolError"),
        (long, "ErrorCode::HttpResponseHeaderSectionSize"),
    ] {
        let upstream = Upstream::with(answer).await;
        let server = format!("127.0.0.1:{}", upstream.port);
        let host = TestHost::fixture("calls_out", &["--allow-outbound", &server]).await;
        let (status, text) = told(&host, &format!("/http/{server}/")).await;
        assert_eq!(status, 418);
        assert!(text.starts_with(code), "{text}");
    }
}

#[tokio::test]
async fn a_long_answer_streams_through_without_being_held() {
    const LENGTH: usize = 128 << 20;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
    let upstream = Upstream::with([head.as_bytes(), &vec![b'a'; LENGTH]].concat()).await;
    let server = format!("127.0.0.1:{}", upstream.port);
    let options = ["--request-timeout", "1m", "--allow-outbound", &server];
    let host = TestHost::fixture("calls_out", &options).await;
    let before = host.peak_memory_kib();
    assert_eq!(told(&host, &format!("/http/{server}/")).await, (200, format!("200 {LENGTH}")));
    let grown = host.peak_memory_kib() - before;
    assert!(grown < 16 * 1024, "the host has grown by {grown} KiB");
}

/// What a candidate did elsewhere could not be taken back.
#[tokio::test]
async fn a_smoke_request_asks_no_server() {
    let mut upstream = Upstream::start().await;
    let server = format!("127.0.0.1:{}", upstream.port);
    let smoke = format!("GET /http/{server}/");
    let host = TestHost::fixture("calls_out", &["--allow-outbound", &server, "--smoke", &smoke]).await;
    host.log().wait_for("the smoke request", |line| line["status"] == 418).await;
    upstream.check_unseen();
    assert_eq!(refusals(&host).len(), 1);
    assert_eq!(told(&host, &format!("/http/{server}/")).await, (200, "203 5".to_owned()));
}

#[tokio::test]
async fn what_is_no_server_ends_the_start() {
    let component = fixture("calls_out").display().to_string();
    for bad in ["http://example.com", "*.example.com", "example.com:0", "example.com/path", ""] {
        let ran = run(["serve", "--component", &component, "--allow-outbound", bad]).await;
        assert_eq!(ran.code, Some(2), "{bad}: {}", ran.stderr);
        assert!(ran.stderr.contains("a server is written like `api.example.com`"), "{bad}: {}", ran.stderr);
    }
}
