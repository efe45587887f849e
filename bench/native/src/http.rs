//! A request of axum as the handlers see it, and their response as axum sends it.

use axum::{
    body::{Body, Bytes, to_bytes},
    extract,
    http::{HeaderName, HeaderValue, StatusCode, request::Parts},
    response,
};
use orders_guest::platform::{BodyError, Request, Response};

/// The largest body that is read, as the host has it by default.
const MAX_BODY: usize = 1 << 20;

/// A request with all of its body: as in the host, a slow client holds up nobody.
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
        let read_before = Err(BodyError::Interrupted("the body was read before".into()));
        match std::mem::replace(&mut self.body, read_before)? {
            body if body.len() > limit => Err(BodyError::TooLarge(u64::try_from(limit).unwrap_or(u64::MAX))),
            body => Ok(body.into()),
        }
    }
}

/// What axum sends.
pub(crate) fn send(answer: Response) -> response::Response {
    let mut response = response::Response::new(Body::from(answer.body));
    let Ok(status) = StatusCode::from_u16(answer.status) else { return failed() };
    *response.status_mut() = status;
    for (name, value) in answer.headers {
        match (HeaderName::try_from(&*name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => _ = response.headers_mut().append(name, value),
            _ => return failed(),
        }
    }
    response
}

/// The answer where the handlers made one that cannot be sent: it ends the benchmark.
pub(crate) fn failed() -> response::Response {
    let mut response = response::Response::new(Body::empty());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
