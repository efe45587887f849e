//! What the handlers see of HTTP: a request to read from and a response to hand back.

use std::borrow::Cow;

/// An HTTP request, as far as the handlers need one.
///
/// The body is read only when a handler asks for it, so that a request for a path or with a method that
/// does not exist is answered without it.
pub trait Request {
    /// The method as sent, for example `GET`. Methods are case-sensitive (RFC 9110 §9.1).
    fn method(&self) -> &str;

    /// The request target in origin form (RFC 9112 §3.2.1), for example `/api/v1/orders?limit=5`.
    fn path_and_query(&self) -> &str;

    /// Every value of a field, one for each field line, in the order sent. `name` is lower case.
    fn header(&self, name: &str) -> Vec<&[u8]>;

    /// The whole body. Called at most once.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] as soon as it is clear that the body has more than `limit` bytes,
    /// [`BodyError::Interrupted`] when it ends before it is complete.
    fn body(&mut self, limit: usize) -> Result<Vec<u8>, BodyError>;
}

/// Why a request has no body to work with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyError {
    /// It has more bytes than this many: what the caller allowed, or less if the host allows less.
    TooLarge(u64),
    /// It ended before it was complete. The text is for the log.
    Interrupted(String),
}

/// A complete HTTP response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code, 200…599.
    pub status: u16,
    /// Field names in lower case, each with its value: visible ASCII and spaces only.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The content to send; empty for an answer to HEAD.
    pub body: Vec<u8>,
    /// What went wrong, for the log, never for the client.
    pub cause: Option<String>,
}

impl Response {
    /// A response without fields and without content.
    pub(crate) const fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), cause: None }
    }

    /// With one more field. `name` is lower case.
    pub(crate) fn header(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}
