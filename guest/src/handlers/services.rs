//! The services that the handlers use: store, clock and randomness.

use crate::order::{OrderId, Timestamp};
use crate::platform::{Clock, Random};
use crate::problem::{Kind, Problem};
use crate::repo::{FoundOrder, OrderRepo};
use crate::store::Store;

/// The services that the handlers use, borrowed for one request.
#[derive(Clone, Copy)]
pub struct Services<'services> {
    /// The store of the orders.
    pub store: &'services dyn Store,
    /// The clocks.
    pub clock: &'services dyn Clock,
    /// The source of randomness, for ids.
    pub random: &'services dyn Random,
}

impl<'services> Services<'services> {
    pub(super) fn repo(&self) -> OrderRepo<'services> {
        OrderRepo::new(self.store)
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.clock.now().unix_ms)
    }

    /// The order with the id in a path, which may be in upper case. Text that is not an id matches no order.
    ///
    /// # Errors
    /// [`Kind::OrderNotFound`], and the problems of the store.
    pub(super) fn find_order(&self, id: &str) -> Result<FoundOrder, Problem> {
        let order = OrderId::parse_any_case(id).map(|id| self.repo().find(id)).transpose()?.flatten();
        order.ok_or_else(|| Problem::new(Kind::OrderNotFound, "No order has this id."))
    }
}
