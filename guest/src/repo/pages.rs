//! Lists of orders and events, page by page, starting at any position.
//!
//! The cost of a page depends on the number of orders it returns, not on the size of the store. A time range and a position
//! narrow the range of keys that is scanned; a filter by customer or by status selects the index. With both filters, the
//! index by customer is scanned and orders with another status are skipped, up to a maximum number of scanned orders. Such a
//! page may be short or empty and still have a next page. So may a page of large orders, which has at least one order.
//!
//! A record that cannot be read, and a key that no version writes, are passed over and named in the log.

use super::error::RepoError;
use super::id_range::{IdRange, Sort};
use super::keys::{
    IdIndex, event_range_after, order_key, orders, orders_by_customer, orders_by_customer_and_status,
    orders_by_status, seq_of,
};
use super::orders::OrderRepo;
use super::records::{OrderView, read_event};
use crate::json::PageWriter;
use crate::order::OrderId;
use crate::store::{Direction, Entry, KeyRange, Stored};

/// The maximum number of orders read by one call. The largest order has some 200 KB, and a call returns at most 8 MiB.
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
    /// A status that this version need not know.
    pub(crate) status: Option<String>,
    pub(crate) customer: Option<String>,
    pub(crate) sort: Sort,
}

impl Filter {
    /// The index to scan, and whether orders in it have to be skipped.
    fn index(&self, can_read_customer_status: bool) -> (IdIndex, bool) {
        match (&self.customer, &self.status) {
            (Some(customer), Some(status)) if can_read_customer_status => {
                (orders_by_customer_and_status(customer, status), false)
            }
            (Some(customer), status) => (orders_by_customer(customer), status.is_some()),
            (None, Some(status)) => (orders_by_status(status), false),
            (None, None) => (orders(), false),
        }
    }

    /// Whether an order matches. Every order is checked: it may have changed since the index was read, and a version that does not
    /// know an index may have changed it before.
    fn matches(&self, order: &OrderView<'_>) -> bool {
        self.status.as_ref().is_none_or(|status| status == order.status())
            && self.customer.as_ref().is_none_or(|customer| order.customer().as_ref() == Some(customer))
    }
}

/// Keys of an index, each with the record of its order if that still exists.
type Batch = Vec<(String, Option<Stored>)>;

/// Where the page after a page starts, and what could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageEnd<P> {
    /// The position after which the next page starts; `None` if this is the last page.
    pub(crate) next: Option<P>,
    /// For the log: the records that were passed over.
    pub(crate) unreadable: Option<String>,
}

/// The records that a page passes over.
#[derive(Default)]
struct Unreadable {
    count: usize,
    first: Option<RepoError>,
}

impl Unreadable {
    fn add(&mut self, error: RepoError) {
        self.count += 1;
        self.first.get_or_insert(error);
    }

    fn end<P>(self, next: Option<P>) -> PageEnd<P> {
        let unreadable = self.first.map(|first| match first {
            RepoError::Corrupt { key, cause } if self.count == 1 => {
                format!("a record is left out of a list, because it cannot be read: {key}: {cause}")
            }
            RepoError::Corrupt { key, cause } => format!(
                "{} records are left out of a list, because they cannot be read; the first is {key}: {cause}",
                self.count
            ),
            RepoError::Unavailable(cause) | RepoError::TooLarge(cause) => cause,
        });
        PageEnd { next, unreadable }
    }
}

impl OrderRepo<'_> {
    /// Adds to the page at most `limit` orders that match the filter and have an id in `ids`.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(crate) fn list_orders(
        &self,
        filter: &Filter,
        ids: IdRange,
        limit: usize,
        page: &mut PageWriter,
    ) -> Result<PageEnd<OrderId>, RepoError> {
        let both = filter.customer.is_some() && filter.status.is_some();
        // Many orders may be skipped, so full batches are read instead of only the number still missing.
        let (index, skips_orders) = filter.index(both && self.can_read_customer_status()?);
        let mut range = index.range(ids);
        let (mut listed, mut scanned, mut bytes, mut largest) = (0, 0, 0, 0);
        let (mut last, mut unreadable) = (None, Unreadable::default());
        loop {
            // One more than returned shows whether there is a next page.
            let wanted = if skips_orders { BATCH } else { limit - listed + 1 };
            let room = MAX_PAGE_BYTES.saturating_sub(bytes);
            let batch_size = match room.checked_div(largest) {
                Some(count) => wanted.min(BATCH).min(count + 1),
                None if limit >= BATCH && scanned == 0 => SAMPLE,
                None => wanted.min(BATCH),
            };
            let (batch, at_end) = self.scan_batch(&index, filter.sort, &range, batch_size)?;
            let read: usize = batch.iter().map(|(_, stored)| length(stored.as_ref())).sum();
            // Those that follow are about as large.
            let expected = read / batch.len().max(1) * (limit - listed);
            page.reserve(read.max(expected).min(room));
            for (key, stored) in batch {
                let size = length(stored.as_ref());
                let is_full = bytes + size > MAX_PAGE_BYTES && scanned > 0;
                if listed == limit || is_full || scanned == MAX_SCANNED {
                    return Ok(unreadable.end(last));
                }
                let id = index.parse_id(&key);
                match filter.sort {
                    Sort::NewestFirst => range.end.clone_from(&key),
                    Sort::OldestFirst => range.start = format!("{key}\0"),
                }
                let Some(id) = id else {
                    unreadable.add(RepoError::corrupt(&key, &"the key does not end with an id"));
                    continue;
                };
                (scanned, last) = (scanned + 1, Some(id));
                (bytes, largest) = (bytes + size, largest.max(size));
                let Some(stored) = stored else { continue };
                match OrderView::read(&order_key(id), &stored.value) {
                    Ok(order) if filter.matches(&order) => {
                        order.members.add_to(page);
                        listed += 1;
                    }
                    Ok(_) => {}
                    Err(error) => unreadable.add(error),
                }
            }
            if at_end {
                return Ok(unreadable.end(None));
            }
        }
    }

    /// The first keys of a range in an index, each with the record of its order if that still exists, and whether the range has no
    /// more. Fewer are read if they are too large.
    fn scan_batch(
        &self,
        index: &IdIndex,
        sort: Sort,
        range: &KeyRange,
        mut size: usize,
    ) -> Result<(Batch, bool), RepoError> {
        loop {
            match self.scan_index(index, sort, range, size) {
                Err(RepoError::TooLarge(_)) if size > 1 => size /= 2,
                batch => {
                    return batch
                        .map(|batch| (batch.len() < size, batch))
                        .map(|(at_end, batch)| (batch, at_end));
                }
            }
        }
    }

    fn scan_index(
        &self,
        index: &IdIndex,
        sort: Sort,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Batch, RepoError> {
        let direction = match sort {
            Sort::NewestFirst => Direction::Descending,
            Sort::OldestFirst => Direction::Ascending,
        };
        let entries = self.store.scan(range, u32::try_from(limit).unwrap_or(u32::MAX), direction)?;
        let mut records: Vec<_> = entries.into_iter().map(|entry| (entry.key, Some(entry.stored))).collect();
        if *index != orders() {
            let ids: Vec<_> = records.iter().map(|(key, _)| index.parse_id(key)).collect();
            let keys: Vec<_> = ids.iter().flatten().map(|id| order_key(*id)).collect();
            let mut found = if keys.is_empty() { Vec::new() } else { self.store.get(keys)? }.into_iter();
            for ((_, stored), id) in records.iter_mut().zip(ids) {
                *stored = id.and_then(|_| found.next().flatten());
            }
        }
        Ok(records)
    }

    /// Adds to the page at most `limit` events of an order that follow event number `after`, oldest first; 0 starts at the
    /// first event.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(crate) fn list_events(
        &self,
        id: OrderId,
        after: u64,
        limit: usize,
        page: &mut PageWriter,
    ) -> Result<PageEnd<u64>, RepoError> {
        // One more than returned shows whether there is a next page.
        let batch_size = u32::try_from(limit.saturating_add(1)).unwrap_or(u32::MAX);
        let entries = self.store.scan(&event_range_after(id, after), batch_size, Direction::Ascending)?;
        let has_more = entries.len() > limit;
        let (mut last, mut unreadable) = (None, Unreadable::default());
        for Entry { key, stored } in entries.into_iter().take(limit) {
            last = seq_of(&key).or(last);
            match read_event(id, &key, &stored.value) {
                Ok(members) => members.add_to(page),
                Err(error) => unreadable.add(error),
            }
        }
        Ok(unreadable.end(last.filter(|_| has_more)))
    }
}

/// The length of a record in bytes; 0 if it does not exist.
fn length(record: Option<&Stored>) -> usize {
    record.map_or(0, |stored| stored.value.len())
}
