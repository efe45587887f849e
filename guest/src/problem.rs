//! Every error as a problem document (RFC 9457). What a client reads is fixed here and where the problem is
//! made; what went wrong inside goes to [`Response::cause`].

use std::borrow::Cow;

use serde::Serialize;

use crate::json::decode::{Fault, Faults};
use crate::repo::RepoError;
use crate::request::{BodyError, Response};

/// The kinds of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    NoSuchPath,
    OrderNotFound,
    MethodNotAllowed,
    BodyTooLarge,
    BodyInterrupted,
    UnsupportedContent,
    InvalidParameter,
    MalformedJson,
    InvalidOrder,
    StoreUnavailable,
    InternalError,
}

impl Kind {
    /// Its slug (the last segment of the problem type), its status code and its title.
    const fn entry(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::NoSuchPath => ("no-such-path", 404, "There is nothing at this path"),
            Self::OrderNotFound => ("order-not-found", 404, "There is no such order"),
            Self::MethodNotAllowed => ("method-not-allowed", 405, "This path does not take the method"),
            Self::BodyTooLarge => ("body-too-large", 413, "The body is too large"),
            Self::BodyInterrupted => ("body-interrupted", 400, "The body is not complete"),
            Self::UnsupportedContent => ("unsupported-content", 415, "The body is of a type not taken here"),
            Self::InvalidParameter => ("invalid-parameter", 400, "A query parameter is wrong"),
            Self::MalformedJson => ("malformed-json", 400, "The body is not well-formed JSON"),
            Self::InvalidOrder => ("invalid-order", 422, "The order breaks the rules"),
            Self::StoreUnavailable => ("store-unavailable", 503, "The store is not available"),
            Self::InternalError => ("internal-error", 500, "Something is wrong with this service"),
        }
    }
}

/// An error on its way to becoming a response.
#[derive(Debug)]
pub(crate) struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    faults: Vec<Fault>,
    headers: Vec<(&'static str, String)>,
    cause: Option<String>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into(), faults: Vec::new(), headers: Vec::new(), cause: None }
    }

    /// With a field of its own. `name` is lower case.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// With what the log should tell and the client should not.
    pub(crate) fn cause(mut self, cause: String) -> Self {
        self.cause = Some(cause);
        self
    }

    /// The problem document. `instance` is the path of the request.
    pub(crate) fn into_response(self, instance: &str) -> Response {
        let (slug, status, title) = self.kind.entry();
        let document = Document {
            kind: format!("/problems/{slug}"),
            title,
            status,
            detail: &self.detail,
            instance,
            errors: &self.faults,
        };
        // A document of strings and a number can always be written; should it not, the status still tells.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut headers = self.headers;
        headers.push(("content-type", "application/problem+json".to_owned()));
        headers.push(("cache-control", "no-store".to_owned()));
        Response { status, headers, body, cause: self.cause }
    }
}

/// The members of RFC 9457 §3.1, and `errors` as in its example.
#[derive(Serialize)]
struct Document<'problem> {
    #[serde(rename = "type")]
    kind: String,
    title: &'problem str,
    status: u16,
    detail: &'problem str,
    instance: &'problem str,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'problem [Fault],
}

impl From<Faults> for Problem {
    fn from(faults: Faults) -> Self {
        let (faults, more) = faults.into_parts();
        let detail = match (faults.len(), more) {
            (_, true) => "The order has more faults than are listed here.",
            (1, _) => "The order has a fault.",
            _ => "The order has several faults.",
        };
        Self { faults, ..Self::new(Kind::InvalidOrder, detail) }
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::new(Kind::BodyTooLarge, "The body must have at most 1048576 bytes."),
            BodyError::Interrupted(cause) => {
                Self::new(Kind::BodyInterrupted, "The body ended before it was complete.").cause(cause)
            }
        }
    }
}

impl From<RepoError> for Problem {
    fn from(error: RepoError) -> Self {
        match error {
            RepoError::Conflict => Self::new(
                Kind::StoreUnavailable,
                "Another request was first, and nothing was changed. Try again.",
            )
            .header("retry-after", "1")
            .cause("a record of the same key exists".to_owned()),
            RepoError::Unavailable(cause) => Self::new(
                Kind::StoreUnavailable,
                "The store did not answer. If the request was to change something, it may or may not have.",
            )
            .header("retry-after", "1")
            .cause(cause),
            RepoError::Corrupt { key, cause } => {
                Self::new(Kind::InternalError, "A stored record cannot be read or written.")
                    .cause(format!("record {key}: {cause}"))
            }
        }
    }
}
