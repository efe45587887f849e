//! Lists of orders and events, page by page, starting at any position.
//!
//! The cost of a page depends on the number of orders it returns, not on the size of the store. A time range and a position
//! narrow the range of keys that is scanned; a filter by customer or by status selects the index. With both filters, the
//! index by customer is scanned and orders with another status are skipped, up to a maximum number of scanned orders. Such a
//! page may be short or empty and still have a next page.

use super::error::RepoError;
use super::id_range::{IdRange, Sort};
use super::keys::{
    IdIndex, event_key, event_range_after, order_key, orders, orders_by_customer, orders_by_status,
};
use super::orders::OrderRepo;
use super::records::{decode_event, decode_order};
use crate::order::{Customer, Event, Order, OrderId, Status};
use crate::store::{Direction, Entry, Stored};

/// The maximum number of orders read by one call. The largest order has almost 300 KB, and a call returns at most 8 MiB.
const BATCH: usize = 25;

/// A page ends when its records exceed this many bytes. Memory holds a page several times: read, parsed and serialized.
const MAX_PAGE_BYTES: usize = 4 << 20;

/// The maximum number of orders scanned for one page.
const MAX_SCANNED: usize = 200;

/// Which orders to list, and their sort order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) status: Option<Status>,
    pub(crate) customer: Option<Customer>,
    pub(crate) sort: Sort,
}

impl Filter {
    /// The index to scan.
    fn index(&self) -> IdIndex {
        match (&self.customer, self.status) {
            (Some(customer), _) => orders_by_customer(customer),
            (None, Some(status)) => orders_by_status(status),
            (None, None) => orders(),
        }
    }

    /// Whether an order matches. Every order is checked, because it may have changed since the index was read.
    fn matches(&self, order: &Order) -> bool {
        self.status.is_none_or(|status| status == order.status)
            && self.customer.as_ref().is_none_or(|customer| *customer == order.customer)
    }
}

/// A page of orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) orders: Vec<Order>,
    /// The id after which the next page starts; `None` if this is the last page.
    pub(crate) next: Option<OrderId>,
}

/// A page of the events of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventPage {
    /// Oldest first.
    pub(crate) events: Vec<Event>,
    /// Whether later events exist.
    pub(crate) has_more: bool,
}

impl OrderRepo<'_> {
    /// At most `limit` orders that match the filter and have an id in `ids`.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(crate) fn list_orders(
        &self,
        filter: &Filter,
        mut ids: IdRange,
        limit: usize,
    ) -> Result<Page, RepoError> {
        let index = filter.index();
        // Many orders may be skipped, so full batches are read instead of only the number still missing.
        let skips_orders = filter.customer.is_some() && filter.status.is_some();
        let (mut orders, mut scanned, mut bytes) = (Vec::new(), 0, 0);
        let mut last = None;
        loop {
            // One more than returned shows whether there is a next page.
            let wanted = if skips_orders { BATCH } else { limit - orders.len() + 1 };
            let batch_size = wanted.min(BATCH);
            let batch = self.scan_index(&index, filter.sort, ids, batch_size)?;
            let at_end = batch.len() < batch_size;
            for (id, stored) in batch {
                if orders.len() == limit || bytes > MAX_PAGE_BYTES || scanned == MAX_SCANNED {
                    return Ok(Page { orders, next: last });
                }
                (scanned, last, ids) = (scanned + 1, Some(id), ids.after(id, filter.sort));
                let Some(stored) = stored else { continue };
                bytes += stored.value.len();
                let order = decode_order(&order_key(id), &stored.value)?;
                if filter.matches(&order) {
                    orders.push(order);
                }
            }
            if at_end {
                return Ok(Page { orders, next: None });
            }
        }
    }

    /// The first ids of a range in an index, each with the record of its order if that still exists.
    fn scan_index(
        &self,
        index: &IdIndex,
        sort: Sort,
        ids: IdRange,
        limit: usize,
    ) -> Result<Vec<(OrderId, Option<Stored>)>, RepoError> {
        let direction = match sort {
            Sort::NewestFirst => Direction::Descending,
            Sort::OldestFirst => Direction::Ascending,
        };
        let entries =
            self.store.scan(&index.range(ids), u32::try_from(limit).unwrap_or(u32::MAX), direction)?;
        let mut records = Vec::with_capacity(entries.len());
        for entry in entries {
            let id = index
                .parse_id(&entry.key)
                .ok_or_else(|| RepoError::corrupt(&entry.key, &"the key does not end with an id"))?;
            records.push((id, Some(entry.stored)));
        }
        if *index != orders() && !records.is_empty() {
            let keys = records.iter().map(|(id, _)| order_key(*id)).collect();
            for ((_, stored), order) in records.iter_mut().zip(self.store.get(keys)?) {
                *stored = order;
            }
        }
        Ok(records)
    }

    /// At most `limit` events of an order that follow event number `after`; 0 starts at the first event.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(crate) fn list_events(&self, id: OrderId, after: u64, limit: usize) -> Result<EventPage, RepoError> {
        // One more than returned shows whether there is a next page.
        let batch_size = u32::try_from(limit.saturating_add(1)).unwrap_or(u32::MAX);
        let mut entries = self.store.scan(&event_range_after(id, after), batch_size, Direction::Ascending)?;
        let has_more = entries.len() > limit;
        entries.truncate(limit);
        let decode = |entry: &Entry| {
            let event = decode_event(&entry.key, &entry.stored.value)?;
            if entry.key == event_key(id, event.seq) {
                return Ok(event);
            }
            Err(RepoError::corrupt(&entry.key, &format_args!("contains event {}", event.seq)))
        };
        Ok(EventPage { events: entries.iter().map(decode).collect::<Result<_, _>>()?, has_more })
    }
}
