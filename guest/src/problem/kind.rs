//! The kinds of problem, and the page that explains each.

use serde::Serialize;

/// The kinds of problem.
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

/// What there is to say about a kind of problem.
struct Entry {
    /// The last segment of its type.
    slug: &'static str,
    status: u16,
    title: &'static str,
    /// What it means and what to do about it: plain text without markup.
    description: &'static str,
}

impl Kind {
    /// All of them.
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
    pub(crate) fn named(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.entry().slug == slug)
    }

    /// Its type, a reference to the page that explains it.
    pub(crate) fn uri(self) -> String {
        format!("/problems/{}", self.entry().slug)
    }

    pub(crate) const fn status(self) -> u16 {
        self.entry().status
    }

    pub(crate) const fn title(self) -> &'static str {
        self.entry().title
    }

    /// Its page as JSON.
    pub(crate) fn json(self) -> serde_json::Result<Vec<u8>> {
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

    /// Its page as HTML. The texts have no character that HTML would take for markup.
    pub(crate) fn html(self) -> Vec<u8> {
        let Entry { status, title, description, slug } = self.entry();
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
             <h1>{title}</h1>\n<p>{description}</p>\n\
             <p>Type <code>/problems/{slug}</code>, status {status}. \
             The whole interface: <a href=\"/openapi.json\">/openapi.json</a></p>\n</html>\n"
        )
        .into_bytes()
    }

    #[allow(clippy::too_many_lines, reason = "it is a table")]
    const fn entry(self) -> Entry {
        let (slug, status, title, description) = match self {
            Self::NoSuchPath => (
                "no-such-path",
                404,
                "There is nothing at this path",
                "No resource has this path. Paths are matched exactly, in lower case and without a slash at the end.",
            ),
            Self::OrderNotFound => (
                "order-not-found",
                404,
                "There is no such order",
                "No order has this id. An id is the one in the answer that created the order: a UUID in lower case.",
            ),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                405,
                "This path does not take the method",
                "The field Allow of the answer names the methods that the path takes.",
            ),
            Self::NotAcceptable => (
                "not-acceptable",
                406,
                "The answer is not offered in an accepted type",
                "The field Accept of the request names no type that this resource has. Add it, or leave the field out.",
            ),
            Self::TransitionNotAllowed => (
                "transition-not-allowed",
                409,
                "The state of the order does not allow this",
                "An order goes from pending to confirmed, shipped and delivered; as long as it is pending or confirmed \
                 it can be cancelled. The member order_status of the problem is its present state, and allowed names \
                 what can be done with it.",
            ),
            Self::ConcurrentChange => (
                "concurrent-change",
                409,
                "Others changed the order at the same time",
                "Every attempt to make the change came after that of another request. Nothing was changed. Try again.",
            ),
            Self::PreconditionFailed => (
                "precondition-failed",
                412,
                "The order is not in the version that was expected",
                "The field If-Match names another version than the present one, so that somebody has changed the order \
                 since. Nothing was changed. Get the order, decide anew, and send its new entity tag.",
            ),
            Self::BodyTooLarge => (
                "body-too-large",
                413,
                "The body is too large",
                "The body of a request has at most 1 MiB, or less where the service is set up so. The detail says how much.",
            ),
            Self::BodyInterrupted => (
                "body-interrupted",
                400,
                "The body is not complete",
                "The connection ended, or was found to be framed wrongly, before all of the body had arrived.",
            ),
            Self::UnsupportedContent => (
                "unsupported-content",
                415,
                "The body is of a type not taken here",
                "The type or the coding of the body is not one that this resource takes. The fields Accept, \
                 Accept-Patch and Accept-Encoding of the answer name what it takes.",
            ),
            Self::InvalidHeader => (
                "invalid-header",
                400,
                "A field of the request is malformed",
                "The detail says which field it is and which form it must have. Nothing was changed.",
            ),
            Self::InvalidParameter => (
                "invalid-parameter",
                400,
                "A query parameter is wrong",
                "A parameter is unknown, repeated or malformed. The detail says which, and what would be right.",
            ),
            Self::MalformedJson => (
                "malformed-json",
                400,
                "The body is not well-formed JSON",
                "The body must be one JSON value in UTF-8, without a member that is there twice. The detail says where \
                 reading it failed.",
            ),
            Self::InvalidBody => (
                "invalid-body",
                422,
                "The body breaks the rules",
                "The body is JSON, but not what is expected. The member errors lists every fault at once: pointer is a \
                 JSON Pointer to the place, and detail the rule that must hold there.",
            ),
            Self::IdempotencyKeyReused => (
                "idempotency-key-reused",
                422,
                "The idempotency key belongs to another request",
                "Within 24 hours a key stands for one request. This one came with another body under the same key. \
                 Give a new request a new key.",
            ),
            Self::StoreUnavailable => (
                "store-unavailable",
                503,
                "The store is not available",
                "The state could not be read or written. The field Retry-After says when to try again. Whether a \
                 change took place may be unknown: an idempotency key makes it safe to repeat a create.",
            ),
            Self::InternalError => (
                "internal-error",
                500,
                "Something is wrong with this service",
                "The fault is not the request's. The field X-Request-Id names the request in the log of the service.",
            ),
        };
        Entry { slug, status, title, description }
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn every_kind_has_one_slug() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.entry().slug), Some(kind));
        }
        assert_eq!(Kind::named(""), None);
    }

    #[test]
    fn the_texts_need_no_escapes() {
        for kind in Kind::ALL {
            let entry = kind.entry();
            for text in [entry.slug, entry.title, entry.description] {
                assert!(!text.contains(['<', '>', '&', '"', '\n']), "{text}");
            }
        }
    }
}
