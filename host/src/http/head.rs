//! Checks of a request head (request line and header fields) beyond those of hyper. They ensure that a proxy in
//! front of this service and the component read the same request.

use http::{HeaderMap, HeaderName, Method, header, request::Parts};

use crate::http::{authority, limits::Limits, rejection::Rejection};

/// Checks the head of a request for the component.
///
/// # Errors
///
/// [`Rejection`] with the first fault.
pub fn check(parts: &Parts) -> Result<(), Rejection> {
    Limits::check_head(&parts.method, &parts.uri, &parts.headers)?;
    check_target(parts)?;
    check_host(parts)?;
    check_transfer_encoding(parts)
}

/// Whether the request is for the server as a whole, not for a path (RFC 9110, section 9.3.7).
pub fn is_server_wide(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS && parts.uri.path() == "*"
}

/// Whether the client waits for 100 (Continue) before it sends its body (RFC 9110, section 10.1.1). hyper sends
/// that response when the first byte of the body is read.
pub fn expects_continue(parts: &Parts) -> bool {
    parts.headers.contains_key(header::EXPECT)
}

/// Removes the fields that are for this connection only: those that `Connection` names (RFC 9110, section 7.6.1), `TE` and
/// `Trailer`. The host has read chunks and trailers already. The library removes `Connection` itself, and other fields of this
/// kind that it knows, when it passes the head to the component.
///
/// `Host` and `Content-Length` are kept although they are named, and so are the `own` fields of the host.
pub fn remove_connection_fields(headers: &mut HeaderMap, own: &[HeaderName]) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| ![header::HOST, header::CONTENT_LENGTH].contains(name) && !own.contains(name))
        .collect();
    for name in named.iter().chain(&[header::TE, header::TRAILER]) {
        headers.remove(name);
    }
}

/// A target is a path, alone or after an authority, or an asterisk with OPTIONS (RFC 9112, section 3.2).
fn check_target(parts: &Parts) -> Result<(), Rejection> {
    if parts.method == Method::CONNECT {
        return Err(Rejection::NotImplemented(
            "The method CONNECT is not supported: this service is not a proxy.",
        ));
    }
    if parts.uri.path_and_query().is_some_and(|target| !target.as_str().is_ascii()) {
        return Err(Rejection::BadRequest(
            "The request target contains characters beyond ASCII: they must be percent-encoded.",
        ));
    }
    if !parts.uri.path().starts_with('/') && !is_server_wide(parts) {
        return Err(Rejection::BadRequest("The request target is not a path: it must begin with a slash."));
    }
    let Some(authority) = parts.uri.authority() else { return Ok(()) };
    if authority.as_str().contains('@') {
        return Err(Rejection::BadRequest(
            "The request target contains user information before an `@`, which is not allowed: remove it.",
        ));
    }
    if !authority::is_valid(authority.as_str().as_bytes()) {
        return Err(Rejection::BadRequest(
            "The host in the request target is invalid: it must be a name or an IP address, optionally followed by a \
             colon and a port.",
        ));
    }
    Ok(())
}

/// There is exactly one Host field, in a form that can be passed to a component (RFC 9112, section 3.2). HTTP/1.0
/// does not require the field, but a component needs a host.
fn check_host(parts: &Parts) -> Result<(), Rejection> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if authority::is_valid(host.as_bytes()) => Ok(()),
        (Some(_), None) => Err(Rejection::BadRequest(
            "The Host header field is invalid: it must be a name or an IP address, optionally followed by a colon and a \
             port.",
        )),
        (Some(_), Some(_)) => Err(Rejection::BadRequest(
            "The request has more than one Host header field: exactly one is required.",
        )),
        (None, _) => {
            Err(Rejection::BadRequest("The request has no Host header field: exactly one is required."))
        }
    }
}

/// hyper looks only at the last coding. A coding before it would stay in the body, unknown to the component; and
/// two readers may read a body that is `chunked` twice in two ways (RFC 9112, section 6.1).
fn check_transfer_encoding(parts: &Parts) -> Result<(), Rejection> {
    let mut chunked = 0;
    for value in parts.headers.get_all(header::TRANSFER_ENCODING) {
        for coding in value.as_bytes().split(|byte| *byte == b',') {
            if !coding.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                return Err(Rejection::NotImplemented(
                    "The Transfer-Encoding is not supported: only `chunked` is.",
                ));
            }
            chunked += 1;
        }
    }
    if chunked > 1 {
        return Err(Rejection::BadRequest(
            "The Transfer-Encoding lists `chunked` more than once: it must be listed once.",
        ));
    }
    Ok(())
}
