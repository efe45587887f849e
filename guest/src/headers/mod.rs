//! The request headers that the handlers use.
//!
//! | File | Contents |
//! |---|---|
//! | `grammar` | the grammar that header fields share (RFC 9110 §5.6) |
//! | `accept` | `Accept`: content negotiation |
//! | `accept_encoding` | `Accept-Encoding`: whether the response may be compressed |
//! | `content_type` | `Content-Type` and `Content-Encoding`: what the body must be |
//! | `conditional` | `If-Match` and `If-None-Match` |
//! | `idempotency_key` | `Idempotency-Key` |

mod accept;
mod accept_encoding;
mod conditional;
mod content_type;
mod grammar;
mod idempotency_key;

pub(crate) use self::accept::negotiate;
pub(crate) use self::accept_encoding::accepts_gzip;
pub(crate) use self::conditional::{if_match, if_none_match};
pub(crate) use self::content_type::{BodyType, require_content_type};
pub(crate) use self::idempotency_key::idempotency_key;
