//! The only place where an error becomes a status.
//!
//! Every answer that the host makes in the component's stead is worded here, as
//! `application/problem+json` (RFC 9457). The public text is fixed; the cause goes to the log, once.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use crate::{
    guest::Failure,
    limits::{LimitError, MAX_HEAD},
};

/// How long a client should wait before it tries again, in seconds: long enough to spread a burst.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Why the host answers instead of the component.
#[derive(Debug)]
pub enum Reject {
    /// The request is not one that can be passed on. Says what is wrong with it.
    BadRequest(&'static str),
    /// A health path was asked with a method it does not know.
    HealthMethod,
    /// The service is not ready. Says why.
    NotReady(&'static str),
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
    /// The answer to a request for `path`.
    pub fn into_response(self, path: &str, request_id: &str) -> Response<Full<Bytes>> {
        self.log(request_id);
        let (status, detail) = self.words();
        let problem = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "detail": detail,
            "instance": path,
        });
        let mut response = Response::new(Full::from(problem.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if matches!(self, Self::HealthMethod) {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }

    fn words(&self) -> (StatusCode, String) {
        match self {
            Self::BadRequest(what) => (StatusCode::BAD_REQUEST, (*what).into()),
            Self::HealthMethod => {
                (StatusCode::METHOD_NOT_ALLOWED, "Health is asked for with GET or HEAD.".into())
            }
            Self::NotReady(why) => {
                (StatusCode::SERVICE_UNAVAILABLE, format!("The service is not ready: {why}."))
            }
            Self::TooManyConnections => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The service has as many connections as it can take. Try again shortly.".into(),
            ),
            Self::Limit(LimitError::Overloaded) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The service has as many requests as it can take. Try again shortly.".into(),
            ),
            Self::Limit(LimitError::HeadTooLarge) => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                format!(
                    "The target and the fields of the request are too large: at most {MAX_HEAD} bytes are accepted."
                ),
            ),
            Self::Limit(LimitError::BodyTooLarge(max)) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("The body of the request is too large: at most {max} bytes are accepted."),
            ),
            Self::Limit(LimitError::BodyLate) => {
                (StatusCode::REQUEST_TIMEOUT, "The body of the request did not arrive in time.".into())
            }
            Self::Limit(LimitError::BodyBroken) => {
                (StatusCode::BAD_REQUEST, "The body of the request broke off or is framed wrongly.".into())
            }
            Self::Guest(Failure::Trapped(_)) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "The request's handler failed.".into())
            }
            Self::Guest(Failure::OutOfMemory) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "The request's handler needed more memory than it may have.".into(),
            ),
            Self::Guest(Failure::OutOfTime) => {
                (StatusCode::GATEWAY_TIMEOUT, "The request's handler did not answer in time.".into())
            }
            Self::Guest(Failure::Unfinished | Failure::BadAnswer(_)) => {
                (StatusCode::BAD_GATEWAY, "The request's handler gave an answer that cannot be sent.".into())
            }
            Self::Guest(Failure::NoAnswer) => {
                (StatusCode::BAD_GATEWAY, "The request's handler ended without an answer.".into())
            }
            Self::Guest(Failure::GaveUp(_)) => {
                (StatusCode::BAD_GATEWAY, "The request's handler gave up.".into())
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
