//! The only place where an error becomes a status.
//!
//! Every answer that the host makes in the component's stead is worded here, as
//! `application/problem+json` (RFC 9457). The public text is fixed and the cause goes to the log, once; only `/ready`
//! tells the cause to whoever asks, in words without names, addresses or secrets.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::{
    http::limits::{LimitError, MAX_FIELDS, MAX_HEAD},
    sandbox::failure::Failure,
};

/// How long a client should wait before it tries again, in seconds: long enough to spread a burst.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Why the host answers instead of the component.
#[derive(Debug)]
pub enum Reject {
    /// The request is not one that can be passed on. Says what is wrong with it.
    BadRequest(&'static str),
    /// The request is a good one that no service of this kind fulfils. Says why.
    NotImplemented(&'static str),
    /// There is no page at this path.
    NoSuchPage,
    /// What is answered by the host is asked for with GET or HEAD.
    ReadOnly,
    /// The service is not ready. Says why.
    NotReady(String),
    /// As many connections as allowed are open.
    TooManyConnections,
    /// A limit of the service.
    Limit(LimitError),
    /// The component failed.
    Guest(Failure),
}

impl From<LimitError> for Reject {
    fn from(error: LimitError) -> Self {
        Self::Limit(error)
    }
}

impl From<Failure> for Reject {
    fn from(failure: Failure) -> Self {
        Self::Guest(failure)
    }
}

impl Reject {
    /// Whether there is nothing wrong with the request, and the same one may be served a moment later.
    pub fn is_for_want_of_room(&self) -> bool {
        matches!(self, Self::Limit(LimitError::Overloaded))
    }

    /// The answer to a request for `path`, if there was one that could be read.
    pub fn into_response(self, path: Option<&str>, request_id: &str) -> Response<Bytes> {
        self.log(request_id);
        let (status, detail) = self.words();
        let mut problem = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "detail": detail,
        });
        if let (Some(path), Some(members)) = (path, problem.as_object_mut()) {
            members.insert("instance".to_owned(), path.into());
        }
        let mut response = Response::new(Bytes::from(problem.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if matches!(self, Self::ReadOnly) {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }

    fn words(&self) -> (StatusCode, String) {
        match self {
            Self::BadRequest(what) => (StatusCode::BAD_REQUEST, (*what).into()),
            Self::NotImplemented(why) => (StatusCode::NOT_IMPLEMENTED, (*why).into()),
            Self::NoSuchPage => (StatusCode::NOT_FOUND, "There is no page at this path.".into()),
            Self::ReadOnly => {
                (StatusCode::METHOD_NOT_ALLOWED, "This path is asked for with GET or HEAD.".into())
            }
            Self::NotReady(why) => {
                (StatusCode::SERVICE_UNAVAILABLE, format!("The service is not ready: {why}."))
            }
            Self::TooManyConnections => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The service has as many connections as it can take. Try again shortly.".into(),
            ),
            Self::Limit(error) => limit_words(*error),
            Self::Guest(failure) => {
                let (status, detail) = guest_words(failure);
                (status, detail.into())
            }
        }
    }

    /// A failed component is news; a limit doing its work is in the access log.
    fn log(&self, request_id: &str) {
        if let Self::Guest(failure) = self {
            tracing::error!(request_id, %failure, "no answer from the component");
        }
    }
}

fn limit_words(error: LimitError) -> (StatusCode, String) {
    match error {
        LimitError::Overloaded => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The service has as many requests as it can take. Try again shortly.".into(),
        ),
        LimitError::HeadTooLarge => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            format!(
                "The target and the fields of the request are too large: at most {MAX_HEAD} bytes are accepted."
            ),
        ),
        LimitError::TooManyFields => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            format!("The request has too many fields: at most {MAX_FIELDS} are accepted."),
        ),
        LimitError::TargetTooLong => (
            StatusCode::URI_TOO_LONG,
            format!(
                "The target of the request is too long: with the fields, at most {MAX_HEAD} bytes are accepted."
            ),
        ),
        LimitError::HeadLate => (
            StatusCode::REQUEST_TIMEOUT,
            "The head of the request had begun and did not arrive in time: its last line is an empty one."
                .into(),
        ),
        LimitError::BodyLate => {
            (StatusCode::REQUEST_TIMEOUT, "The body of the request did not arrive in time.".into())
        }
        LimitError::BodyBroken => {
            (StatusCode::BAD_REQUEST, "The body of the request broke off or is framed wrongly.".into())
        }
    }
}

fn guest_words(failure: &Failure) -> (StatusCode, &'static str) {
    match failure {
        Failure::Trapped(_) => (StatusCode::INTERNAL_SERVER_ERROR, "The request's handler failed."),
        Failure::OutOfMemory => {
            (StatusCode::INTERNAL_SERVER_ERROR, "The request's handler needed more memory than it may have.")
        }
        Failure::OutOfTime => (StatusCode::GATEWAY_TIMEOUT, "The request's handler did not answer in time."),
        Failure::Unfinished | Failure::BadAnswer(_) => {
            (StatusCode::BAD_GATEWAY, "The request's handler gave an answer that cannot be sent.")
        }
        Failure::NoAnswer => (StatusCode::BAD_GATEWAY, "The request's handler ended without an answer."),
        Failure::GaveUp(_) => (StatusCode::BAD_GATEWAY, "The request's handler gave up."),
    }
}
