//! HTTP as the handlers see it: a request to read and a response to return.

use std::borrow::Cow;

/// An HTTP request.
///
/// The body is read only when a handler calls [`Request::body`], so that a request with an unknown path or method is rejected
/// without reading it.
pub trait Request {
    /// The method as received, for example `GET`. Methods are case-sensitive (RFC 9110 §9.1).
    fn method(&self) -> &str;

    /// The request target in origin form (RFC 9112 §3.2.1), for example `/api/v1/orders?limit=5`.
    fn path_and_query(&self) -> &str;

    /// The values of a header field, one for each field line, in the order received. `name` is lower case.
    fn header(&self, name: &str) -> Vec<&[u8]>;

    /// Reads the whole body. Called at most once.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] as soon as the body is known to exceed `limit` bytes; [`BodyError::Interrupted`] if it
    /// ends before it is complete.
    fn body(&mut self, limit: usize) -> Result<Vec<u8>, BodyError>;
}

/// Why the body of a request could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyError {
    /// The body exceeds this many bytes: the caller's limit, or the host's if that is lower.
    TooLarge(u64),
    /// The body ended before it was complete. The text is for the log.
    Interrupted(String),
}

/// A complete HTTP response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code, 200…599.
    pub status: u16,
    /// Header fields: names in lower case, values of visible ASCII and spaces only.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The content to send; empty in a response to HEAD.
    pub body: Vec<u8>,
    /// The cause of a failure. It is logged and never sent to the client.
    pub cause: Option<String>,
    /// Whether this request is one that fills an index after the response: see [`fill_indexes`](crate::handlers::fill_indexes).
    pub fills_indexes: bool,
}

impl Response {
    /// A response without header fields and content.
    pub(crate) const fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), cause: None, fills_indexes: false }
    }

    /// Adds a header field. `name` is lower case.
    pub(crate) fn with_header(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
    ) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Whether the response has a header field. `name` is lower case.
    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(present, _)| present == name)
    }
}
