//! A blocking HTTP client with one kept-alive connection, which records latencies, and the order that the measurements create.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use xtask::host::field;

use crate::response::{Framing, Head};

/// How long the next bytes of a response may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An order of three lines.
pub const ORDER: &str = r#"{"customer":"ada","currency":"EUR","items":[{"sku":"tea-1","quantity":2,"unit_price":450},{"sku":"pot-7","quantity":1,"unit_price":2900},{"sku":"cup-2","quantity":6,"unit_price":800}]}"#;

/// One kept-alive connection.
pub struct Connection {
    socket: TcpStream,
    address: SocketAddr,
    /// What was received of the current response.
    received: Vec<u8>,
    /// The latency of each request that got a response.
    pub latencies: Vec<Duration>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    ///
    /// The connection is refused.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self { socket, address, received: Vec::new(), latencies: Vec::new() })
    }

    /// Creates an order and returns it as JSON.
    ///
    /// # Errors
    ///
    /// No response, or any other than 201.
    pub fn create(&mut self, order: &str) -> io::Result<String> {
        self.send(&create_request(self.address, "", order))?.expect(201)
    }

    /// Creates an order with an idempotency key. Returns any response.
    ///
    /// # Errors
    ///
    /// No response.
    pub fn create_with_key(&mut self, order: &str, key: &str) -> io::Result<Response> {
        self.send(&create_request(self.address, &format!("Idempotency-Key: \"{key}\"\r\n"), order))
    }

    /// Gets the body at a path.
    ///
    /// # Errors
    ///
    /// No response, or any other than 200.
    pub fn get(&mut self, path: &str) -> io::Result<String> {
        self.fetch(path)?.expect(200)
    }

    /// Requests a path. Returns any response.
    ///
    /// # Errors
    ///
    /// No response.
    pub fn fetch(&mut self, path: &str) -> io::Result<Response> {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address))
    }

    /// Creates an order, reads it back, and compares the two.
    ///
    /// # Errors
    ///
    /// No response, an unexpected status, or another order.
    pub fn create_and_get(&mut self) -> io::Result<()> {
        let created = self.create(ORDER)?;
        let read = self.get(&format!("/api/v1/orders/{}", field(&created, "id").unwrap_or_default()))?;
        if read == created {
            return Ok(());
        }
        Err(io::Error::other(format!("created {created}, but read {read}")))
    }

    fn send(&mut self, request: &str) -> io::Result<Response> {
        let sent = Instant::now();
        self.socket.write_all(request.as_bytes())?;
        self.received.clear();
        let mut fields = Vec::new();
        let head = loop {
            self.receive()?;
            let visit = |name: &str, value: &str| fields.push((name.to_ascii_lowercase(), value.to_owned()));
            if let Some(head) = Head::parse(&self.received, visit)? {
                break head;
            }
        };
        let body = match head.body {
            Framing::Length(length) => self.body(head.length, length)?,
            Framing::Chunked => self.chunks(head.length)?,
        };
        self.latencies.push(sent.elapsed());
        fields.sort_unstable();
        let body = String::from_utf8(body).map_err(io::Error::other)?;
        Ok(Response { status: head.status, fields, body })
    }

    /// Receives some bytes.
    fn receive(&mut self) -> io::Result<()> {
        let mut bytes = [0; 16 * 1024];
        let read = self.socket.read(&mut bytes)?;
        self.received.extend_from_slice(bytes.get(..read).unwrap_or_default());
        if read == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn body(&mut self, start: usize, length: usize) -> io::Result<Vec<u8>> {
        loop {
            if let Some(body) = self.received.get(start..start + length) {
                return Ok(body.to_vec());
            }
            self.receive()?;
        }
    }

    /// Decodes chunks (RFC 9112, section 7.1). No server here sends trailers.
    fn chunks(&mut self, mut start: usize) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let chunk = self.received.get(start..).unwrap_or_default();
            let size = httparse::parse_chunk_size(chunk).map_err(|_| ErrorKind::InvalidData)?;
            let Some((from, size)) = complete(size) else {
                self.receive()?;
                continue;
            };
            body.append(&mut self.body(start + from, size + 2)?);
            body.truncate(body.len() - 2);
            if size == 0 {
                return Ok(body);
            }
            start += from + size + 2;
        }
    }
}

/// Where a chunk's data starts and how long it is, if its size line is complete.
fn complete(size: httparse::Status<(usize, u64)>) -> Option<(usize, usize)> {
    match size {
        httparse::Status::Complete((from, size)) => Some((from, usize::try_from(size).ok()?)),
        httparse::Status::Partial => None,
    }
}

/// A request that creates an order; each of `fields` ends with CRLF.
#[must_use]
pub fn create_request(host: SocketAddr, fields: &str, order: &str) -> String {
    format!(
        "POST /api/v1/orders HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{fields}\
         Content-Length: {}\r\n\r\n{order}",
        order.len()
    )
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header fields, sorted; names in lower case.
    pub fields: Vec<(String, String)>,
    /// The decoded body.
    pub body: String,
}

impl Response {
    /// The body of a response with this status.
    ///
    /// # Errors
    ///
    /// The response has another status.
    pub fn expect(self, status: u16) -> io::Result<String> {
        if self.status == status {
            return Ok(self.body);
        }
        Err(io::Error::other(format!("status {} instead of {status}", self.status)))
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    #[test]
    fn a_response_may_arrive_in_any_pieces() {
        const RESPONSES: [&[u8]; 2] = [
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\ndefghijklm\r\n0\r\n\r\n",
            b"HTTP/1.1 404 Not Found\r\nX-Name: value\r\nContent-Length: 4\r\n\r\nnone",
        ];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.set_nodelay(true).unwrap();
            for response in RESPONSES {
                assert!(socket.read(&mut [0; 1024]).unwrap() > 0);
                response.iter().for_each(|byte| socket.write_all(&[*byte]).unwrap());
            }
        });
        let mut connection = Connection::open(address).unwrap();
        assert_eq!(connection.get("/").unwrap(), "abcdefghijklm");
        let response = connection.fetch("/").unwrap();
        assert_eq!((response.status, response.body.as_str()), (404, "none"));
        assert!(response.fields.contains(&("x-name".to_owned(), "value".to_owned())));
        assert_eq!(connection.latencies.len(), 2);
        server.join().unwrap();
    }
}
