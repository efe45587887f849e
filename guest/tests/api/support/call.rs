//! Requests.

use orders_guest::platform::{BodyError, Request};
use serde_json::Value;

/// A request, with the number of times its body was read.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Result<Vec<u8>, BodyError>,
    /// How many times the body was read.
    pub(crate) body_reads: u32,
}

impl Call {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        let (method, target) = (method.to_owned(), target.to_owned());
        Self { method, target, headers: Vec::new(), body: Ok(Vec::new()), body_reads: 0 }
    }

    /// A POST to the orders with a JSON body.
    pub(crate) fn post(body: impl AsRef<[u8]>) -> Self {
        Self::new("POST", "/api/v1/orders").header("content-type", "application/json").body(body)
    }

    /// A merge patch of an order.
    pub(crate) fn patch(id: &str, patch: &Value) -> Self {
        Self::new("PATCH", &format!("/api/v1/orders/{id}"))
            .header("content-type", "application/merge-patch+json")
            .body(patch.to_string())
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// The same request with another target.
    pub(crate) fn at(&self, target: &str) -> Self {
        Self { target: target.to_owned(), ..self.clone() }
    }

    /// Removes every header field with this name.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Ok(body.as_ref().to_vec());
        self
    }

    pub(crate) fn interrupted(mut self, cause: &str) -> Self {
        self.body = Err(BodyError::Interrupted(cause.to_owned()));
        self
    }
}

impl Request for Call {
    fn method(&self) -> &str {
        &self.method
    }

    fn path_and_query(&self) -> &str {
        &self.target
    }

    fn header(&self, name: &str) -> Vec<&[u8]> {
        self.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_slice()).collect()
    }

    fn body(&mut self, limit: usize) -> Result<Vec<u8>, BodyError> {
        self.body_reads += 1;
        let body = self.body.clone()?;
        if body.len() > limit { Err(BodyError::TooLarge(limit.try_into().unwrap())) } else { Ok(body) }
    }
}
