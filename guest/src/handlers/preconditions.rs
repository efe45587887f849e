//! The preconditions of a request (RFC 9110 §13): `If-Match` and, for a change, `If-None-Match`.
//!
//! `If-Match` compares the versions of orders and not the forms, because another version of this service may have sent the tag.

use super::output::{entity_tag, quoted, version_in};
use crate::headers::{if_match, if_none_match};
use crate::platform::Request;
use crate::problem::{Kind, Problem};
use crate::repo::OrderHead;

/// What the preconditions allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Any change.
    Free,
    /// `If-Match` names the version before this one. A repetition of what has led to this version may be answered as such
    /// (RFC 9110 §13.1.1); nothing may change.
    RepetitionOnly,
}

/// Checks the preconditions of a request for an order.
///
/// # Errors
/// [`Kind::PreconditionFailed`]; [`Kind::InvalidHeader`] if `If-Match` is malformed.
pub(super) fn check_order(request: &dyn Request, head: &OrderHead) -> Result<Standing, Problem> {
    let present = head.version.get();
    let standing = if if_match(request, |tag| version_in(tag) == Some(present))? {
        Standing::Free
    } else if request.method() == "POST"
        && if_match(request, |tag| {
            version_in(tag).and_then(|version| version.checked_add(1)) == Some(present)
        })?
    {
        Standing::RepetitionOnly
    } else {
        return Err(changed(head));
    };
    let tag = entity_tag(head.version);
    if !matches!(request.method(), "GET" | "HEAD") && if_none_match(request, &tag) {
        return Err(Problem::new(
            Kind::PreconditionFailed,
            format!("The entity tag of the order is {}, which If-None-Match contains.", quoted(&tag)),
        ));
    }
    Ok(standing)
}

/// The problem of an order that has another version than `If-Match` says.
pub(super) fn changed(head: &OrderHead) -> Problem {
    let tag = quoted(&entity_tag(head.version));
    Problem::new(
        Kind::PreconditionFailed,
        format!("If-Match does not contain the entity tag of the order, which is {tag} now."),
    )
}

/// Checks `If-Match` of a request for a document. The tag has no quotes.
///
/// # Errors
/// As for [`check_order`].
pub(super) fn check_document(request: &dyn Request, tag: &str) -> Result<(), Problem> {
    if if_match(request, |given| given == tag.as_bytes())? {
        return Ok(());
    }
    let tag = quoted(tag);
    Err(Problem::new(
        Kind::PreconditionFailed,
        format!("The entity tag of the document is {tag}, which If-Match does not contain."),
    ))
}
