//! Requests from a component to other servers: which are allowed, and how they end.

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

use crate::harness::{TestHost, fixture, run, within};

/// A complete response of a server.
const RESPONSE: &[u8] = b"HTTP/1.1 203 OK\r\ncontent-length: 5\r\n\r\nhello";

/// A server on 127.0.0.1 that sends the same bytes in response to every request, and then waits for the client to
/// disconnect.
pub struct Upstream {
    pub port: u16,
    seen: mpsc::Receiver<Seen>,
}

/// What the server receives on a connection.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// The head of a request.
    Request(String),
    /// The client has disconnected.
    End,
}

impl Upstream {
    /// Starts a server that sends a complete response.
    pub async fn start() -> Self {
        Self::with(RESPONSE.to_vec()).await
    }

    async fn with(response: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, seen) = mpsc::channel(100);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (sender, response) = (sender.clone(), response.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = socket.read_u8().await else { break };
                        head.push(byte);
                    }
                    let _ = sender.send(Seen::Request(String::from_utf8(head).unwrap())).await;
                    let _ = socket.write_all(&response).await;
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

    /// Returns the head of the next request, after its connection has ended too.
    pub async fn request(&mut self) -> String {
        let Seen::Request(head) = self.next().await else { panic!("the connection ended without a request") };
        assert_eq!(self.next().await, Seen::End);
        head
    }

    /// Checks that no client has connected so far.
    pub fn check_unseen(&mut self) {
        assert_eq!(self.seen.try_recv().ok(), None, "the host sent a request");
    }
}

/// Requests `target` and returns the status and text of the component's response.
async fn request(host: &TestHost, target: &str) -> (u16, String) {
    let response = host.get(target).await;
    // The log lines of a request precede its access log line.
    host.log().access(response.field("x-request-id")).await;
    (response.status(), String::from_utf8(response.body.to_vec()).unwrap())
}

/// The log lines of rejected requests.
fn rejections(host: &TestHost) -> Vec<Value> {
    let lines = host.log().lines();
    lines.into_iter().filter(|line| line["event"] == "outbound.request_rejected").collect()
}

#[tokio::test]
async fn only_an_allowed_server_receives_requests() {
    let (mut named, mut other) = (Upstream::start().await, Upstream::start().await);
    let allowed = format!("LOCALHOST:{}", named.port);
    let host = TestHost::fixture("calls_out", &["--allow-outbound", &allowed]).await;
    let denied = (418, "ErrorCode::HttpRequestDenied".to_owned());
    let (named_port, other_port) = (named.port, other.port);
    for authority in [
        format!("localhost:{other_port}"),
        // A different name of the same server is not allowed.
        format!("127.0.0.1:{named_port}"),
        format!("localhost.:{named_port}"),
        format!("localhost:{named_port}@127.0.0.1:{other_port}"),
        format!("a@localhost:{named_port}"),
        "localhost".to_owned(),
    ] {
        assert_eq!(request(&host, &format!("/http/{authority}/")).await, denied, "{authority}");
    }
    named.check_unseen();
    other.check_unseen();

    assert_eq!(
        request(&host, &format!("/http/localhost:{named_port}/a?b=c")).await,
        (200, "203 5".to_owned())
    );
    let request = named.request().await;
    assert!(request.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nhost: localhost:{named_port}\r\n")), "{request}");
    assert_eq!(rejections(&host).len(), 6);
}

#[tokio::test]
async fn without_the_option_requests_are_rejected_and_logged_once() {
    let mut upstream = Upstream::start().await;
    let host = TestHost::fixture("calls_out", &[]).await;
    let authority = format!("127.0.0.1:{}", upstream.port);
    let response = host.get(&format!("/http/{authority}/")).await;
    assert_eq!((response.status(), &response.body[..]), (418, &b"ErrorCode::HttpRequestDenied"[..]));
    upstream.check_unseen();
    let id = response.field("x-request-id");
    host.log().access(id).await;
    let rejections = rejections(&host);
    assert_eq!(rejections.len(), 1, "the component sends two requests: {rejections:#?}");
    assert_eq!((&rejections[0]["request_id"], &rejections[0]["authority"]), (&id.into(), &authority.into()));
    assert!(rejections[0]["why"].as_str().unwrap().contains("--allow-outbound"), "{rejections:#?}");
}

#[tokio::test]
async fn several_servers_can_be_allowed_and_https_is_rejected() {
    let mut upstream = Upstream::start().await;
    let options = ["--allow-outbound", "[::1]:9,example.com", "--allow-outbound", "127.0.0.1:9"];
    let allowed = format!("127.0.0.1:{}", upstream.port);
    let host =
        TestHost::fixture("calls_out", &[&options[..], &["--allow-outbound", &allowed]].concat()).await;
    assert_eq!(request(&host, &format!("/http/{allowed}/")).await, (200, "203 5".to_owned()));
    upstream.request().await;
    let (status, why) = request(&host, &format!("/https/{allowed}/")).await;
    assert_eq!(status, 418);
    assert!(why.contains("not over https"), "{why}");
    upstream.check_unseen();
    assert!(rejections(&host)[0]["why"].as_str().unwrap().contains("https"));
}

#[tokio::test]
async fn a_port_without_a_server_is_a_refused_connection() {
    // This port was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let server = format!("127.0.0.1:{port}");
    let host = TestHost::fixture("calls_out", &["--allow-outbound", &server]).await;
    let expected = (418, "ErrorCode::ConnectionRefused".to_owned());
    assert_eq!(request(&host, &format!("/http/{server}/")).await, expected);
}

/// The server hangs before the head, or in the middle of the body.
#[tokio::test]
async fn a_hanging_server_is_abandoned_at_the_deadline() {
    for sent in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe"] {
        let mut upstream = Upstream::with(sent.to_vec()).await;
        let server = format!("127.0.0.1:{}", upstream.port);
        let options = ["--request-timeout", "1s", "--allow-outbound", &server];
        let host = TestHost::fixture("calls_out", &options).await;
        let response = host.get(&format!("/http/{server}/")).await;
        assert_eq!(response.host_problem(504), "The request handler did not respond before the deadline.");
        upstream.request().await;
    }
}

#[tokio::test]
async fn a_malformed_or_oversized_response_is_an_error() {
    let long = [b"HTTP/1.1 200 OK\r\nlong: ".to_vec(), vec![b'a'; 128 * 1024]].concat();
    for (sent, code) in [
        (b"SSH-2.0-server\r\n\r\n".to_vec(), "ErrorCode::HttpProtocolError"),
        (long, "ErrorCode::HttpResponseHeaderSectionSize"),
    ] {
        let upstream = Upstream::with(sent).await;
        let server = format!("127.0.0.1:{}", upstream.port);
        let host = TestHost::fixture("calls_out", &["--allow-outbound", &server]).await;
        let (status, text) = request(&host, &format!("/http/{server}/")).await;
        assert_eq!(status, 418);
        assert!(text.starts_with(code), "{text}");
    }
}

#[tokio::test]
async fn a_long_response_is_streamed_without_being_buffered() {
    const LENGTH: usize = 128 << 20;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
    let upstream = Upstream::with([head.as_bytes(), &vec![b'a'; LENGTH]].concat()).await;
    let server = format!("127.0.0.1:{}", upstream.port);
    let options = ["--request-timeout", "1m", "--max-cpu", "1m", "--allow-outbound", &server];
    let host = TestHost::fixture("calls_out", &options).await;
    let before = host.peak_memory_kib();
    assert_eq!(request(&host, &format!("/http/{server}/")).await, (200, format!("200 {LENGTH}")));
    let grown = host.peak_memory_kib() - before;
    assert!(grown < 16 * 1024, "the host's memory has grown by {grown} KiB");
}

/// A candidate's effects on other servers could not be undone.
#[tokio::test]
async fn a_smoke_request_sends_no_outbound_request() {
    let mut upstream = Upstream::start().await;
    let server = format!("127.0.0.1:{}", upstream.port);
    let smoke = format!("GET /http/{server}/ 418");
    let host = TestHost::fixture("calls_out", &["--allow-outbound", &server, "--smoke", &smoke]).await;
    host.log().wait_for("the smoke request", |line| line["status"] == 418).await;
    upstream.check_unseen();
    assert_eq!(rejections(&host).len(), 1);
    assert_eq!(request(&host, &format!("/http/{server}/")).await, (200, "203 5".to_owned()));
}

#[tokio::test]
async fn an_invalid_server_stops_the_start() {
    let component = fixture("calls_out").display().to_string();
    for bad in ["http://example.com", "*.example.com", "example.com:0", "example.com/path"] {
        let ran = run(["serve", "--component", &component, "--allow-outbound", bad]).await;
        assert_eq!(ran.code, Some(2), "{bad}: {}", ran.stderr);
        assert!(ran.stderr.contains("a server is written like `api.example.com`"), "{bad}: {}", ran.stderr);
    }
}
