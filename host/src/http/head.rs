//! What the host insists on in the head of a request, beyond what hyper checks: that what stands in front of
//! this service and the component read the same thing out of it.

use http::{Method, header, request::Parts};

use crate::http::{limits::Limits, reject::Reject};

/// Checks the head of a request for the component.
///
/// # Errors
///
/// [`Reject`] with the first thing that is wrong.
pub fn check(parts: &Parts) -> Result<(), Reject> {
    Limits::check_head(parts)?;
    check_target(parts)?;
    check_host(parts)?;
    check_transfer_encoding(parts)
}

/// Whether the request is not for a path, but for the server as a whole (RFC 9110, section 9.3.7).
pub fn is_for_the_server(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS && parts.uri.path() == "*"
}

/// Whether the client waits to be told to send its body (RFC 9110, section 10.1.1). To read a byte of it is to
/// tell it so.
pub fn asks_first(parts: &Parts) -> bool {
    parts.headers.contains_key(header::EXPECT)
}

/// A path, alone or after an authority, or an asterisk for OPTIONS (RFC 9112, section 3.2).
fn check_target(parts: &Parts) -> Result<(), Reject> {
    if parts.method == Method::CONNECT {
        return Err(Reject::NotImplemented("This service is no proxy: it does not know CONNECT."));
    }
    let authority = parts.uri.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        return Err(Reject::BadRequest("The target of the request names a user, which it may not."));
    }
    if parts.uri.path().starts_with('/') || is_for_the_server(parts) {
        return Ok(());
    }
    Err(Reject::BadRequest("The target of the request is not a path that begins with a slash."))
}

/// Exactly one Host field, of a form that a component can be given (RFC 9112, section 3.2). HTTP/1.0 did not
/// ask for it; but a component has to be told a host.
fn check_host(parts: &Parts) -> Result<(), Reject> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if host.as_bytes().iter().copied().all(is_of_a_host) => Ok(()),
        (Some(_), None) => Err(Reject::BadRequest("The Host field is not a host, with or without a port.")),
        (Some(_), Some(_)) => Err(Reject::BadRequest("There is more than one Host field.")),
        (None, _) => Err(Reject::BadRequest("There is no Host field.")),
    }
}

/// The characters of a host and a port (RFC 3986, section 3.2.2).
fn is_of_a_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte)
}

/// hyper looks only at the last coding. Another before it would stay in the body, unknown to the component;
/// and `chunked` twice is read in two ways by two readers (RFC 9112, section 6.1).
fn check_transfer_encoding(parts: &Parts) -> Result<(), Reject> {
    let mut chunked = 0;
    for value in parts.headers.get_all(header::TRANSFER_ENCODING) {
        for coding in value.as_bytes().split(|byte| *byte == b',') {
            if !coding.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                return Err(Reject::NotImplemented(
                    "No other Transfer-Encoding is known here than `chunked`.",
                ));
            }
            chunked += 1;
        }
    }
    if chunked > 1 {
        return Err(Reject::BadRequest("The body of the request is `chunked` more than once."));
    }
    Ok(())
}
