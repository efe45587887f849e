//! Authentication of operators.

use std::sync::Arc;

use http::{HeaderMap, Method, Request, StatusCode, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{endpoint::Client, response::ApiError};
use crate::config::{Access, Tokens};

/// Says from where a page's request comes, in the words of a browser (W3C Fetch Metadata).
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Who sends a request.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    /// The name of the token, or `uid:N`.
    pub(super) name: Arc<str>,
    access: Access,
}

impl Operator {
    /// Checks that the operator may do this.
    pub(super) fn check(&self, method: &Method) -> Result<(), ApiError> {
        if self.access == Access::All || *method == Method::GET {
            return Ok(());
        }
        Err(ApiError::new(StatusCode::FORBIDDEN, "This token can only read: changes need another one."))
    }
}

/// All operators, by the digests of their tokens.
pub(super) struct Operators(Vec<([u8; 32], Operator)>);

impl Operators {
    pub(super) fn new(tokens: Option<&Tokens>) -> Self {
        let all = tokens.into_iter().flatten();
        Self(
            all.map(|token| {
                let operator = Operator { name: token.name.as_str().into(), access: token.access };
                (Sha256::digest(token.reveal()).into(), operator)
            })
            .collect(),
        )
    }

    /// Finds out which operator sends a request.
    ///
    /// Without tokens, every client that can open the Unix socket is one. A page of another site in a browser is none,
    /// whatever it sends.
    pub(super) fn authenticate<B>(
        &self,
        request: &Request<B>,
        client: Option<Client>,
    ) -> Result<Operator, ApiError> {
        if is_of_another_site(request.headers()) {
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "Requests of web pages of other sites are rejected.",
            ));
        }
        match (self.0.is_empty(), client) {
            (true, Some(Client::User(user))) => {
                Ok(Operator { name: format!("uid:{user}").into(), access: Access::All })
            }
            _ => self.with_token(request.headers()).ok_or_else(|| {
                ApiError::new(
                    StatusCode::UNAUTHORIZED,
                    "The admin token is missing or wrong: send it as `Authorization: Bearer …`.",
                )
            }),
        }
    }

    /// The operator whose token a request carries. All tokens are compared, and each comparison takes the same time however
    /// much of the token is right.
    fn with_token(&self, headers: &HeaderMap) -> Option<Operator> {
        let mut fields = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (fields.next(), fields.next()) else { return None };
        let (scheme, credentials) = value.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let presented: [u8; 32] = Sha256::digest(credentials.trim()).into();
        let mut found = None;
        for (digest, operator) in &self.0 {
            if digest.ct_eq(&presented).into() {
                found = Some(operator);
            }
        }
        found.cloned()
    }
}

/// Whether a browser sends the request for a page of another site, or a page that another origin has sent.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    let is_cross_site = headers.get_all(SEC_FETCH_SITE).iter().any(|site| site == "cross-site");
    let host = headers.get(header::HOST);
    let mut origins = headers.get_all(header::ORIGIN).iter();
    is_cross_site
        || !origins.all(|origin| {
            let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
            let host = host.and_then(|host| host.to_str().ok());
            origin.zip(host).is_some_and(|((scheme, authority), host)| {
                scheme.starts_with("http") && authority.eq_ignore_ascii_case(host)
            })
        })
}
