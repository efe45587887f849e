//! The parts of a response that several operations write.

use crate::gzip;
use crate::headers::{BodyType, accepts_gzip};
use crate::order::Version;
use crate::platform::{Request, Response};
use crate::problem::{Kind, Problem};

/// The media type of orders.
pub(super) const JSON: &str = BodyType::Json.media_type();

/// `Vary` of a response that may be compressed.
pub(super) const VARY_ENCODING: &str = "Accept-Encoding";

/// The size from which a page is compressed, in bytes: a smaller one fits more or less into the first flight of a TCP
/// connection (ten segments, RFC 6928).
const GZIP_FROM: usize = 16 * 1024;

/// The form of an order's representation. It is part of the entity tag, and has another value as soon as this version of the service
/// writes the same record differently: a test compares.
const FORM: &str = if cfg!(feature = "next") { "3" } else { "2" };

/// A response that contains an order, as its wire form and with its version.
pub(super) fn order_response(status: u16, (json, version): (Vec<u8>, Version)) -> Response {
    json_response(status, json).with_header("etag", quoted(&entity_tag(version)))
}

/// The entity tag of an order without its quotes (RFC 9110 §8.8.3): version and form.
pub(super) fn entity_tag(version: Version) -> String {
    format!("{version}-{FORM}")
}

/// The version in the entity tag of an order. Another version of the service writes another form, or none.
pub(super) fn version_in(entity_tag: &[u8]) -> Option<u64> {
    let version = entity_tag.split(|byte| *byte == b'-').next()?;
    let digits =
        version.first().is_some_and(|first| *first != b'0') && version.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(version).ok().filter(|_| digits)?.parse().ok()
}

/// An entity tag in its quotes.
pub(super) fn quoted(entity_tag: &str) -> String {
    format!("\"{entity_tag}\"")
}

/// A JSON response that only the client itself may cache, with revalidation before each use.
pub(super) fn json_response(status: u16, body: Vec<u8>) -> Response {
    let response = Response::new(status)
        .with_header("content-type", JSON)
        .with_header("cache-control", "private, no-cache");
    Response { body, ..response }
}

/// Compresses the content of a response if it is large and the client accepts that.
pub(super) fn compressed(request: &dyn Request, response: Response) -> Response {
    let response = response.with_header("vary", VARY_ENCODING);
    if response.body.len() < GZIP_FROM || !accepts_gzip(request) {
        return response;
    }
    match gzip::compress(&response.body) {
        Some(body) => Response { body, ..response.with_header("content-encoding", "gzip") },
        None => response,
    }
}

/// Turns a 200 into a 304, which has only the headers of RFC 9110 §15.4.5.
pub(super) fn not_modified(response: Response) -> Response {
    let mut headers = response.headers;
    headers.retain(|(name, _)| matches!(&**name, "etag" | "cache-control" | "vary"));
    Response { headers, ..Response::new(304) }
}

/// The problem of a response that cannot be serialized.
pub(super) fn serialization_failed(error: &serde_json::Error) -> Problem {
    Problem::new(Kind::InternalError, "The response cannot be serialized.").with_cause(error.to_string())
}
