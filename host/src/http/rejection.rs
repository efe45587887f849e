//! The only place where an error becomes a status.
//!
//! Every response that the host sends in place of the component is built here, as `application/problem+json` (RFC 9457).
//! The public text is fixed, and the cause is logged once. Only `/ready` publishes a cause: one of a
//! set of fixed texts, without names, files, addresses or secrets.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::{
    http::{
        limits::{LimitError, MAX_FIELDS, MAX_HEAD},
        pace::{MAX_BODY_PAUSE, MIN_BODY_RATE},
    },
    log::text::client_text,
    module::hash::ModuleHash,
    sandbox::{failure::Failure, tally::Fault},
};

/// How long a client should wait before it retries, in seconds: long enough to spread a burst.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Why the host responds instead of the component.
#[derive(Debug)]
pub enum Rejection {
    /// The request cannot be passed on. Contains a sentence that says why, and what a valid request has.
    BadRequest(&'static str),
    /// The request is valid, but needs something that the service does not support. Contains a sentence that names it.
    NotImplemented(&'static str),
    /// The API explorer has no file at this path.
    NoSuchPage,
    /// The host serves this path to GET and HEAD only.
    ReadOnly,
    /// The service is not ready.
    NotReady {
        /// A reason that anybody may read.
        reason: String,
        /// Whether the reason passes by itself.
        passes: bool,
    },
    /// The service is starting: it has no module and no store yet.
    Starting,
    /// The limit of connections is reached.
    TooManyConnections,
    /// The request exceeds a limit.
    Limit(LimitError),
    /// The component failed.
    Guest {
        /// The module that failed.
        module: ModuleHash,
        /// How it failed.
        failure: Failure,
    },
}

impl From<LimitError> for Rejection {
    fn from(error: LimitError) -> Self {
        Self::Limit(error)
    }
}

impl Rejection {
    /// Whether the request is valid, and may be served if it is sent again a moment later.
    pub fn is_overload(&self) -> bool {
        matches!(self, Self::Starting | Self::Limit(LimitError::Overloaded))
    }

    /// Whether it passes by itself, so that a client may send the request again.
    fn passes(&self) -> bool {
        !matches!(
            self,
            Self::NotReady { passes: false, .. } | Self::Guest { failure: Failure::StoreFailed, .. }
        )
    }

    /// The response to a request for `path`; `None` if the request could not be read.
    pub fn into_response(self, path: Option<&str>, request_id: &str) -> Response<Bytes> {
        self.log(path, request_id);
        let (status, detail) = self.status_and_detail();
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
        if status == StatusCode::SERVICE_UNAVAILABLE && self.passes() {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if matches!(self, Self::ReadOnly) {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }

    fn status_and_detail(&self) -> (StatusCode, String) {
        match self {
            Self::BadRequest(detail) => (StatusCode::BAD_REQUEST, (*detail).into()),
            Self::NotImplemented(detail) => (StatusCode::NOT_IMPLEMENTED, (*detail).into()),
            Self::NoSuchPage => (
                StatusCode::NOT_FOUND,
                "The API explorer has no file at this path: its start page is /docs.".into(),
            ),
            Self::ReadOnly => (
                StatusCode::METHOD_NOT_ALLOWED,
                "This path does not support the method: use GET or HEAD.".into(),
            ),
            Self::NotReady { reason, .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, format!("The service is not ready: {reason}."))
            }
            Self::Starting => {
                (StatusCode::SERVICE_UNAVAILABLE, "The service is starting. Try again shortly.".into())
            }
            Self::TooManyConnections => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The service has reached its limit of connections. Try again shortly.".into(),
            ),
            Self::Limit(error) => limit_response(*error),
            Self::Guest { failure, .. } => guest_response(failure),
        }
    }

    /// Logs a failure of the component. A request that exceeds a limit, or whose module was withdrawn, is in the access log,
    /// which is enough.
    fn log(&self, path: Option<&str>, request_id: &str) {
        let Self::Guest { module, failure } = self else { return };
        if Fault::of(failure).is_some() || matches!(failure, Failure::NoInstance) {
            let path = path.map(client_text);
            tracing::error!(
                event = "request.handler_failed",
                request_id,
                module = module.short(),
                path = path.as_deref(),
                %failure,
                "request handler failed"
            );
        }
    }
}

/// The status and the text for a request that exceeds a limit.
pub fn limit_response(error: LimitError) -> (StatusCode, String) {
    match error {
        LimitError::Overloaded => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The service is at capacity: it has reached the limit of requests in flight, or of memory \
             for their bodies. Try again shortly."
                .into(),
        ),
        LimitError::HeadTooLarge => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            format!(
                "The request line and header fields are too large: together they may have at most \
                 {MAX_HEAD} bytes."
            ),
        ),
        LimitError::TooManyFields => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            format!("The request has too many header fields: it may have at most {MAX_FIELDS}."),
        ),
        LimitError::TargetTooLong => (
            StatusCode::URI_TOO_LONG,
            format!(
                "The request target is too long: with the header fields, it may have at most {MAX_HEAD} \
                 bytes."
            ),
        ),
        LimitError::HeadTimeout => (
            StatusCode::REQUEST_TIMEOUT,
            "The header section did not arrive in time: send it without pauses, and end it with an empty \
             line."
                .into(),
        ),
        LimitError::BodyTimeout => (
            StatusCode::REQUEST_TIMEOUT,
            "The request body did not arrive in time: send it without pauses, with the length that was \
             announced."
                .into(),
        ),
        LimitError::BodyTooSlow => (
            StatusCode::REQUEST_TIMEOUT,
            format!(
                "The request body arrives too slowly: send at least {} KiB/s, and do not pause for {} s.",
                MIN_BODY_RATE >> 10,
                MAX_BODY_PAUSE.as_secs()
            ),
        ),
        LimitError::BodyMalformed => (
            StatusCode::BAD_REQUEST,
            "The request body ended early or is framed incorrectly: it must have the length that \
             Content-Length announces, or consist of valid chunks that end with a chunk of size 0."
                .into(),
        ),
        LimitError::BodyPadded => (
            StatusCode::BAD_REQUEST,
            "The request body has too many chunks, or too many bytes around its data: send it in larger chunks, without \
             padding."
                .into(),
        ),
    }
}

fn guest_response(failure: &Failure) -> (StatusCode, String) {
    let (status, detail) = match failure {
        Failure::BodyTooLarge(max) => {
            let detail = format!("The request body is too large: it may have at most {max} bytes.");
            return (StatusCode::PAYLOAD_TOO_LARGE, detail);
        }
        // Hardly ever sent: readers are awaited, and streams end, after the head of a response.
        Failure::NotRead | Failure::StreamEnded => {
            (StatusCode::SERVICE_UNAVAILABLE, "The response was ended. Try again.")
        }
        Failure::TooManyStreams => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The service is at capacity: it has reached the limit of streams. Try again shortly.",
        ),
        Failure::Trapped(_) => (StatusCode::INTERNAL_SERVER_ERROR, "The request handler failed."),
        Failure::OutOfMemory => {
            (StatusCode::INTERNAL_SERVER_ERROR, "The request handler exceeded its memory limit.")
        }
        Failure::TimedOut => {
            (StatusCode::GATEWAY_TIMEOUT, "The request handler did not respond before the deadline.")
        }
        Failure::LateRequest => (
            StatusCode::GATEWAY_TIMEOUT,
            "The request arrived too late for its handler to respond before the deadline: send it without pauses.",
        ),
        Failure::OutOfCpu => {
            (StatusCode::GATEWAY_TIMEOUT, "The request handler exceeded its limit of processor time.")
        }
        Failure::Withdrawn => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The version of the service that handled this request was withdrawn. Try again.",
        ),
        Failure::StoreFailed => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The state of the service cannot be read or written until an operator has acted. A change that was requested has \
             perhaps been made.",
        ),
        Failure::NoInstance => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The service is at capacity: there is no room for another instance of the request handler. Try again shortly.",
        ),
        Failure::IncompleteResponse | Failure::InvalidResponse(_) => {
            (StatusCode::BAD_GATEWAY, "The request handler returned an invalid response.")
        }
        Failure::NoResponse => (StatusCode::BAD_GATEWAY, "The request handler ended without a response."),
        Failure::ReturnedError(_) => {
            (StatusCode::BAD_GATEWAY, "The request handler returned an error instead of a response.")
        }
    };
    (status, detail.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_a_withdrawn_module_may_be_sent_again() {
        let (module, failure) = (ModuleHash::digest(b""), Failure::Withdrawn);
        let response = Rejection::Guest { module, failure }.into_response(Some("/"), "id");
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], RETRY_AFTER);
    }
}
