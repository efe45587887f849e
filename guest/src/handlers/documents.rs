//! The first page, the API description, and a page for each kind of problem.

use miniz_oxide::inflate::decompress_to_vec_with_limit;

use super::checked::Checked;
use super::output::{JSON, VARY_ENCODING, not_modified, quoted, serialization_failed};
use super::preconditions::check_document;
use super::services::Services;
use crate::gzip;
use crate::headers::{accepts_gzip, if_none_match};
use crate::platform::{Request, Response};
use crate::problem::{Kind, Problem};
use crate::values::Digest;

/// The API description in the gzip format. build.rs makes it from `openapi.json`.
const OPENAPI: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.gz"));

/// The size of the decompressed description, in bytes.
const OPENAPI_SIZE: usize = include!(concat!(env!("OUT_DIR"), "/openapi.size"));

/// A digest of the description. Computing it here would take longer than everything else.
const OPENAPI_DIGEST: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.tag"));

const HTML: &str = "text/html; charset=utf-8";

/// The path of the API explorer, which orders-host serves. Other hosts have none.
const EXPLORER: &str = "/docs";

/// GET /
pub(super) fn home(_: &mut Checked<'_>, _: &Services<'_>) -> Result<Response, Problem> {
    // Not permanent, and revalidated: a later version may have a page of its own here.
    Ok(Response::new(302).with_header("location", EXPLORER).with_header("cache-control", "no-cache"))
}

/// GET /openapi.json. Neither a 304 nor a response to HEAD touches the description.
pub(super) fn openapi(checked: &mut Checked<'_>, _: &Services<'_>) -> Result<Response, Problem> {
    let request = checked.request;
    let compressed = accepts_gzip(request);
    // Each coding is a representation with its own entity tag (RFC 9110 §8.8.3.3).
    let (suffix, size) = if compressed { ("g", OPENAPI.len()) } else { ("", OPENAPI_SIZE) };
    let tag = format!("{OPENAPI_DIGEST}{suffix}");
    check_document(request, &tag)?;
    let unchanged = if_none_match(request, &tag);
    let mut response = Response::new(200)
        .with_header("content-type", JSON)
        .with_header("cache-control", "public, max-age=300")
        .with_header("vary", VARY_ENCODING)
        .with_header("etag", quoted(&tag));
    if unchanged {
        return Ok(not_modified(response));
    }
    if compressed {
        response = response.with_header("content-encoding", "gzip");
    }
    let body = match compressed {
        _ if request.method() == "HEAD" => Vec::new(),
        true => OPENAPI.to_vec(),
        false => inflated()?,
    };
    Ok(Response { body, ..response.with_header("content-length", size.to_string()) })
}

/// The description without a content coding.
fn inflated() -> Result<Vec<u8>, Problem> {
    let deflated = OPENAPI.get(gzip::HEADER.len()..OPENAPI.len() - gzip::TRAILER_SIZE).unwrap_or_default();
    decompress_to_vec_with_limit(deflated, OPENAPI_SIZE).map_err(|error| {
        Problem::new(Kind::InternalError, "The API description cannot be read.").with_cause(error.to_string())
    })
}

/// GET /problems/{slug}: HTML if the client prefers it, otherwise JSON.
pub(super) fn problem_page(checked: &mut Checked<'_>, _: &Services<'_>) -> Result<Response, Problem> {
    let Checked { request, offer, parameter, .. } = *checked;
    let kind = Kind::from_slug(parameter)
        .ok_or_else(|| Problem::new(Kind::NoSuchPath, "No kind of problem has this name."))?;
    let response =
        Response::new(200).with_header("cache-control", "public, max-age=3600").with_header("vary", "accept");
    if offer == JSON {
        let body = kind.to_json().map_err(|error| serialization_failed(&error))?;
        return cacheable_document(request, JSON, body, response);
    }
    let policy = "default-src 'none'; frame-ancestors 'none'";
    let response = response.with_header("content-security-policy", policy);
    cacheable_document(request, HTML, kind.to_html(), response)
}

/// Adds content that changes only with the component. Its entity tag is a digest of the content.
fn cacheable_document(
    request: &dyn Request,
    content_type: &'static str,
    body: Vec<u8>,
    response: Response,
) -> Result<Response, Problem> {
    let tag = Digest::compute(&[&body]).to_string();
    check_document(request, &tag)?;
    let unchanged = if_none_match(request, &tag);
    let response = response.with_header("content-type", content_type).with_header("etag", quoted(&tag));
    Ok(if unchanged { not_modified(response) } else { Response { body, ..response } })
}
