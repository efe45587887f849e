//! Lists of orders and events, page by page, starting at any position.
//!
//! The cost of a page depends on the number of orders it returns, not on the size of the store. A time range and a position
//! narrow the range of keys that is scanned; a filter by customer or by status selects the index. With both filters, the
//! index by customer is scanned and orders with another status are skipped, up to a maximum number of scanned orders. Such a
//! page may be short or empty and still have a next page. So may a page of large orders, which has at least one order.

use super::error::RepoError;
use super::id_range::{IdRange, Sort};
use super::keys::{
    IdIndex, event_key, event_range_after, order_key, orders, orders_by_customer, orders_by_status,
};
use super::orders::OrderRepo;
use super::records::{decode_event, decode_order};
use crate::json::PageWriter;
use crate::order::{Customer, Order, OrderId, Status};
use crate::store::{Direction, Entry, Stored};

/// The maximum number of orders read by one call. The largest order has almost 300 KB, and a call returns at most 8 MiB.
const BATCH: usize = 25;

/// The first call for a long page reads this many orders. They show how large the others may be.
const SAMPLE: usize = 4;

/// The orders read for one page have at most this many bytes, if there is more than one. Memory holds a page twice: as it is
/// read, and as it is sent.
const MAX_PAGE_BYTES: usize = 1 << 20;

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

impl OrderRepo<'_> {
    /// Adds to the page at most `limit` orders that match the filter and have an id in `ids`. Returns the id after which the
    /// next page starts; `None` if this is the last page.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(crate) fn list_orders(
        &self,
        filter: &Filter,
        mut ids: IdRange,
        limit: usize,
        page: &mut PageWriter,
    ) -> Result<Option<OrderId>, RepoError> {
        let index = filter.index();
        // Many orders may be skipped, so full batches are read instead of only the number still missing.
        let skips_orders = filter.customer.is_some() && filter.status.is_some();
        let (mut listed, mut scanned, mut bytes, mut largest) = (0, 0, 0, 0);
        let mut last = None;
        loop {
            // One more than returned shows whether there is a next page.
            let wanted = if skips_orders { BATCH } else { limit - listed + 1 };
            let room = MAX_PAGE_BYTES.saturating_sub(bytes);
            let batch_size = match room.checked_div(largest) {
                Some(count) => wanted.min(BATCH).min(count + 1),
                None if limit >= BATCH && scanned == 0 => SAMPLE,
                None => wanted.min(BATCH),
            };
            let batch = self.scan_index(&index, filter.sort, ids, batch_size)?;
            let at_end = batch.len() < batch_size;
            let read: usize = batch.iter().map(|(_, stored)| length(stored.as_ref())).sum();
            // Those that follow are about as large.
            let expected = read / batch.len().max(1) * (limit - listed);
            page.reserve(read.max(expected).min(room));
            for (id, stored) in batch {
                let is_full = bytes + length(stored.as_ref()) > MAX_PAGE_BYTES && scanned > 0;
                if listed == limit || is_full || scanned == MAX_SCANNED {
                    return Ok(last);
                }
                (scanned, last, ids) = (scanned + 1, Some(id), ids.after(id, filter.sort));
                (bytes, largest) = (bytes + length(stored.as_ref()), largest.max(length(stored.as_ref())));
                let Some(stored) = stored else { continue };
                let key = order_key(id);
                let order = decode_order(&key, &stored.value)?;
                if filter.matches(&order) {
                    page.add(&order).map_err(|error| RepoError::corrupt(&key, &error))?;
                    listed += 1;
                }
            }
            if at_end {
                return Ok(None);
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

    /// Adds to the page at most `limit` events of an order that follow event number `after`, oldest first; 0 starts at the
    /// first event. Returns the number of the event after which the next page starts; `None` if this is the last page.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(crate) fn list_events(
        &self,
        id: OrderId,
        after: u64,
        limit: usize,
        page: &mut PageWriter,
    ) -> Result<Option<u64>, RepoError> {
        // One more than returned shows whether there is a next page.
        let batch_size = u32::try_from(limit.saturating_add(1)).unwrap_or(u32::MAX);
        let entries = self.store.scan(&event_range_after(id, after), batch_size, Direction::Ascending)?;
        let has_more = entries.len() > limit;
        let mut last = None;
        for Entry { key, stored } in entries.into_iter().take(limit) {
            let event = decode_event(&key, &stored.value)?;
            if key != event_key(id, event.seq) {
                return Err(RepoError::corrupt(&key, &format_args!("contains event {}", event.seq)));
            }
            page.add(&event).map_err(|error| RepoError::corrupt(&key, &error))?;
            last = Some(event.seq.get());
        }
        Ok(last.filter(|_| has_more))
    }
}

/// The length of a record in bytes; 0 if it does not exist.
fn length(record: Option<&Stored>) -> usize {
    record.map_or(0, |stored| stored.value.len())
}
