//! The parts of a response that several operations write.

use crate::gzip;
use crate::headers::{BodyType, accepts_gzip};
use crate::order::Order;
use crate::platform::{Request, Response};
use crate::problem::{Kind, Problem};
use crate::repo::OrderRecord;

/// The media type of orders.
pub(super) const JSON: &str = BodyType::Json.media_type();

/// `Vary` of a response that may be compressed.
pub(super) const VARY_ENCODING: &str = "Accept-Encoding";

/// The size from which a page is compressed, in bytes: a smaller one fits more or less into the first flight of a TCP
/// connection (ten segments, RFC 6928).
const GZIP_FROM: usize = 16 * 1024;

/// A response that contains an order.
pub(super) fn order_response(status: u16, record: OrderRecord) -> Response {
    let tag = entity_tag(record.order());
    json_response(status, record.into_json()).with_header("etag", tag)
}

/// The entity tag of an order: its version in quotes (RFC 9110 §8.8.3).
pub(super) fn entity_tag(order: &Order) -> String {
    format!("\"{}\"", order.version)
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
