//! [`OrderRepo`] over the store that the host provides: the only file that touches `orders:state`.

use crate::{
    bindings::orders::state::store::{self, Check, Error, Outcome, Write},
    order::{Order, OrderId},
    repo::{ORDERS_START, OrderRepo, Page, RepoError, order_key, read_page, read_record, write_record},
};

/// The orders in the imported store.
pub(crate) struct WitRepo;

impl OrderRepo for WitRepo {
    fn insert(&self, order: &Order) -> Result<(), RepoError> {
        let key = order_key(order.id);
        let record = write_record(order)?;
        match store::commit(&[Check::Absent(key.clone())], &[Write::Put((key, record))])? {
            Outcome::Committed(_) => Ok(()),
            Outcome::Conflict(_) => Err(RepoError::Conflict),
        }
    }

    fn find(&self, id: OrderId) -> Result<Option<Order>, RepoError> {
        let key = order_key(id);
        let found = store::get(std::slice::from_ref(&key))?;
        found.into_iter().next().flatten().map(|stored| read_record(&key, &stored.value)).transpose()
    }

    fn page(&self, before: Option<OrderId>, limit: u32) -> Result<Page, RepoError> {
        read_page(before, limit, |end, limit| {
            let entries = store::scan(ORDERS_START, end, limit, store::Order::Descending)?;
            Ok(entries.into_iter().map(|entry| (entry.key, entry.value)).collect())
        })
    }
}

impl From<Error> for RepoError {
    /// An order and what is read of a page are within the store's bounds, so that any refusal is a failure.
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(why) => Self::Unavailable(why),
            Error::TooLarge(what) | Error::InvalidKey(what) => Self::Unavailable(what),
        }
    }
}
