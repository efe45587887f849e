//! Raw bytes on a socket, for requests that no HTTP client would send.

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::harness::{ORDER, TestHost, list_all, read_to_end};

/// The start of a request that creates an order. Fields that frame its body must follow.
pub const POST: &str = "POST /api/v1/orders HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n";

/// A response, as the host wrote it.
#[derive(Clone, Debug)]
pub struct RawResponse {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: String,
}

impl RawResponse {
    /// The value of a header field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Checks that this is a problem document of the host and the last response on its connection. Returns the detail.
    pub fn last_problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.field("content-type"), Some("application/problem+json"));
        assert_eq!(self.field("cache-control"), Some("no-store"));
        assert_eq!(self.field("x-content-type-options"), Some("nosniff"));
        assert_eq!(self.field("connection"), Some("close"));
        assert_eq!(self.field("retry-after").is_some(), status == 503);
        assert!(httpdate::parse_http_date(self.field("date").unwrap()).is_ok(), "{self:?}");
        assert!(uuid::Uuid::parse_str(self.field("x-request-id").unwrap()).is_ok(), "{self:?}");
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!((&problem["type"], &problem["status"]), (&"about:blank".into(), &status.into()));
        let title = http::StatusCode::from_u16(status).unwrap();
        assert_eq!(problem["title"], title.canonical_reason().unwrap());
        problem["detail"].as_str().expect("a detail").to_owned()
    }
}

/// A request that creates an order, with these header fields and its length.
pub fn order(fields: &str) -> String {
    format!("{POST}{fields}Content-Length: {}\r\n\r\n{ORDER}", ORDER.len())
}

/// Writes `bytes` to a new connection, and reads all responses until the host closes it.
pub async fn exchange(host: &TestHost, bytes: impl AsRef<[u8]>) -> Vec<RawResponse> {
    let mut socket = host.raw().await;
    // The host may close the connection before it has read everything.
    let _ = socket.write_all(bytes.as_ref()).await;
    read_responses(&mut socket).await
}

/// Reads all responses until the host closes the connection.
pub async fn read_responses(socket: &mut TcpStream) -> Vec<RawResponse> {
    let text = read_to_end(socket).await;
    let mut responses = Vec::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (head, after) =
            rest.split_once("\r\n\r\n").unwrap_or_else(|| panic!("incomplete head: {text:?}"));
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap();
        assert!(start.starts_with("HTTP/1.1 ") || start.starts_with("HTTP/1.0 "), "{text:?}");
        let status = start.split(' ').nth(1).unwrap().parse().unwrap();
        let fields: Vec<_> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let mut response = RawResponse { status, fields, body: String::new() };
        let length = response.field("content-length").map_or(0, |length| length.parse().unwrap());
        assert!(length <= after.len(), "incomplete body: {text:?}");
        let (body, next) = after.split_at(length);
        response.body = body.to_owned();
        responses.push(response);
        rest = next;
    }
    responses
}

/// The outcome of a connection: the statuses of its responses, and the number of orders that were created.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub statuses: Vec<u16>,
    pub orders: usize,
}

/// One row of a table: the bytes that a client writes, and the outcome that they must have.
pub struct Case {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub outcome: Outcome,
}

impl Case {
    /// A request that must be rejected: the response with `status` is the last one, and what follows is not executed.
    pub fn rejected(name: &'static str, status: u16, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name, bytes: bytes.into(), outcome: Outcome { statuses: vec![status], orders: 0 } }
    }

    /// A request that must get a response with `status`. The next request on the connection creates an order.
    pub fn served(name: &'static str, status: u16, bytes: impl Into<Vec<u8>>) -> Self {
        let orders = if status == 201 { 2 } else { 1 };
        Self { name, bytes: bytes.into(), outcome: Outcome { statuses: vec![status, 201], orders } }
    }
}

/// Runs all cases. Each is followed by a request that creates an order: the one that an attacker would smuggle.
pub async fn check_cases(host: &TestHost, cases: Vec<Case>) {
    let mut wrong = Vec::new();
    let mut before = 0;
    for Case { name, mut bytes, outcome } in cases {
        bytes.extend_from_slice(order("Connection: close\r\n").as_bytes());
        let responses = exchange(host, &bytes).await;
        let after = list_all(&mut host.connect().await).await.len();
        let seen = Outcome {
            statuses: responses.iter().map(|response| response.status).collect(),
            orders: after - before,
        };
        before = after;
        if seen != outcome {
            wrong.push(format!("{name}: {seen:?} instead of {outcome:?}: {responses:?}"));
        }
        if let Some(last) = responses.last()
            && last.status != 201
        {
            assert_eq!(last.field("connection"), Some("close"), "{name}: {last:?}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(host.get("/health").await.status(), 200);
}
