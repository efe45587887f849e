//! Finding, creating and changing one order.

use super::error::RepoError;
use super::keys::{customer_key, event_key, order_key, status_key};
use super::records::{OrderRecord, decode_order, encode_event};
use crate::order::{Event, Order, OrderId};
use crate::store::{Check, Outcome, Revision, Store, Write};

/// Orders, stored in a [`Store`].
#[derive(Clone, Copy)]
pub(crate) struct OrderRepo<'store> {
    pub(super) store: &'store dyn Store,
}

/// An order and the revision at which it was read. A change commits only if the order still has this revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredOrder {
    pub(crate) order: Order,
    revision: Revision,
}

/// The outcome of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteOutcome {
    /// The write is durable.
    Committed,
    /// Another request has committed first, and nothing was written. The caller may read again and retry.
    Conflict,
}

impl<'store> OrderRepo<'store> {
    pub(crate) fn new(store: &'store dyn Store) -> Self {
        Self { store }
    }

    /// The order with this id, if it exists.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(crate) fn find(&self, id: OrderId) -> Result<Option<StoredOrder>, RepoError> {
        let key = order_key(id);
        let Some(stored) = self.store.get(vec![key.clone()])?.into_iter().next().flatten() else {
            return Ok(None);
        };
        Ok(Some(StoredOrder { order: decode_order(&key, &stored.value)?, revision: stored.revision }))
    }

    /// Stores a new order with its first event. Conflicts if the id is in use.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(crate) fn create(&self, record: &OrderRecord, event: &Event) -> Result<WriteOutcome, RepoError> {
        self.commit(vec![Check::Absent(order_key(record.order().id))], creation_writes(record, event)?)
    }

    /// Stores a changed order with its event. Conflicts if the order has changed since it was read.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(crate) fn change(
        &self,
        before: &StoredOrder,
        record: &OrderRecord,
        event: &Event,
    ) -> Result<WriteOutcome, RepoError> {
        let after = record.order();
        let key = order_key(after.id);
        let mut writes = vec![
            Write::Put(key.clone(), record.json().to_vec()),
            Write::Put(event_key(after.id, event.seq), encode_event(after.id, event)?),
        ];
        if before.order.status != after.status {
            writes.push(Write::Delete(status_key(before.order.status, after.id)));
            writes.push(Write::Put(status_key(after.status, after.id), Vec::new()));
        }
        self.commit(vec![Check::AtRevision(key, before.revision)], writes)
    }

    pub(super) fn commit(&self, checks: Vec<Check>, writes: Vec<Write>) -> Result<WriteOutcome, RepoError> {
        match self.store.commit(checks, writes)? {
            Outcome::Committed => Ok(WriteOutcome::Committed),
            Outcome::Conflict(_) => Ok(WriteOutcome::Conflict),
        }
    }
}

/// The writes that store a new order.
pub(super) fn creation_writes(record: &OrderRecord, event: &Event) -> Result<Vec<Write>, RepoError> {
    let order = record.order();
    Ok(vec![
        Write::Put(order_key(order.id), record.json().to_vec()),
        Write::Put(status_key(order.status, order.id), Vec::new()),
        Write::Put(customer_key(&order.customer, order.id), Vec::new()),
        Write::Put(event_key(order.id, event.seq), encode_event(order.id, event)?),
    ])
}
