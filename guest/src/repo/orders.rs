//! Finding, creating and changing one order.

use super::error::RepoError;
use super::keys::{customer_keys, customer_status_key, event_key, order_key, status_key};
use super::records::{OrderHead, OrderRecord, OrderView, WRITES_CUSTOMER_STATUS, encode_event, into_wire};
use crate::order::{Event, OrderId, StoredOrder};
use crate::store::{Check, Outcome, Revision, Store, Write};

/// Orders, stored in a [`Store`].
#[derive(Clone, Copy)]
pub(crate) struct OrderRepo<'store> {
    pub(super) store: &'store dyn Store,
}

/// The record of an order and the revision at which it was read. A change commits only if the order still has this revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundOrder {
    pub(crate) head: OrderHead,
    json: Vec<u8>,
    revision: Revision,
}

impl FoundOrder {
    /// The order, to be changed.
    ///
    /// # Errors
    /// [`RepoError::Corrupt`], which is not expected for a record that has been found.
    pub(crate) fn order(&self) -> Result<StoredOrder, RepoError> {
        let corrupt = |cause: &dyn std::fmt::Display| RepoError::corrupt(&order_key(self.head.id), cause);
        let text = std::str::from_utf8(&self.json).map_err(|error| corrupt(&error))?;
        StoredOrder::read(text).map_err(|cause| corrupt(&cause))
    }

    /// What clients receive.
    pub(crate) fn into_wire(self) -> Vec<u8> {
        into_wire(self.json)
    }
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
    pub(crate) fn find(&self, id: OrderId) -> Result<Option<FoundOrder>, RepoError> {
        let key = order_key(id);
        let Some(stored) = self.store.get(vec![key.clone()])?.into_iter().next().flatten() else {
            return Ok(None);
        };
        let head = OrderView::read(&key, &stored.value)?.head();
        Ok(Some(FoundOrder { head, json: stored.value, revision: stored.revision }))
    }

    /// Stores a new order with its first event. Conflicts if the id is in use.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(crate) fn create(&self, record: &OrderRecord, event: &Event) -> Result<WriteOutcome, RepoError> {
        self.commit(vec![Check::Absent(order_key(record.id()))], creation_writes(record, event)?)
    }

    /// Stores a changed order with its event. Conflicts if the order has changed since it was read.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(crate) fn change(
        &self,
        before: &FoundOrder,
        record: &OrderRecord,
        event: &Event,
    ) -> Result<WriteOutcome, RepoError> {
        let OrderHead { id, ref status, ref customer, .. } = record.head;
        let key = order_key(id);
        let mut writes = vec![
            Write::Put(key.clone(), record.json.clone()),
            Write::Put(event_key(id, event.seq), encode_event(id, event)?),
        ];
        if before.head.status != *status {
            writes.push(Write::Delete(status_key(&before.head.status, id)));
            writes.push(Write::Put(status_key(status, id), Vec::new()));
            if let Some(customer) = customer.as_ref().filter(|_| WRITES_CUSTOMER_STATUS) {
                writes.push(Write::Delete(customer_status_key(customer, &before.head.status, id)));
                writes.push(Write::Put(customer_status_key(customer, status, id), Vec::new()));
            }
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
    let OrderHead { id, ref status, ref customer, .. } = record.head;
    let customer = customer.as_deref().unwrap_or_default();
    let [by_customer, by_both] = customer_keys(customer, status, id);
    let mut writes = vec![
        Write::Put(order_key(id), record.json.clone()),
        Write::Put(status_key(status, id), Vec::new()),
        Write::Put(by_customer, Vec::new()),
        Write::Put(event_key(id, event.seq), encode_event(id, event)?),
    ];
    if WRITES_CUSTOMER_STATUS {
        writes.push(Write::Put(by_both, Vec::new()));
    }
    #[cfg(feature = "next")]
    writes.push(Write::Put(format!("p/{id}"), Vec::new()));
    Ok(writes)
}
