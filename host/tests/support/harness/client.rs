//! An HTTP client that a test controls request by request.

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::{TcpStream, UnixStream},
};

use super::within;

/// A body that creates an order.
pub const ORDER: &str =
    r#"{"customer":"ada","currency":"EUR","items":[{"sku":"tea-1","quantity":2,"unit_price":450}]}"#;

/// One HTTP/1.1 connection.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    /// Sent with each request that has no other.
    token: Option<&'static str>,
}

impl Client {
    /// Connects to a host.
    pub async fn connect(address: SocketAddr) -> std::io::Result<Self> {
        Self::over(TcpStream::connect(address).await?, address.to_string()).await
    }

    /// Connects to a Unix socket.
    pub async fn connect_to_socket(path: &Path) -> std::io::Result<Self> {
        Self::over(UnixStream::connect(path).await?, "localhost".to_owned()).await
    }

    async fn over(
        socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        host: String,
    ) -> std::io::Result<Self> {
        let (sender, connection) =
            http1::handshake(TokioIo::new(socket)).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self { sender, host, token: None })
    }

    /// The same connection, on which requests carry this token.
    pub fn with_token(self, token: Option<&'static str>) -> Self {
        Self { token, ..self }
    }

    /// Sends a request and reads the whole response.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<TestResponse, hyper::Error> {
        let response = self.head(request).await?;
        let (head, body) = response.into_parts();
        let body = within("the body of a response", body.collect()).await?.to_bytes();
        Ok(TestResponse { head, body })
    }

    /// Sends a request and reads the head of the response.
    pub async fn head(
        &mut self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        let host = self.host.parse().expect("an address is a valid field value");
        request.headers_mut().entry("host").or_insert(host);
        if let Some(token) = self.token {
            let value = format!("Bearer {token}").parse().expect("a token is a valid field value");
            request.headers_mut().entry("authorization").or_insert(value);
        }
        within("the connection to accept a request", self.sender.ready()).await?;
        within("the head of a response", self.sender.send_request(request)).await
    }

    /// Sends a GET request, which must get a response.
    pub async fn get(&mut self, path: &str) -> TestResponse {
        self.send(Request::get(path).body(Full::default()).unwrap()).await.expect("a response")
    }

    /// Creates an order.
    pub async fn create(&mut self) -> Result<TestResponse, hyper::Error> {
        self.send(post("/api/v1/orders", ORDER)).await
    }
}

/// A POST request with a JSON body.
pub fn post(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(path).header("content-type", "application/json").body(Full::new(body.into())).unwrap()
}

/// A whole response.
#[derive(Debug)]
pub struct TestResponse {
    pub head: http::response::Parts,
    pub body: Bytes,
}

impl TestResponse {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// The value of a header field that must be present.
    pub fn field(&self, name: &str) -> &str {
        self.head.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}")).to_str().unwrap()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that this is a problem document of the host (RFC 9457), and returns its detail.
    pub fn host_problem(&self, status: u16) -> String {
        assert_eq!(self.status(), status, "{self:?}");
        assert_eq!(self.field("content-type"), "application/problem+json");
        assert_eq!(self.field("cache-control"), "no-store");
        assert_eq!(self.field("x-content-type-options"), "nosniff");
        assert!(!self.field("x-request-id").is_empty());
        let problem = self.json();
        assert_eq!(problem["type"], "about:blank");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["title"], self.head.status.canonical_reason().unwrap());
        let detail = problem["detail"].as_str().expect("a detail");
        // What does not pass by itself is not worth another attempt.
        let passes = !detail.contains("has failed") && !detail.contains("until an operator has acted");
        assert_eq!(self.head.headers.contains_key("retry-after"), status == 503 && passes, "{detail}");
        detail.to_owned()
    }
}

/// Reads all pages of the list of orders. The keys are the paths of the orders.
pub async fn list_all(client: &mut Client) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    let mut path = "/api/v1/orders?limit=100".to_owned();
    loop {
        let mut page = client.get(&path).await.json();
        for order in page["items"].as_array_mut().unwrap().drain(..) {
            all.insert(format!("/api/v1/orders/{}", order["id"].as_str().unwrap()), order);
        }
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/api/v1/orders?limit=100&cursor={cursor}"),
            None => return all,
        }
    }
}

/// Reads from a socket until the other side closes it.
pub async fn read_to_end(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end, too: the bytes that arrived before it count.
    let _ = within("the end of a connection", socket.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}
