//! Who is let in.

use http::{HeaderMap, Request, StatusCode, header, uri::Authority};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::response::Refusal;
use crate::config::Token;

/// Checks that a request comes from an operator.
///
/// Without a token whoever can connect is one, and that is anybody on this machine. A page in a browser on it is not:
/// its requests carry an Origin, or name another host if it has led the browser here by a name of its own.
pub(super) fn check<B>(request: &Request<B>, token: Option<&Token>) -> Result<(), Refusal> {
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "Pages in a browser are not heard here."));
    }
    match token {
        Some(token) if shows(headers, token) => Ok(()),
        Some(_) => Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "The operators' token has to be shown: `Authorization: Bearer …`.",
        )),
        None if names_this_machine(headers) => Ok(()),
        None => Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "Without a token, requests are heard that name the host by its address or as localhost.",
        )),
    }
}

/// In a time that does not depend on how much of it is right.
fn shows(headers: &HeaderMap, token: &Token) -> bool {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return false };
    let Some((scheme, shown)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else {
        return false;
    };
    let digest = |text: &str| Sha256::digest(text.as_bytes());
    scheme.eq_ignore_ascii_case("bearer") && digest(shown.trim()).ct_eq(&digest(token.reveal())).into()
}

fn names_this_machine(headers: &HeaderMap) -> bool {
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    named.is_some_and(|authority| {
        let host = authority.host().trim_matches(['[', ']']);
        host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok()
    })
}
