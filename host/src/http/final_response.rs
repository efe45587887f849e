//! The response on a connection whose request could not be read. It is the last one on that connection.
//!
//! Such a response belongs to no request, so hyper cannot write it. Its content is that of a [`Rejection`], and it has
//! a record in the access log.

use std::{fmt::Write, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::response::Parts;
use httpdate::fmt_http_date;

use crate::{
    http::{
        limits::{LimitError, MAX_FIELDS, MAX_HEAD},
        rejection::Rejection,
        response::AccessRecord,
        service::{REQUEST_ID, new_request_id},
    },
    module::hash::ModuleHash,
};

const INVALID_LENGTH: &str = "The Content-Length is invalid: it must be one decimal number.";

/// The last response on a connection, ready to be written.
#[derive(Debug)]
pub struct FinalResponse {
    head: String,
    body: Bytes,
    record: AccessRecord,
}

impl FinalResponse {
    /// Builds the response for `rejection`. `module` is the one that serves, if one does.
    pub fn new(rejection: Rejection, module: Option<ModuleHash>) -> Self {
        let (id, _) = new_request_id();
        let (head, body) = rejection.into_response(None, &id).into_parts();
        let record = AccessRecord::without_request(Arc::clone(&id), module, head.status);
        Self { head: encode_head(&head, &body, &id), body, record }
    }

    /// The bytes to write.
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), &self.body].concat()
    }

    /// Records that all bytes have been written.
    pub fn sent(mut self) {
        self.record.set_sent(self.body.len());
    }
}

/// Encodes the head of an HTTP/1.1 response (RFC 9112, section 4).
fn encode_head(head: &Parts, body: &Bytes, id: &str) -> String {
    let status = head.status.as_u16();
    let reason = head.status.canonical_reason().unwrap_or_default();
    let length = body.len();
    let date = fmt_http_date(SystemTime::now());
    let mut text = format!(
        "HTTP/1.1 {status} {reason}\r\n{REQUEST_ID}: {id}\r\nx-content-type-options: nosniff\r\n\
         connection: close\r\ncontent-length: {length}\r\ndate: {date}\r\n"
    );
    for (name, value) in &head.headers {
        let value = value.to_str().unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    text
}

/// The rejection for a head that hyper could not parse; `None` if the connection failed for another reason. `unread`
/// contains the bytes that hyper had read and not parsed.
pub fn rejection_of_parse_error(error: &hyper::Error, unread: &[u8]) -> Option<Rejection> {
    if error.is_incomplete_message() && !unread.is_empty() {
        return Some(Rejection::BadRequest(
            "The header section is incomplete: it must end with an empty line.",
        ));
    }
    if error.is_parse_too_large() {
        return Some(too_large(unread));
    }
    error.is_parse().then(|| Rejection::BadRequest(detail_of_parse_error(&error.to_string())))
}

/// hyper has one kind of error for everything that is too large, including a Content-Length beyond its bounds. In that
/// case it has already removed the head from the unread bytes.
fn too_large(unread: &[u8]) -> Rejection {
    // Empty lines before a request are not part of it.
    let mut lines = unread.trim_ascii_start().split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let method = first.split(|byte| *byte == b' ').next().unwrap_or_default();
    if method.len() > MAX_HEAD {
        LimitError::HeadTooLarge.into()
    } else if first.len() > MAX_HEAD {
        LimitError::TargetTooLong.into()
    } else if lines.count() > MAX_FIELDS {
        LimitError::TooManyFields.into()
    } else if unread.len() > MAX_HEAD {
        LimitError::HeadTooLarge.into()
    } else {
        Rejection::BadRequest(INVALID_LENGTH)
    }
}

/// hyper distinguishes kinds of parse errors only in their messages, which may change. The last case covers a message
/// that is not recognised.
fn detail_of_parse_error(message: &str) -> &'static str {
    if message.contains("HTTP method") {
        "The request does not begin with a valid method: send HTTP/1.1 (RFC 9112), without TLS."
    } else if message.contains("HTTP version") {
        "The HTTP version is not supported: use HTTP/1.1 or HTTP/1.0."
    } else if message.contains("URI") {
        "The request target is invalid: it must begin with a slash, and characters beyond ASCII must be \
         percent-encoded (RFC 9112, section 3.2)."
    } else if message.contains("HTTP header") {
        "A line of the header section is malformed: a field must be a name, a colon and a value on one \
         line, without control characters (RFC 9112, section 5)."
    } else if message.contains("content-length") {
        INVALID_LENGTH
    } else if message.contains("transfer-encoding") {
        "The Transfer-Encoding is invalid: it must be `chunked`, in a request of HTTP/1.1."
    } else {
        "The request is not valid: send HTTP/1.1 (RFC 9112)."
    }
}
