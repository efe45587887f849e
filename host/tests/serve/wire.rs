//! A connection that a test reads byte by byte: how a response is framed, and how it ends.

use std::{io::ErrorKind, net::SocketAddr};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::harness::{TestHost, within};

/// How a response or a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The response is complete, by its own framing.
    Whole,
    /// The connection was closed before that.
    Closed,
    /// The connection was reset before that.
    Reset,
}

/// The head of a response.
#[derive(Clone, Debug)]
pub struct Head {
    pub version: String,
    pub status: u16,
    fields: Vec<(String, String)>,
}

impl Head {
    /// The value of a header field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let mut start = lines.next().unwrap().splitn(3, ' ');
        let version = start.next().unwrap().to_owned();
        let status = start.next().unwrap_or_else(|| panic!("no status: {text:?}")).parse().unwrap();
        let fields = lines.filter_map(|line| line.split_once(": "));
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { version, status, fields }
    }
}

/// What arrived of a response.
#[derive(Clone, Debug)]
pub struct Seen {
    pub head: Head,
    pub body: Vec<u8>,
    pub end: End,
}

impl Seen {
    /// Whether this is a whole problem document of the host with this status.
    pub fn is_problem(&self, status: u16) -> bool {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        self.head.status == status
            && self.end == End::Whole
            && self.head.field("content-type") == Some("application/problem+json")
            && body["status"] == status
    }
}

/// A request for a response of `frames` that takes no time.
pub const QUICK: &str = "/?length=2&head&write=2&finish";

/// A connection.
pub struct Wire {
    socket: TcpStream,
    /// Bytes that have arrived and are not yet part of a result.
    arrived: Vec<u8>,
}

impl Wire {
    pub async fn open(host: &TestHost) -> Self {
        Self { socket: host.raw().await, arrived: Vec::new() }
    }

    /// Opens a connection for which the kernel buffers no more than a few kilobytes that the client has not read.
    pub async fn narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self { socket: socket.connect(address).await.unwrap(), arrived: Vec::new() }
    }

    /// Opens a connection and sends a GET request.
    pub async fn get(host: &TestHost, target: &str) -> Self {
        let mut wire = Self::open(host).await;
        wire.send(get(target)).await;
        wire
    }

    /// Writes bytes. The host may close the connection before it has read all of them.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.socket.write_all(bytes.as_ref()).await;
    }

    /// Sends nothing more, but still reads.
    pub async fn half_close(&mut self) {
        let _ = self.socket.shutdown().await;
    }

    /// Resets the connection. Closing it could also mean that the client sends nothing more, but still reads.
    pub fn reset(self) {
        self.socket.set_zero_linger().unwrap();
    }

    /// Reads a head. An error is the end of the connection before it.
    pub async fn head(&mut self) -> Result<Head, End> {
        let end = loop {
            if let Some(at) = self.arrived.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at;
            }
            self.more().await?;
        };
        let text = self.take(end + 4);
        Ok(Head::parse(std::str::from_utf8(&text[..end]).unwrap()))
    }

    /// Reads a chunk of a chunked body; an empty one is the last. An error is the end of the connection before it.
    pub async fn chunk(&mut self) -> Result<Vec<u8>, End> {
        let line = loop {
            if let Some(at) = self.arrived.windows(2).position(|bytes| bytes == b"\r\n") {
                break at;
            }
            self.more().await?;
        };
        let size = String::from_utf8(self.take(line + 2)).unwrap();
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap_or_else(|_| panic!("a size: {size:?}"));
        let mut chunk = self.exactly(size + 2).await?;
        assert_eq!(chunk.split_off(size), b"\r\n");
        Ok(chunk)
    }

    /// Reads the response to a request with this method, as far as it arrives. Interim responses are skipped.
    pub async fn response(&mut self, method: &str) -> Result<Seen, End> {
        let head = loop {
            let head = self.head().await?;
            if head.status >= 200 {
                break head;
            }
        };
        let mut body = Vec::new();
        let end = self.body(method, &head, &mut body).await;
        Ok(Seen { head, body, end })
    }

    /// Reads the rest of a GET response, as far as it arrives.
    pub async fn rest(&mut self, head: &Head) -> Seen {
        let mut body = Vec::new();
        let end = self.body("GET", head, &mut body).await;
        Seen { head: head.clone(), body, end }
    }

    async fn body(&mut self, method: &str, head: &Head, body: &mut Vec<u8>) -> End {
        if method == "HEAD" || matches!(head.status, 204 | 304) {
            return End::Whole;
        }
        if head.field("transfer-encoding") == Some("chunked") {
            return loop {
                match self.chunk().await {
                    Ok(chunk) if chunk.is_empty() => break End::Whole,
                    Ok(chunk) => body.extend(chunk),
                    Err(end) => break end,
                }
            };
        }
        if let Some(length) = head.field("content-length") {
            return match self.exactly(length.parse().unwrap()).await {
                Ok(bytes) => {
                    *body = bytes;
                    End::Whole
                }
                Err(end) => {
                    body.append(&mut self.arrived);
                    end
                }
            };
        }
        let end = self.end().await;
        body.append(&mut self.arrived);
        // Without a length, only a reset shows that something is missing.
        if end == End::Closed { End::Whole } else { end }
    }

    /// Reads until the connection ends.
    pub async fn end(&mut self) -> End {
        loop {
            if let Err(end) = self.more().await {
                return end;
            }
        }
    }

    /// Reads once, at most `limit` bytes; returns how many.
    pub async fn read(&mut self, limit: usize) -> Result<usize, End> {
        let mut part = vec![0; limit];
        match within("bytes to arrive", self.socket.read(&mut part)).await {
            Ok(0) => Err(End::Closed),
            Ok(read) => {
                self.arrived.extend_from_slice(&part[..read]);
                Ok(read)
            }
            Err(error) => {
                assert!(
                    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
                    "{error}"
                );
                Err(End::Reset)
            }
        }
    }

    async fn more(&mut self) -> Result<(), End> {
        self.read(64 * 1024).await.map(|_| ())
    }

    async fn exactly(&mut self, length: usize) -> Result<Vec<u8>, End> {
        while self.arrived.len() < length {
            self.more().await?;
        }
        Ok(self.take(length))
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.arrived.split_off(length);
        std::mem::replace(&mut self.arrived, rest)
    }
}

/// A GET request.
pub fn get(target: &str) -> String {
    request("GET", target, "")
}

/// A request without a body. Each of `fields` ends with a line end.
pub fn request(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{fields}\r\n")
}

/// The counts of the serving module.
pub async fn counts(host: &TestHost) -> Counts {
    let overview = host.operator().await.get("/v1/modules").await.json();
    let number = |name: &str| overview["serving"]["done"][name].as_u64().expect("a number");
    Counts {
        requests: number("requests"),
        failures: number("failures"),
        traps: number("traps"),
        timeouts: number("timeouts"),
        bad_answers: number("bad_answers"),
    }
}

/// What a module is said to have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub requests: u64,
    pub failures: u64,
    pub traps: u64,
    pub timeouts: u64,
    pub bad_answers: u64,
}

/// Waits until the counts of the serving module are as expected: a request is counted at its end, which may come after its
/// last byte.
pub async fn wait_for_counts(host: &TestHost, what: &str, expected: impl Fn(&Counts) -> bool) -> Counts {
    let mut last = None;
    let waiting = async {
        loop {
            let counts = counts(host).await;
            last = Some(counts);
            if expected(&counts) {
                return counts;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(10), waiting).await;
    waited.unwrap_or_else(|_| panic!("{what}: {last:?}"))
}
