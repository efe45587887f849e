//! A client of the service: one kept-alive connection, and the order that measurements are made with.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An order of three lines.
pub const ORDER: &str = r#"{"customer":"ada","currency":"EUR","items":[{"sku":"tea-1","quantity":2,"unit_price":450},{"sku":"pot-7","quantity":1,"unit_price":2900},{"sku":"cup-2","quantity":6,"unit_price":800}]}"#;

/// One kept-alive connection.
pub struct Connection {
    socket: BufReader<TcpStream>,
    address: SocketAddr,
}

impl Connection {
    /// # Errors
    ///
    /// If nobody listens there.
    pub fn open(address: SocketAddr) -> std::io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket: BufReader::new(socket), address })
    }

    /// Creates an order; gives it as JSON.
    ///
    /// # Errors
    ///
    /// Any answer but 201.
    pub fn create(&mut self, order: &str) -> std::io::Result<String> {
        self.post(order, "")?;
        expect("201", self.answer()?)
    }

    /// Asks for an order to be created, once however often it is asked with the same key. Gives any answer: its status,
    /// and what it holds.
    ///
    /// # Errors
    ///
    /// None came.
    pub fn create_once(&mut self, order: &str, key: &str) -> std::io::Result<(String, String)> {
        self.post(order, &format!("Idempotency-Key: \"{key}\"\r\n"))?;
        self.answer()
    }

    /// Gets what lies at a path.
    ///
    /// # Errors
    ///
    /// Any answer but 200.
    pub fn get(&mut self, path: &str) -> std::io::Result<String> {
        expect("200", self.look(path)?)
    }

    /// Asks for what lies at a path. Gives any answer: its status, and what it holds.
    ///
    /// # Errors
    ///
    /// None came.
    pub fn look(&mut self, path: &str) -> std::io::Result<(String, String)> {
        self.ask(path)?;
        self.answer()
    }

    /// The same, with all of the answer's fields.
    ///
    /// # Errors
    ///
    /// None came.
    pub fn look_whole(&mut self, path: &str) -> std::io::Result<Answer> {
        self.ask(path)?;
        let mut fields = Vec::new();
        let (status, body) = self.answer_with(|line| fields.extend(field(line)))?;
        fields.sort_unstable();
        Ok(Answer { status, fields, body })
    }

    /// Sends an order, with more fields, each with the end of its line.
    fn post(&mut self, order: &str, fields: &str) -> std::io::Result<()> {
        let request = format!(
            "POST /api/v1/orders HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n{fields}\
             Content-Length: {}\r\n\r\n{order}",
            self.address,
            order.len()
        );
        self.socket.get_mut().write_all(request.as_bytes())
    }

    fn ask(&mut self, path: &str) -> std::io::Result<()> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        self.socket.get_mut().write_all(request.as_bytes())
    }

    fn answer(&mut self) -> std::io::Result<(String, String)> {
        self.answer_with(|_| ())
    }

    /// Reads an answer; `see` is shown each line of its fields.
    fn answer_with(&mut self, mut see: impl FnMut(&str)) -> std::io::Result<(String, String)> {
        let mut line = String::new();
        self.socket.read_line(&mut line)?;
        let status = line.split(' ').nth(1).ok_or(std::io::ErrorKind::UnexpectedEof)?.to_owned();
        let mut body = Body::Nothing;
        while line != "\r\n" {
            line.clear();
            if self.socket.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            see(&line);
            let field = line.to_ascii_lowercase();
            if let Some(value) = field.strip_prefix("content-length:") {
                body = Body::Bytes(value.trim().parse().map_err(std::io::Error::other)?);
            } else if field.starts_with("transfer-encoding:") {
                body = Body::Chunks;
            }
        }
        let mut bytes = Vec::new();
        match body {
            Body::Nothing => {}
            Body::Bytes(length) => self.read_onto(&mut bytes, length)?,
            Body::Chunks => while self.chunk_onto(&mut bytes)? {},
        }
        Ok((status, String::from_utf8(bytes).map_err(std::io::Error::other)?))
    }

    fn read_onto(&mut self, bytes: &mut Vec<u8>, length: u64) -> std::io::Result<()> {
        let read = self.socket.by_ref().take(length).read_to_end(bytes)?;
        if u64::try_from(read).is_ok_and(|read| read == length) {
            Ok(())
        } else {
            Err(std::io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Whether there are more chunks. Nobody here sends trailers.
    fn chunk_onto(&mut self, bytes: &mut Vec<u8>) -> std::io::Result<bool> {
        let mut line = String::new();
        self.socket.read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
        self.read_onto(bytes, length)?;
        self.socket.read_line(&mut line)?;
        Ok(length > 0)
    }
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Three digits.
    pub status: String,
    /// Names in lower case, and values; in order.
    pub fields: Vec<(String, String)>,
    /// What follows the fields.
    pub body: String,
}

fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_ascii_lowercase(), value.trim().to_owned()))
}

/// What an answer holds, if it has this status.
fn expect(status: &str, (given, body): (String, String)) -> std::io::Result<String> {
    if given == status { Ok(body) } else { Err(std::io::Error::other(format!("answered with {given}"))) }
}

/// How a body is framed.
enum Body {
    Nothing,
    Bytes(u64),
    Chunks,
}
