//! Authentication of operators.

use http::{HeaderMap, Request, StatusCode, header, uri::Authority};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::response::ApiError;
use crate::config::Token;

/// Checks that a request comes from an operator.
///
/// Without a token, every process on this machine that can connect counts as an operator. A web page in a browser on this
/// machine does not: its requests carry an Origin field, or name another host if its own name resolves to this address.
pub(super) fn authenticate<B>(request: &Request<B>, token: Option<&Token>) -> Result<(), ApiError> {
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "Requests of web pages are rejected: send the request without an Origin header field.",
        ));
    }
    match token {
        Some(token) if has_token(headers, token) => Ok(()),
        Some(_) => Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "The admin token is missing or wrong: send it as `Authorization: Bearer …`.",
        )),
        None if is_local_host(headers) => Ok(()),
        None => Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "The Host header field must be an IP address or localhost, because this service has no admin token.",
        )),
    }
}

/// Whether the request carries the token. The comparison takes the same time however much of the token is right.
fn has_token(headers: &HeaderMap, token: &Token) -> bool {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (fields.next(), fields.next()) else { return false };
    let Some((scheme, credentials)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else {
        return false;
    };
    let digest = |text: &str| Sha256::digest(text.as_bytes());
    scheme.eq_ignore_ascii_case("bearer") && digest(credentials.trim()).ct_eq(&digest(token.reveal())).into()
}

/// Whether the Host field is an IP address or localhost.
fn is_local_host(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    host.is_some_and(|authority| {
        let host = authority.host().trim_matches(['[', ']']);
        host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok()
    })
}
