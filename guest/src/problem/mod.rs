//! Every error as a problem document (RFC 9457). What a client reads is fixed here and where the problem is
//! made; what went wrong inside goes to [`Response::cause`].

mod kind;

use std::borrow::Cow;

use serde::Serialize;

use crate::json::decode::{Fault, Faults};
use crate::order::{Action, NotAllowed, Status};
use crate::repo::RepoError;
use crate::request::{BodyError, Response};

pub(crate) use self::kind::Kind;

/// An error on its way to becoming a response. One pointer wide, for it is rare and results are passed often.
#[derive(Debug)]
pub(crate) struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    kind: Kind,
    detail: Cow<'static, str>,
    faults: Vec<Fault>,
    state: Option<State>,
    headers: Vec<(&'static str, String)>,
    cause: Option<String>,
}

/// What a client can do instead of what the state of an order does not allow.
///
/// RFC 9457 §3.1.2 takes the name `status` for the status code.
#[derive(Debug, Clone, Copy, Serialize)]
struct State {
    order_status: Status,
    allowed: &'static [Action],
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self(Box::new(Parts {
            kind,
            detail,
            faults: Vec::new(),
            state: None,
            headers: Vec::new(),
            cause: None,
        }))
    }

    /// With a field of its own. `name` is lower case.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.0.headers.push((name, value.to_owned()));
        self
    }

    /// With what the log should tell and the client should not.
    pub(crate) fn cause(mut self, cause: String) -> Self {
        self.0.cause = Some(cause);
        self
    }

    /// The problem document. `instance` is the path of the request.
    pub(crate) fn into_response(self, instance: &str) -> Response {
        let Parts { kind, detail, faults, state, headers, cause } = *self.0;
        let document = Document {
            uri: kind.uri(),
            title: kind.title(),
            status: kind.status(),
            detail: &detail,
            instance,
            errors: &faults,
            state,
        };
        // A document of strings and numbers can always be written; should it not, the status still tells.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::new(kind.status())
            .header("content-type", "application/problem+json")
            .header("cache-control", "no-store");
        for (name, value) in headers {
            response = response.header(name, value);
        }
        Response { body, cause, ..response }
    }
}

/// The members of RFC 9457 §3.1, `errors` as in its example, and what a conflict adds.
#[derive(Serialize)]
struct Document<'problem> {
    #[serde(rename = "type")]
    uri: String,
    title: &'problem str,
    status: u16,
    detail: &'problem str,
    instance: &'problem str,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'problem [Fault],
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    state: Option<State>,
}

impl From<Faults> for Problem {
    fn from(faults: Faults) -> Self {
        let (faults, more) = faults.into_parts();
        let detail = match (faults.len(), more) {
            (_, true) => "The body has more faults than are listed here.",
            (1, _) => "The body has a fault.",
            _ => "The body has several faults.",
        };
        let mut problem = Self::new(Kind::InvalidBody, detail);
        problem.0.faults = faults;
        problem
    }
}

impl From<NotAllowed> for Problem {
    fn from(NotAllowed { status }: NotAllowed) -> Self {
        let allowed = status.allows();
        let detail = if allowed.is_empty() {
            format!("The order is {status}, which is final.")
        } else {
            let names: Vec<_> = allowed.iter().map(|action| action.name()).collect();
            format!("The order is {status}. What can be done with it: {}.", names.join(", "))
        };
        let mut problem = Self::new(Kind::TransitionNotAllowed, detail);
        problem.0.state = Some(State { order_status: status, allowed });
        problem
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge(limit) => {
                Self::new(Kind::BodyTooLarge, format!("The body must have at most {limit} bytes."))
            }
            BodyError::Interrupted(cause) => {
                Self::new(Kind::BodyInterrupted, "The body ended before it was complete.").cause(cause)
            }
        }
    }
}

impl From<RepoError> for Problem {
    fn from(error: RepoError) -> Self {
        match error {
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
