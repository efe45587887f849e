//! The first page, the API description, and a page for each kind of problem.

use miniz_oxide::inflate::decompress_to_vec_with_limit;

use super::output::{JSON, not_modified, serialization_failed};
use crate::headers::{is_not_modified, negotiate};
use crate::platform::{Request, Response};
use crate::problem::{Kind, Problem};
use crate::values::Digest;

/// `openapi.json` without white space, compressed with DEFLATE (RFC 1951) by build.rs.
const OPENAPI: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.deflate"));

/// A limit above the size of the decompressed description, in bytes.
const MAX_OPENAPI: usize = 1 << 20;

const HTML: &str = "text/html; charset=utf-8";

/// The path of the API explorer, which orders-host serves. Other hosts have none.
const EXPLORER: &str = "/docs";

/// GET /
pub(super) fn home() -> Response {
    // Not permanent, and revalidated: a later version may have a page of its own here.
    Response::new(302).with_header("location", EXPLORER).with_header("cache-control", "no-cache")
}

/// GET /openapi.json
pub(super) fn openapi(request: &dyn Request) -> Result<Response, Problem> {
    negotiate(request, &[JSON])?;
    let body = decompress_to_vec_with_limit(OPENAPI, MAX_OPENAPI).map_err(|error| {
        Problem::new(Kind::InternalError, "The API description cannot be read.").with_cause(error.to_string())
    })?;
    let response = Response::new(200).with_header("cache-control", "public, max-age=300");
    Ok(cacheable_document(request, JSON, body, response))
}

/// GET /problems/{slug}: HTML if the client prefers it, otherwise JSON.
pub(super) fn problem_page(request: &dyn Request, kind: Kind) -> Result<Response, Problem> {
    let response =
        Response::new(200).with_header("cache-control", "public, max-age=3600").with_header("vary", "accept");
    Ok(match negotiate(request, &[JSON, "text/html"])? {
        JSON => {
            let body = kind.to_json().map_err(|error| serialization_failed(&error))?;
            cacheable_document(request, JSON, body, response)
        }
        _ => {
            let response =
                response.with_header("content-security-policy", "default-src 'none'; frame-ancestors 'none'");
            cacheable_document(request, HTML, kind.to_html(), response)
        }
    })
}

/// Adds content that changes only with the component. Its entity tag is a digest of the content.
fn cacheable_document(
    request: &dyn Request,
    content_type: &'static str,
    body: Vec<u8>,
    response: Response,
) -> Response {
    let tag = format!("\"{}\"", Digest::compute(&[&body]));
    let unchanged = is_not_modified(request, &tag);
    let response = response.with_header("content-type", content_type).with_header("etag", tag);
    if unchanged { not_modified(response) } else { Response { body, ..response } }
}
