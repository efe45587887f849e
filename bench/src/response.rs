//! Parses the header of an HTTP/1.1 response.

use std::io;

/// More header fields than any contender sends.
const MAX_FIELDS: usize = 32;

/// How a response is framed (RFC 9112, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Bytes of status line and header section: the body starts here.
    pub length: usize,
    /// How the body is delimited.
    pub body: Framing,
    /// Whether the server closes the connection after this response.
    pub closes: bool,
}

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By its length in bytes; 0 if the header has neither field.
    Length(usize),
    /// By chunks.
    Chunked,
}

impl Head {
    /// Parses the header at the start of `bytes`; `None` if it is incomplete. Calls `visit` with the name and value of each
    /// field, for an incomplete header with none.
    ///
    /// # Errors
    ///
    /// The bytes are not an HTTP/1.1 response.
    pub fn parse(bytes: &[u8], mut visit: impl FnMut(&str, &str)) -> io::Result<Option<Self>> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(length) = response.parse(bytes).map_err(io::Error::other)? else {
            return Ok(None);
        };
        let status = response.code.unwrap_or_default();
        let mut head = Self { status, length, body: Framing::Length(0), closes: false };
        for field in &*response.headers {
            let value = std::str::from_utf8(field.value).map_err(io::Error::other)?;
            if field.name.eq_ignore_ascii_case("content-length") {
                head.body = Framing::Length(value.parse().map_err(io::Error::other)?);
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                head.body = Framing::Chunked;
            } else if field.name.eq_ignore_ascii_case("connection") {
                head.closes = value.eq_ignore_ascii_case("close");
            }
            visit(field.name, value);
        }
        Ok(Some(head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_parsed_once_it_is_complete() {
        let bytes = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\ncontent-length: 2\r\n\r\n";
        for end in 0..bytes.len() {
            assert_eq!(Head::parse(&bytes[..end], |_, _| ()).unwrap(), None);
        }
        let expected = Head { status: 503, length: bytes.len(), body: Framing::Length(2), closes: true };
        assert_eq!(Head::parse(bytes, |_, _| ()).unwrap(), Some(expected));
        let empty = Head::parse(b"HTTP/1.1 201 Created\r\n\r\n", |_, _| ()).unwrap().unwrap();
        assert_eq!((empty.status, empty.body, empty.closes), (201, Framing::Length(0), false));
        assert!(Head::parse(b"nonsense\r\n\r\n", |_, _| ()).is_err());
    }
}
