//! The kinds of problem, and the page that explains each.

use serde::Serialize;

/// A kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    NoSuchPath,
    OrderNotFound,
    MethodNotAllowed,
    NotAcceptable,
    TransitionNotAllowed,
    ConcurrentChange,
    PreconditionFailed,
    BodyTooLarge,
    BodyInterrupted,
    UnsupportedContent,
    InvalidHeader,
    InvalidParameter,
    MalformedJson,
    InvalidBody,
    IdempotencyKeyReused,
    StoreUnavailable,
    InternalError,
}

/// The texts and the status of a kind of problem.
struct Entry {
    /// The last segment of the type.
    slug: &'static str,
    status: u16,
    title: &'static str,
    /// What the problem means and how to solve it: plain text without markup.
    description: &'static str,
}

impl Kind {
    /// All kinds.
    pub(crate) const ALL: [Self; 17] = [
        Self::NoSuchPath,
        Self::OrderNotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::TransitionNotAllowed,
        Self::ConcurrentChange,
        Self::PreconditionFailed,
        Self::BodyTooLarge,
        Self::BodyInterrupted,
        Self::UnsupportedContent,
        Self::InvalidHeader,
        Self::InvalidParameter,
        Self::MalformedJson,
        Self::InvalidBody,
        Self::IdempotencyKeyReused,
        Self::StoreUnavailable,
        Self::InternalError,
    ];

    /// The kind with this slug.
    pub(crate) fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.entry().slug == slug)
    }

    /// The type: a reference to the page that explains the problem.
    pub(crate) fn uri(self) -> String {
        format!("/problems/{}", self.entry().slug)
    }

    pub(crate) const fn status(self) -> u16 {
        self.entry().status
    }

    pub(crate) const fn title(self) -> &'static str {
        self.entry().title
    }

    /// The page as JSON.
    pub(crate) fn to_json(self) -> serde_json::Result<Vec<u8>> {
        #[derive(Serialize)]
        struct Page {
            #[serde(rename = "type")]
            kind: String,
            title: &'static str,
            status: u16,
            description: &'static str,
        }
        let Entry { status, title, description, .. } = self.entry();
        serde_json::to_vec(&Page { kind: self.uri(), title, status, description })
    }

    /// The page as HTML. The texts contain no characters that need escaping.
    pub(crate) fn to_html(self) -> Vec<u8> {
        let Entry { status, title, description, slug } = self.entry();
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
             <h1>{title}</h1>\n<p>{description}</p>\n\
             <p>Type <code>/problems/{slug}</code>, status {status}. \
             API description: <a href=\"/openapi.json\">/openapi.json</a></p>\n</html>\n"
        )
        .into_bytes()
    }

    #[allow(clippy::too_many_lines, reason = "it is a table")]
    const fn entry(self) -> Entry {
        let (slug, status, title, description) = match self {
            Self::NoSuchPath => (
                "no-such-path",
                404,
                "No resource at this path",
                "No resource has this path. Paths are matched exactly: lower case but for ids, without a trailing slash.",
            ),
            Self::OrderNotFound => (
                "order-not-found",
                404,
                "Order not found",
                "No order has this id. The id of an order is the UUID in the response that created it.",
            ),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                405,
                "Method not allowed for this path",
                "The Allow header of the response lists the methods that this path supports.",
            ),
            Self::NotAcceptable => (
                "not-acceptable",
                406,
                "No acceptable media type",
                "The Accept header of the request matches no media type of this resource. Add one that the resource \
                 offers, or omit the header.",
            ),
            Self::TransitionNotAllowed => (
                "transition-not-allowed",
                409,
                "The order's status does not allow the action",
                "An order moves from pending to confirmed, shipped and delivered. It can be cancelled while it is \
                 pending or confirmed. What has happened cannot happen again with another tracking or reason. The member order_status of the problem contains the present status, and \
                 allowed lists the actions that this status allows.",
            ),
            Self::ConcurrentChange => (
                "concurrent-change",
                409,
                "Concurrent changes to the order",
                "Other requests changed the order at the same time, and every attempt to apply this change, for up to \
                 5 seconds, conflicted with them. Nothing was changed. Retry the request after the time in the \
                 Retry-After header.",
            ),
            Self::PreconditionFailed => (
                "precondition-failed",
                412,
                "A precondition of the request does not hold",
                "The If-Match header does not contain the present version of the order, because another request has \
                 changed it; or the If-None-Match header of a change contains it. Nothing was changed. Get the order, \
                 apply the change to its present version, and send the new entity tag.",
            ),
            Self::BodyTooLarge => (
                "body-too-large",
                413,
                "Request body too large",
                "The limit for a request body is 1 MiB, or less if the service is configured with a lower limit. \
                 The detail states the limit.",
            ),
            Self::BodyInterrupted => (
                "body-interrupted",
                400,
                "Incomplete request body",
                "The connection was closed, or invalid framing was detected, before the complete body was received.",
            ),
            Self::UnsupportedContent => (
                "unsupported-content",
                415,
                "Unsupported type or coding of the request body",
                "This resource does not support the media type or the content coding of the body. The headers \
                 Accept, Accept-Patch and Accept-Encoding of the response list what it supports.",
            ),
            Self::InvalidHeader => (
                "invalid-header",
                400,
                "Malformed request header",
                "The detail names the header and the form that it must have. Nothing was changed.",
            ),
            Self::InvalidParameter => (
                "invalid-parameter",
                400,
                "Invalid query parameter",
                "A parameter is unknown, repeated or malformed. The detail names the parameter and its valid \
                 values.",
            ),
            Self::MalformedJson => (
                "malformed-json",
                400,
                "The request body is not well-formed JSON",
                "The body must be one JSON value in UTF-8, without duplicate members. The detail states where \
                 parsing failed.",
            ),
            Self::InvalidBody => (
                "invalid-body",
                422,
                "Invalid request body",
                "The body is well-formed JSON, but its content is invalid. The member errors lists every error: \
                 pointer is a JSON Pointer to the invalid value, and detail is the rule that it breaks.",
            ),
            Self::IdempotencyKeyReused => (
                "idempotency-key-reused",
                422,
                "Idempotency key used by another request",
                "An idempotency key identifies one request for 24 hours. An earlier request used this key with \
                 another body. Use a new key for a new request.",
            ),
            Self::StoreUnavailable => (
                "store-unavailable",
                503,
                "Store unavailable",
                "The service could not read or write its state. The Retry-After header states when to retry. A \
                 change may or may not have been applied; with an idempotency key, a create can be repeated safely.",
            ),
            Self::InternalError => (
                "internal-error",
                500,
                "Internal error",
                "The service failed; the request is not the cause. Use the value of the X-Request-Id header to find \
                 the request in the log of the service.",
            ),
        };
        Entry { slug, status, title, description }
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn every_kind_has_a_unique_slug() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_slug(kind.entry().slug), Some(kind));
        }
        assert_eq!(Kind::from_slug(""), None);
    }

    #[test]
    fn the_texts_need_no_html_escapes() {
        for kind in Kind::ALL {
            let entry = kind.entry();
            for text in [entry.slug, entry.title, entry.description] {
                assert!(!text.contains(['<', '>', '&', '"', '\n']), "{text}");
            }
        }
    }
}
