//! The parts of a request that several operations read.

use super::services::Services;
use crate::json;
use crate::order::NUMBERS;
use crate::platform::{BodyError, Request};
use crate::problem::{Kind, Problem};
use crate::values::Uuid;

/// The maximum size of a request body, in bytes: 1 MiB, as the contract states.
pub(super) const MAX_BODY: usize = 1 << 20;

/// Rejects a body whose Content-Length exceeds the limit, before it is read, and then reads the body. One that the operation does
/// not use is read, too, because the limit of the host may be lower; its content is dropped.
pub(super) fn read_body(request: &mut dyn Request, is_used: bool) -> Result<Vec<u8>, Problem> {
    let content_length = request.header("content-length").into_iter().next();
    // 64 bits: in WebAssembly, `usize` has 32.
    let content_length =
        content_length.and_then(|length| std::str::from_utf8(length).ok()?.parse::<u64>().ok());
    match content_length {
        Some(length) if length > MAX_BODY as u64 => Err(BodyError::TooLarge(MAX_BODY as u64).into()),
        Some(1..) if !is_used => Ok(request.body(MAX_BODY).map(|_| Vec::new())?),
        _ if is_used => Ok(request.body(MAX_BODY)?),
        _ => Ok(Vec::new()),
    }
}

/// Parses a body as JSON.
pub(super) fn parse_json(body: &[u8]) -> Result<json::Value<'_>, Problem> {
    json::parse(body, NUMBERS).map_err(|detail| Problem::new(Kind::MalformedJson, detail))
}

/// Splits a request target into the path and the query after the first `?`.
pub(super) fn split_target(target: &str) -> (&str, Option<&str>) {
    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
}

/// The client's request id if there is exactly one and it has 1…128 visible ASCII characters; otherwise a new one.
pub(super) fn request_id(request: &dyn Request, services: &Services<'_>) -> String {
    let valid = |value: &[u8]| {
        (1..=128).contains(&value.len()) && value.iter().all(|byte| matches!(byte, 0x21..=0x7e))
    };
    let sent = match request.header("x-request-id").as_slice() {
        [value] if valid(value) => String::from_utf8(value.to_vec()).ok(),
        _ => None,
    };
    sent.unwrap_or_else(|| Uuid::v4(services.random.bytes16()).to_string())
}
