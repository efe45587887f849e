//! Converts between axum's requests and responses and those of the handlers.

use axum::{
    body::{Body, Bytes, to_bytes},
    extract,
    http::{HeaderName, HeaderValue, StatusCode, request::Parts},
    response,
};
use orders_guest::platform::{BodyError, Request, Response};

/// The host's default limit of a request body.
const MAX_BODY: usize = 1 << 20;

/// A request with its complete body: as in the host, a slow upload does not occupy a handler.
pub(crate) struct Incoming {
    head: Parts,
    body: Result<Bytes, BodyError>,
}

impl Incoming {
    /// Reads the whole body.
    pub(crate) async fn receive(request: extract::Request) -> Self {
        let (head, body) = request.into_parts();
        let body = to_bytes(body, MAX_BODY).await.map_err(|error| BodyError::Interrupted(error.to_string()));
        Self { head, body }
    }
}

impl Request for Incoming {
    fn method(&self) -> &str {
        self.head.method.as_str()
    }

    fn path_and_query(&self) -> &str {
        self.head.uri.path_and_query().map_or("/", |target| target.as_str())
    }

    fn header(&self, name: &str) -> Vec<&[u8]> {
        self.head.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
    }

    fn body(&mut self, limit: usize) -> Result<Vec<u8>, BodyError> {
        let read_before = Err(BodyError::Interrupted("the body was already read".into()));
        match std::mem::replace(&mut self.body, read_before)? {
            body if body.len() > limit => Err(BodyError::TooLarge(u64::try_from(limit).unwrap_or(u64::MAX))),
            body => Ok(body.into()),
        }
    }
}

/// Converts the handlers' response.
pub(crate) fn send(response: Response) -> response::Response {
    let Ok(status) = StatusCode::from_u16(response.status) else { return failed() };
    let mut sent = response::Response::new(Body::from(response.body));
    *sent.status_mut() = status;
    for (name, value) in response.headers {
        match (HeaderName::try_from(&*name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => _ = sent.headers_mut().append(name, value),
            _ => return failed(),
        }
    }
    sent
}

/// The response if a handler panicked, or its response is invalid. It makes the measurement void.
pub(crate) fn failed() -> response::Response {
    let mut response = response::Response::new(Body::empty());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
