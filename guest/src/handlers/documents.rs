//! What the service says about itself: the description of its interface, and a page for each kind of problem.

use miniz_oxide::inflate::decompress_to_vec_with_limit;

use crate::accept;
use crate::conditional::is_not_modified;
use crate::digest::Digest;
use crate::problem::{Kind, Problem};
use crate::request::{Request, Response};

use super::read::not_modified;
use super::{JSON, cannot_be_written};

/// `openapi.json` without its white space, deflated (RFC 1951) by build.rs.
const OPENAPI: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.deflate"));

/// More bytes than the inflated description has.
const MAX_OPENAPI: usize = 1 << 20;

const HTML: &str = "text/html; charset=utf-8";

/// GET /openapi.json
pub(super) fn openapi(request: &dyn Request) -> Result<Response, Problem> {
    accept::preferred(request, &[JSON])?;
    let body = decompress_to_vec_with_limit(OPENAPI, MAX_OPENAPI).map_err(|error| {
        Problem::new(Kind::InternalError, "The description cannot be read.").cause(error.to_string())
    })?;
    Ok(document(request, JSON, body, Response::new(200).header("cache-control", "public, max-age=300")))
}

/// GET /problems/{slug}: for people if they ask for HTML, else for programs.
pub(super) fn problem_page(request: &dyn Request, kind: Kind) -> Result<Response, Problem> {
    let response =
        Response::new(200).header("cache-control", "public, max-age=3600").header("vary", "accept");
    Ok(match accept::preferred(request, &[JSON, "text/html"])? {
        JSON => document(request, JSON, kind.json().map_err(|error| cannot_be_written(&error))?, response),
        _ => {
            let response =
                response.header("content-security-policy", "default-src 'none'; frame-ancestors 'none'");
            document(request, HTML, kind.html(), response)
        }
    })
}

/// Content that changes only with the component: its entity tag is a digest of it.
fn document(
    request: &dyn Request,
    content_type: &'static str,
    body: Vec<u8>,
    response: Response,
) -> Response {
    let tag = format!("\"{}\"", Digest::of(&[&body]));
    let not_needed = is_not_modified(request, &tag);
    let response = response.header("content-type", content_type).header("etag", tag);
    if not_needed { not_modified(response) } else { Response { body, ..response } }
}
