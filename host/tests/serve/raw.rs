//! Bytes on a socket, without a client that would keep to the rules.

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::harness::{ORDER, TestHost, list_all, read_to_end};

/// A request that makes an order, up to its framing.
pub const POST: &str = "POST /api/v1/orders HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n";

/// An answer, as it was written.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: String,
}

impl RawAnswer {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Checks that this is a problem that the host words, and the last answer of its connection. Gives its detail.
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

/// A request that makes an order, with these fields besides its length.
pub fn order(fields: &str) -> String {
    format!("{POST}{fields}Content-Length: {}\r\n\r\n{ORDER}", ORDER.len())
}

/// Writes `bytes` and reads all answers until the host closes the connection.
pub async fn exchange(host: &TestHost, bytes: impl AsRef<[u8]>) -> Vec<RawAnswer> {
    let mut socket = host.raw().await;
    // A host that has read enough may close before all is written.
    let _ = socket.write_all(bytes.as_ref()).await;
    answers(&mut socket).await
}

/// All answers until the host closes the connection.
pub async fn answers(socket: &mut TcpStream) -> Vec<RawAnswer> {
    let text = read_to_end(socket).await;
    let mut answers = Vec::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (head, after) = rest.split_once("\r\n\r\n").unwrap_or_else(|| panic!("half a head: {text:?}"));
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap();
        assert!(start.starts_with("HTTP/1.1 ") || start.starts_with("HTTP/1.0 "), "{text:?}");
        let status = start.split(' ').nth(1).unwrap().parse().unwrap();
        let fields: Vec<_> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let mut answer = RawAnswer { status, fields, body: String::new() };
        let length = answer.field("content-length").map_or(0, |length| length.parse().unwrap());
        assert!(length <= after.len(), "half a body: {text:?}");
        let (body, next) = after.split_at(length);
        answer.body = body.to_owned();
        answers.push(answer);
        rest = next;
    }
    answers
}

/// What a connection comes to: the statuses of its answers, and the orders that were made.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub statuses: Vec<u16>,
    pub orders: usize,
}

/// One row of a table: what a client writes, and what must come of it.
pub struct Case {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub outcome: Outcome,
}

impl Case {
    /// A request that cannot be served: `status` is the last answer, and what follows it is not executed.
    pub fn refused(name: &'static str, status: u16, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name, bytes: bytes.into(), outcome: Outcome { statuses: vec![status], orders: 0 } }
    }

    /// A request that is answered with `status` and followed by another one, which makes an order.
    pub fn served(name: &'static str, status: u16, bytes: impl Into<Vec<u8>>) -> Self {
        let orders = if status == 201 { 2 } else { 1 };
        Self { name, bytes: bytes.into(), outcome: Outcome { statuses: vec![status, 201], orders } }
    }
}

/// Tries all cases. Each is followed by a request that makes an order: what a smuggler wants to get executed.
pub async fn check(host: &TestHost, cases: Vec<Case>) {
    let mut wrong = Vec::new();
    let mut before = 0;
    for Case { name, mut bytes, outcome } in cases {
        bytes.extend_from_slice(order("Connection: close\r\n").as_bytes());
        let answers = exchange(host, &bytes).await;
        let after = list_all(&mut host.connect().await).await.len();
        let seen = Outcome {
            statuses: answers.iter().map(|answer| answer.status).collect(),
            orders: after - before,
        };
        before = after;
        if seen != outcome {
            wrong.push(format!("{name}: {seen:?} instead of {outcome:?}: {answers:?}"));
        }
        if let Some(last) = answers.last()
            && last.status != 201
        {
            assert_eq!(last.field("connection"), Some("close"), "{name}: {last:?}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(host.get("/health").await.status(), 200);
}
