//! What a client is told on whose connection no request could be read.
//!
//! Such an answer belongs to no request, so that hyper cannot write it; its words are those of [`Reject`] all
//! the same, and it has its line in the access log.

use std::{fmt::Write, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::response::Parts;
use httpdate::fmt_http_date;

use crate::{
    http::{
        answer::Access,
        limits::{LimitError, MAX_FIELDS, MAX_HEAD},
        reject::Reject,
        service::{REQUEST_ID, new_request_id},
    },
    module::hash::ModuleHash,
};

/// Of a Content-Length that is none.
const UNCLEAR_LENGTH: &str =
    "The length of the request's body is not clear: a Content-Length is one decimal number.";

/// An answer that is the last of its connection, as it is written.
#[derive(Debug)]
pub struct Refusal {
    head: String,
    body: Bytes,
    access: Access,
}

impl Refusal {
    /// Words `reject`.
    pub fn new(reject: Reject, module: ModuleHash) -> Self {
        let (id, _) = new_request_id();
        let (head, body) = reject.into_response(None, &id).into_parts();
        let access = Access::without_request(Arc::clone(&id), module, head.status);
        Self { head: written(&head, &body, &id), body, access }
    }

    /// What is to be written.
    pub fn bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), &self.body].concat()
    }

    /// It has been written, all of it.
    pub fn sent(mut self) {
        self.access.sent(self.body.len());
    }
}

/// The head of a response of HTTP/1.1 (RFC 9112, section 4).
fn written(head: &Parts, body: &Bytes, id: &str) -> String {
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

/// What was wrong with a head that hyper could not read, if that is why it gave up. `unread` is what it had
/// taken in and made nothing of.
pub fn unreadable(error: &hyper::Error, unread: &[u8]) -> Option<Reject> {
    if error.is_incomplete_message() && !unread.is_empty() {
        return Some(Reject::BadRequest("The head of the request broke off: its last line is an empty one."));
    }
    if error.is_parse_too_large() {
        return Some(too_large(unread));
    }
    error.is_parse().then(|| Reject::BadRequest(what_was_wrong(&error.to_string())))
}

/// hyper has one kind of error for all that is too much, a length beyond all bounds among it: there it has taken
/// the head out of what is unread.
fn too_large(unread: &[u8]) -> Reject {
    let mut lines = unread.split(|byte| *byte == b'\n');
    if lines.next().is_some_and(|first| first.len() > MAX_HEAD) {
        LimitError::TargetTooLong.into()
    } else if lines.count() > MAX_FIELDS {
        LimitError::TooManyFields.into()
    } else if unread.len() > MAX_HEAD {
        LimitError::HeadTooLarge.into()
    } else {
        Reject::BadRequest(UNCLEAR_LENGTH)
    }
}

/// hyper tells kinds of errors apart only in its words, which it may change: then the last one says it all.
fn what_was_wrong(words: &str) -> &'static str {
    if words.contains("HTTP method") {
        "The request does not begin with a method: HTTP/1.1 is spoken here (RFC 9112), without TLS."
    } else if words.contains("HTTP version") {
        "The version of the request is not spoken here: HTTP/1.1 and HTTP/1.0 are."
    } else if words.contains("URI") {
        "The target of the request is not a valid one: it begins with a slash, and characters beyond ASCII are \
         percent-encoded (RFC 9112, section 3.2)."
    } else if words.contains("HTTP header") {
        "A line of the request's head is malformed: a field is a name, a colon and a value on one line, without \
         control characters (RFC 9112, section 5)."
    } else if words.contains("content-length") {
        UNCLEAR_LENGTH
    } else if words.contains("transfer-encoding") {
        "The length of the request's body is not clear: a Transfer-Encoding is `chunked`, and needs HTTP/1.1."
    } else {
        "The head of the request is not one of HTTP/1.1 (RFC 9112)."
    }
}
