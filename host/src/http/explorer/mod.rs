//! `/docs`: an API explorer over what the component says of itself at `/openapi.json`.
//!
//! All of it lies in this program (`build.rs` packs it), and the page may load nothing from elsewhere.

use std::{io::Read, sync::OnceLock};

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request::Parts};
use http_body_util::Full;

use crate::http::reject::Reject;

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Where the explorer is.
const ROOT: &str = "/docs";
/// How long a file may be used without asking again, in one field: as long as what it shows is.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");
/// What the page may do: load from here, draw icons that the style sheet holds in itself, and ask here.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Whether a path belongs to the explorer.
pub fn is_at(path: &str) -> bool {
    asset_name(path).is_some()
}

/// Answers a request for the explorer.
///
/// # Errors
///
/// [`Reject`] for a file that there is not, or another method than GET or HEAD.
pub fn answer(request: &Parts) -> Result<Response<Full<Bytes>>, Reject> {
    let name = asset_name(request.uri.path()).ok_or(Reject::NoSuchPage)?;
    let asset = ASSETS.iter().find(|asset| asset.name == name).ok_or(Reject::NoSuchPage)?;
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(Reject::ReadOnly);
    }
    let gzipped = takes_gzip(&request.headers);
    // Two forms of one file are two representations, with a tag each (RFC 9110, section 8.8.3.3).
    let tag = if gzipped { format!("\"{}-gzip\"", asset.tag) } else { format!("\"{}\"", asset.tag) };
    let known = has_tag(&request.headers, &tag);
    let body = match (known, gzipped) {
        (true, _) => Bytes::new(),
        (false, true) => Bytes::from_static(asset.gzipped),
        (false, false) => asset.unpacked(),
    };

    let mut response = Response::new(Full::new(body));
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, CACHE);
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    if !known {
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
    /// Below the root; empty for the page itself.
    name: &'static str,
    media_type: &'static str,
    /// Out of the hash of its contents.
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

    /// The file as it was. It is kept, so that no number of clients makes it more than one.
    fn unpacked(&self) -> Bytes {
        let unpack = || {
            let mut contents = Vec::new();
            match GzDecoder::new(self.gzipped).read_to_end(&mut contents) {
                Ok(_) => contents.into(),
                Err(error) => {
                    tracing::error!(%error, asset = self.name, "the program is damaged");
                    Bytes::new()
                }
            }
        };
        self.unpacked.get_or_init(unpack).clone()
    }
}

/// What is asked for below the root, if it is.
fn asset_name(path: &str) -> Option<&str> {
    let below = path.strip_prefix(ROOT)?;
    if below.is_empty() { Some(below) } else { below.strip_prefix('/') }
}

/// Whether a client takes gzip (RFC 9110, section 12.5.3): it is named, or all are, and not with a weight of zero.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        for offer in value.to_str().unwrap_or_default().split(',') {
            let (coding, weight) = offer.split_once(';').unwrap_or((offer, ""));
            let weight = weight.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            let taken = weight.strip_prefix("q=").and_then(|weight| weight.parse().ok()) != Some(0.0);
            match coding.trim() {
                coding if coding.eq_ignore_ascii_case("gzip") => return taken,
                "*" => any = taken,
                _ => {}
            }
        }
    }
    any
}

/// Whether a client already has what it asks for (RFC 9110, section 13.1.2).
fn has_tag(headers: &HeaderMap, tag: &str) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|tags| {
        tags.split(',').map(str::trim).any(|given| given == "*" || given.trim_start_matches("W/") == tag)
    })
}
