//! One problem, and its response.

use std::borrow::Cow;

use serde::Serialize;

use super::kind::Kind;
use crate::json::{FieldError, FieldErrors, Path};
use crate::order::{Action, ChangeError, Status};
use crate::platform::{BodyError, Response};
use crate::repo::RepoError;

/// An error that becomes a response. It is boxed because results are passed often and errors are rare.
#[derive(Debug)]
pub(crate) struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    kind: Kind,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    conflict: Option<StatusConflict>,
    headers: Vec<(&'static str, String)>,
    cause: Option<String>,
}

/// The present status of an order that does not allow an action, and the actions that it does allow.
///
/// The member is not called `status` because RFC 9457 §3.1.2 uses that name for the status code.
#[derive(Debug, Serialize)]
struct StatusConflict {
    order_status: String,
    allowed: &'static [Action],
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self(Box::new(Parts {
            kind,
            detail,
            errors: Vec::new(),
            conflict: None,
            headers: Vec::new(),
            cause: None,
        }))
    }

    /// Adds a header field to the response. `name` is lower case.
    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.0.headers.push((name, value.to_owned()));
        self
    }

    /// Sets the cause, which is logged and not sent to the client.
    pub(crate) fn with_cause(mut self, cause: String) -> Self {
        self.0.cause = Some(cause);
        self
    }

    /// The status of an order does not allow what was asked for.
    fn conflict(detail: String, order_status: String, allowed: &'static [Action]) -> Self {
        let mut problem = Self::new(Kind::TransitionNotAllowed, detail);
        problem.0.conflict = Some(StatusConflict { order_status, allowed });
        problem
    }

    /// Whether the problem is the content of the request, 400 or 422.
    pub(crate) const fn is_about_content(&self) -> bool {
        matches!(self.0.kind.status(), 400 | 422)
    }

    /// The response with the problem document. `instance` is the path of the request.
    pub(crate) fn into_response(self, instance: &str) -> Response {
        let Parts { kind, detail, errors, conflict, headers, cause } = *self.0;
        let document = Document {
            uri: kind.uri(),
            title: kind.title(),
            status: kind.status(),
            detail: &detail,
            instance,
            errors: &errors,
            conflict,
        };
        // Serializing strings and numbers does not fail. If it did, the status would still be right.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::new(kind.status())
            .with_header("content-type", "application/problem+json")
            .with_header("cache-control", "no-store");
        for (name, value) in headers {
            response = response.with_header(name, value);
        }
        Response { body, cause, ..response }
    }
}

/// The members of RFC 9457 §3.1, `errors` as in its example, and the members of a conflict.
#[derive(Serialize)]
struct Document<'problem> {
    #[serde(rename = "type")]
    uri: String,
    title: &'problem str,
    status: u16,
    detail: &'problem str,
    instance: &'problem str,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'problem [FieldError],
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    conflict: Option<StatusConflict>,
}

impl From<FieldErrors> for Problem {
    fn from(errors: FieldErrors) -> Self {
        let (errors, truncated) = errors.into_parts();
        let detail = match (errors.len(), truncated) {
            (_, true) => "The body has more errors than are listed.",
            (1, _) => "The body has an error.",
            _ => "The body has several errors.",
        };
        let mut problem = Self::new(Kind::InvalidBody, detail);
        problem.0.errors = errors;
        problem
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NotAllowed { status, allowed } => {
                let detail = match (allowed, Status::from_name(&status)) {
                    ([], Some(_)) => format!("The order is {status}, which is a final status."),
                    ([], None) => format!("The order is {status}, which allows no action of this version."),
                    _ => {
                        let names: Vec<_> = allowed.iter().map(|action| action.name()).collect();
                        format!("The order is {status}. Allowed actions: {}.", names.join(", "))
                    }
                };
                Self::conflict(detail, status, allowed)
            }
            ChangeError::HappenedOtherwise { status, member } => {
                let detail = format!("The order is {status} already, and not with this {member}.");
                Self::conflict(detail, status.name().to_owned(), status.allowed_actions())
            }
            ChangeError::Metadata(rule) => {
                let mut errors = FieldErrors::default();
                errors.add_with(&Path::Root.member("metadata"), || format!("{rule} after the merge").into());
                errors.into()
            }
            ChangeError::Encoding(error) => {
                Self::new(Kind::InternalError, "The order cannot be written.").with_cause(error.to_string())
            }
        }
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge(limit) => {
                Self::new(Kind::BodyTooLarge, format!("The body is too large: the limit is {limit} bytes."))
            }
            BodyError::Interrupted(cause) => {
                Self::new(Kind::BodyInterrupted, "The body ended before it was complete.").with_cause(cause)
            }
        }
    }
}

impl From<RepoError> for Problem {
    fn from(error: RepoError) -> Self {
        match error {
            RepoError::Unavailable(cause) => Self::new(
                Kind::StoreUnavailable,
                "The store did not respond. A change may or may not have been applied.",
            )
            .with_header("retry-after", "1")
            .with_cause(cause),
            RepoError::TooLarge(cause) => {
                Self::new(Kind::InternalError, "The store accepts no more in one call.").with_cause(cause)
            }
            RepoError::Corrupt { key, cause } => {
                Self::new(Kind::InternalError, "A stored record cannot be read or written.")
                    .with_cause(format!("record {key}: {cause}"))
            }
        }
    }
}
