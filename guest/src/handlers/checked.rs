//! A request that has passed the checks of its row in the table of routes.

use super::preconditions::Standing;
use crate::platform::Request;
use crate::problem::{Kind, Problem};
use crate::query::Parameters;
use crate::repo::FoundOrder;

/// What an operation gets.
pub(super) struct Checked<'request> {
    pub(super) request: &'request dyn Request,
    /// The parameter in the path; empty if it has none.
    pub(super) parameter: &'request str,
    /// The media type that the client prefers.
    pub(super) offer: &'static str,
    /// The parameters of the query, their values not read yet.
    pub(super) query: Parameters,
    pub(super) body: &'request [u8],
    /// The idempotency key, if the client has sent one.
    pub(super) key: Option<&'request str>,
    /// The order, if the row needs one, and what the preconditions allow.
    pub(super) order: Option<(FoundOrder, Standing)>,
}

impl Checked<'_> {
    /// The order of a row that needs one, and what the preconditions allow.
    pub(super) fn take_order(&mut self) -> Result<(FoundOrder, Standing), Problem> {
        self.order.take().ok_or_else(|| {
            Problem::new(Kind::InternalError, "The operation has no order.")
                .with_cause("the row in the table of routes does not ask for an order".to_owned())
        })
    }
}
