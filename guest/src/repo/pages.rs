//! Reading page by page: through the orders themselves or through an index, from wherever a page begins.
//!
//! What a page costs depends on what it returns, not on what the store holds. A time range and a position narrow
//! the range of keys that is read; a customer or a status choose the index. With both, the index of the customer
//! is read, and what has another status is passed over, up to a bound: such a page may be short, or even empty, and
//! have a next one.

use crate::order::{Customer, Event, Order, OrderId, Status};
use crate::store::{Direction, Entry, Stored};

use super::keys::{ById, by_customer, by_status, event_key, events_after, order_key, orders};
use super::records::{read_event, read_order};
use super::{OrderRepo, RepoError};

/// Most orders read at once. The largest has almost 300 KB, and the store gives at most 8 MiB.
const READ_AT_ONCE: usize = 25;

/// A page ends once it has this many bytes of records, so that one of large orders still fits into memory
/// several times over: read, parsed and written.
const PAGE_BYTES: usize = 4 << 20;

/// Most orders looked at for one page, in the index that is read.
const LOOK_AT: usize = 200;

/// Which orders to list, and in which order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) status: Option<Status>,
    pub(crate) customer: Option<Customer>,
    pub(crate) sort: Sort,
}

impl Filter {
    fn index(&self) -> ById {
        match (&self.customer, self.status) {
            (Some(customer), _) => by_customer(customer),
            (None, Some(status)) => by_status(status),
            (None, None) => orders(),
        }
    }

    /// An order may have moved on since the index was read, so that this is asked of each.
    fn takes(&self, order: &Order) -> bool {
        self.status.is_none_or(|status| status == order.status)
            && self.customer.as_ref().is_none_or(|customer| *customer == order.customer)
    }
}

/// The order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Sort {
    #[default]
    NewestFirst,
    OldestFirst,
}

/// The ids from `start` (inclusive) to `end` (exclusive), or all above `start`. May be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdRange {
    pub(crate) start: OrderId,
    pub(crate) end: Option<OrderId>,
}

impl IdRange {
    /// The ids of orders made after one time and before another, in milliseconds since the epoch, both exclusive.
    pub(crate) fn of_time(after: Option<i64>, before: Option<i64>) -> Self {
        let none = Self { start: OrderId::first_at(0), end: Some(OrderId::first_at(0)) };
        let start = after.map_or(0, |after| after.saturating_add(1).max(0));
        let Some(start) = u64::try_from(start).ok().filter(|start| *start <= OrderId::LAST_MS) else {
            return none;
        };
        let end = match before.map(u64::try_from) {
            None => None,
            Some(Err(_)) => return none,
            Some(Ok(end)) => Some(end).filter(|end| *end <= OrderId::LAST_MS),
        };
        Self { start: OrderId::first_at(start), end: end.map(OrderId::first_at) }
    }

    /// What is left of it behind an id, in the given direction.
    pub(crate) fn beyond(self, id: OrderId, sort: Sort) -> Self {
        match sort {
            Sort::NewestFirst => Self { end: Some(self.end.map_or(id, |end| end.min(id))), ..self },
            Sort::OldestFirst => match id.next() {
                Some(next) => Self { start: self.start.max(next), ..self },
                None => Self { end: Some(self.start), ..self },
            },
        }
    }
}

/// Some of the orders there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) orders: Vec<Order>,
    /// Behind this id the next page begins; none if there is no next page.
    pub(crate) next: Option<OrderId>,
}

/// Some of the events of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventPage {
    /// Oldest first.
    pub(crate) events: Vec<Event>,
    /// Whether there are later ones.
    pub(crate) more: bool,
}

impl OrderRepo<'_> {
    /// At most `limit` of the orders with an id in `ids` that the filter takes.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(crate) fn page(&self, filter: &Filter, mut ids: IdRange, limit: usize) -> Result<Page, RepoError> {
        let index = filter.index();
        // What is read may be passed over, so that it is not read one by one.
        let selective = filter.customer.is_some() && filter.status.is_some();
        let (mut orders, mut looked_at, mut bytes) = (Vec::new(), 0, 0);
        let mut last = None;
        loop {
            // One more than is shown tells whether there are more.
            let wanted = if selective { READ_AT_ONCE } else { limit - orders.len() + 1 };
            let at_once = wanted.min(READ_AT_ONCE);
            let found = self.read(&index, filter.sort, ids, at_once)?;
            let at_end = found.len() < at_once;
            for (id, stored) in found {
                if orders.len() == limit || bytes > PAGE_BYTES || looked_at == LOOK_AT {
                    return Ok(Page { orders, next: last });
                }
                (looked_at, last, ids) = (looked_at + 1, Some(id), ids.beyond(id, filter.sort));
                let Some(stored) = stored else { continue };
                bytes += stored.value.len();
                let order = read_order(&order_key(id), &stored.value)?;
                if filter.takes(&order) {
                    orders.push(order);
                }
            }
            if at_end {
                return Ok(Page { orders, next: None });
            }
        }
    }

    /// The first orders of a range in an index, each with its record.
    fn read(
        &self,
        index: &ById,
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
        let mut found = Vec::with_capacity(entries.len());
        for entry in entries {
            let id = index.id(&entry.key).ok_or_else(|| RepoError::Corrupt {
                cause: "it does not end with an id".to_owned(),
                key: entry.key.clone(),
            })?;
            found.push((id, Some(entry.stored)));
        }
        if *index != orders() && !found.is_empty() {
            let keys = found.iter().map(|(id, _)| order_key(*id)).collect();
            for ((_, stored), order) in found.iter_mut().zip(self.store.get(keys)?) {
                *stored = order;
            }
        }
        Ok(found)
    }

    /// At most `limit` events of an order, behind the one numbered `after`. 0 begins at the first.
    ///
    /// # Errors
    /// [`RepoError`].
    pub(crate) fn events(&self, id: OrderId, after: u64, limit: usize) -> Result<EventPage, RepoError> {
        // One more than is shown tells whether there are more.
        let at_once = u32::try_from(limit.saturating_add(1)).unwrap_or(u32::MAX);
        let mut entries = self.store.scan(&events_after(id, after), at_once, Direction::Ascending)?;
        let more = entries.len() > limit;
        entries.truncate(limit);
        let read = |entry: &Entry| {
            let event = read_event(&entry.key, &entry.stored.value)?;
            if entry.key == event_key(id, event.seq) {
                return Ok(event);
            }
            Err(RepoError::Corrupt { key: entry.key.clone(), cause: format!("it holds event {}", event.seq) })
        };
        Ok(EventPage { events: entries.iter().map(read).collect::<Result<_, _>>()?, more })
    }
}

#[cfg(test)]
mod tests {
    use super::{IdRange, Sort};
    use crate::order::{OrderId, Timestamp};
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    fn holds(range: IdRange, id: OrderId) -> bool {
        range.start <= id && range.end.is_none_or(|end| id < end)
    }

    #[test]
    fn ends_of_time() {
        let id = OrderId::new(Timestamp::from_unix_ms(0), [0; 16]);
        assert!(holds(IdRange::of_time(None, None), id));
        assert!(holds(IdRange::of_time(Some(-1), Some(1)), id));
        assert!(holds(IdRange::of_time(Some(i64::MIN), Some(i64::MAX)), id));
        for (after, before) in
            [(Some(0), None), (None, Some(0)), (None, Some(i64::MIN)), (Some(i64::MAX), None)]
        {
            assert!(!holds(IdRange::of_time(after, before), id), "{after:?} {before:?}");
        }
        let whole = IdRange::of_time(None, None);
        let last = OrderId::from_bytes([0xff; 16]);
        assert!(!holds(whole.beyond(last, Sort::OldestFirst), last));
    }

    proptest! {
        #[test]
        fn a_time_range_holds_what_was_made_in_it(
            ms in 0..1u64 << 48, after in -5i64..1 << 48, before in -5i64..1 << 48, random: [u8; 16],
        ) {
            let id = OrderId::new(Timestamp::from_unix_ms(ms), random);
            let ms = i64::try_from(Timestamp::from_unix_ms(ms).unix_ms()).unwrap();
            let range = IdRange::of_time(Some(after), Some(before));
            prop_assert_eq!(holds(range, id), after < ms && ms < before);
        }

        #[test]
        fn beyond_an_id_lies_what_comes_later(id: [u8; 16], position: [u8; 16]) {
            let (id, position) = (OrderId::from_bytes(id), OrderId::from_bytes(position));
            let whole = IdRange::of_time(None, None);
            prop_assert_eq!(holds(whole.beyond(position, Sort::NewestFirst), id), id < position);
            prop_assert_eq!(holds(whole.beyond(position, Sort::OldestFirst), id), id > position);
            prop_assert!(!holds(whole.beyond(id, Sort::OldestFirst), id));
        }
    }
}
