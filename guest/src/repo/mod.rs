//! Where orders are kept: what is stored under which key, and what is written together.
//!
//! Every change of an order is one commit: the order itself, its place in the indexes and what happened to it are
//! written together or not at all. No lock exists: a commit checks that nobody else was first.
//!
//! | Key | Value |
//! |---|---|
//! | `o/{id}` | the order as JSON. Ids are UUIDs of version 7, so key order is creation order |
//! | `s/{status}/{id}` | nothing: the index by status |
//! | `c/{digest of the customer}/{id}` | nothing: the index by customer |
//! | `e/{id}/{seq}` | an event as JSON; `seq` is decimal and padded to 20 digits |
//! | `i/{digest of method, path and key}` | the answer that an idempotency key stands for: [`KeptAnswer`] |
//! | `x/{expiry}/{the same digest}` | nothing: the queue of kept answers; milliseconds, padded to 15 digits |

mod kept;
mod keys;
mod pages;
mod records;

use crate::order::{Event, Order, OrderId};
use crate::store::{Check, Outcome, Revision, Store, StoreError, Write};

use self::keys::{customer_key, event_key, order_key, status_key};
use self::records::{read_order, write_event};

pub(crate) use self::kept::{KeptAnswer, KeySlot, RequestDigest};
pub(crate) use self::pages::{Filter, IdRange, Sort};
pub(crate) use self::records::OrderRecord;

/// The orders in a store.
#[derive(Clone, Copy)]
pub(crate) struct OrderRepo<'store> {
    store: &'store dyn Store,
}

/// An order as it was read, for a change that builds on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) order: Order,
    revision: Revision,
}

/// Why the repository did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RepoError {
    /// The store gave no answer. After a write it is not known whether it took place. The text is for the log.
    Unavailable(String),
    /// What is stored under a key cannot be read (or something not put into its stored form).
    Corrupt {
        /// The key of the record.
        key: String,
        /// What is wrong with it, for the log.
        cause: String,
    },
}

impl From<StoreError> for RepoError {
    fn from(StoreError(why): StoreError) -> Self {
        Self::Unavailable(why)
    }
}

/// Whether a write took place. If another was first, nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// It did, durably.
    Done,
    /// Another was first: read again, and decide anew.
    Lost,
}

impl<'store> OrderRepo<'store> {
    pub(crate) fn new(store: &'store dyn Store) -> Self {
        Self { store }
    }

    /// The order with this id, if there is one.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(crate) fn find(&self, id: OrderId) -> Result<Option<Found>, RepoError> {
        let key = order_key(id);
        let found = self.store.get(vec![key.clone()])?.into_iter().next().flatten();
        found
            .map(|stored| Ok(Found { order: read_order(&key, &stored.value)?, revision: stored.revision }))
            .transpose()
    }

    /// Stores a new order with its first event. Lost if its id is taken.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(crate) fn create(&self, record: &OrderRecord, event: &Event) -> Result<Written, RepoError> {
        self.commit(vec![Check::Absent(order_key(record.order().id))], new_order(record, event)?)
    }

    /// Stores what has become of an order, with what happened. Lost if the order has changed since it was found.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(crate) fn change(
        &self,
        before: &Found,
        record: &OrderRecord,
        event: &Event,
    ) -> Result<Written, RepoError> {
        let after = record.order();
        let key = order_key(after.id);
        let mut writes = vec![
            Write::Put(key.clone(), record.json().to_vec()),
            Write::Put(event_key(after.id, event.seq), write_event(after.id, event)?),
        ];
        if before.order.status != after.status {
            writes.push(Write::Delete(status_key(before.order.status, after.id)));
            writes.push(Write::Put(status_key(after.status, after.id), Vec::new()));
        }
        self.commit(vec![Check::AtRevision(key, before.revision)], writes)
    }

    fn commit(&self, checks: Vec<Check>, writes: Vec<Write>) -> Result<Written, RepoError> {
        match self.store.commit(checks, writes)? {
            Outcome::Committed => Ok(Written::Done),
            Outcome::Conflict(_) => Ok(Written::Lost),
        }
    }
}

/// What a new order puts into the store.
fn new_order(record: &OrderRecord, event: &Event) -> Result<Vec<Write>, RepoError> {
    let order = record.order();
    Ok(vec![
        Write::Put(order_key(order.id), record.json().to_vec()),
        Write::Put(status_key(order.status, order.id), Vec::new()),
        Write::Put(customer_key(&order.customer, order.id), Vec::new()),
        Write::Put(event_key(order.id, event.seq), write_event(order.id, event)?),
    ])
}
