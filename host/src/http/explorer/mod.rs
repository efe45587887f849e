//! `/docs`: an API explorer for the component's API description at `/openapi.json`.
//!
//! Its files are embedded in the program (`build.rs` packs them), and the page may load nothing from other servers.

use std::{io::Read, sync::OnceLock};

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request::Parts};
use http_body_util::Full;

use crate::http::rejection::Rejection;

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The path of the explorer.
const ROOT: &str = "/docs";
/// How long a cache may use a file without revalidation: as long as it may use the API description.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");
/// The permissions of the page: load files from this service, show icons embedded in the style sheet, and send requests to this
/// service.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Whether the explorer serves this path.
pub fn contains(path: &str) -> bool {
    asset_name(path).is_some()
}

/// Responds to a request for the explorer.
///
/// # Errors
///
/// [`Rejection`] if there is no such file, or if the method is neither GET nor HEAD.
pub fn respond(request: &Parts) -> Result<Response<Full<Bytes>>, Rejection> {
    let name = asset_name(request.uri.path()).ok_or(Rejection::NoSuchPage)?;
    let asset = ASSETS.iter().find(|asset| asset.name == name).ok_or(Rejection::NoSuchPage)?;
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(Rejection::ReadOnly);
    }
    let gzipped = accepts_gzip(&request.headers);
    // Each encoding of a file is a representation with its own entity tag (RFC 9110, section 8.8.3.3).
    let tag = if gzipped { format!("\"{}-gzip\"", asset.tag) } else { format!("\"{}\"", asset.tag) };
    let not_modified = has_tag(&request.headers, &tag);
    let body = match (not_modified, gzipped) {
        (true, _) => Bytes::new(),
        (false, true) => Bytes::from_static(asset.gzipped),
        (false, false) => asset.unpacked(),
    };

    let mut response = Response::new(Full::new(body));
    if not_modified {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, CACHE);
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    if !not_modified {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
        headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if gzipped {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
    }
    Ok(response)
}

/// A file of the explorer.
struct Asset {
    /// Its path below the root; empty for the page itself.
    name: &'static str,
    media_type: &'static str,
    /// Derived from the hash of its contents.
    tag: &'static str,
    gzipped: &'static [u8],
    unpacked: OnceLock<Bytes>,
}

impl Asset {
    const fn new(
        name: &'static str,
        media_type: &'static str,
        tag: &'static str,
        gzipped: &'static [u8],
    ) -> Self {
        Self { name, media_type, tag, gzipped, unpacked: OnceLock::new() }
    }

    /// The uncompressed file. It is cached, so that memory contains one copy, however many clients request it.
    fn unpacked(&self) -> Bytes {
        let unpack = || {
            let mut contents = Vec::new();
            match GzDecoder::new(self.gzipped).read_to_end(&mut contents) {
                Ok(_) => contents.into(),
                Err(error) => {
                    tracing::error!(
                        event = "service.asset_corrupt", %error, asset = self.name,
                        "embedded file is corrupt: reinstall the program"
                    );
                    Bytes::new()
                }
            }
        };
        self.unpacked.get_or_init(unpack).clone()
    }
}

/// The part of a path below the root; none if the path is elsewhere.
fn asset_name(path: &str) -> Option<&str> {
    let below = path.strip_prefix(ROOT)?;
    if below.is_empty() { Some(below) } else { below.strip_prefix('/') }
}

/// Whether a client accepts gzip (RFC 9110, section 12.5.3): the field names `gzip`, or else `*`, with a weight above zero.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        for offer in value.to_str().unwrap_or_default().split(',') {
            let (coding, weight) = offer.split_once(';').unwrap_or((offer, ""));
            let weight = weight.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            let accepted = weight.strip_prefix("q=").and_then(|weight| weight.parse().ok()) != Some(0.0);
            match coding.trim() {
                coding if coding.eq_ignore_ascii_case("gzip") => return accepted,
                "*" => any = accepted,
                _ => {}
            }
        }
    }
    any
}

/// Whether If-None-Match contains the tag, so that the client has the file already (RFC 9110, section 13.1.2).
fn has_tag(headers: &HeaderMap, tag: &str) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|tags| {
        tags.split(',').map(str::trim).any(|given| given == "*" || given.trim_start_matches("W/") == tag)
    })
}
