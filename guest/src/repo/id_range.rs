//! Ranges of order ids. Ids sort by creation time, so a range of ids is also a range of time.

use crate::order::OrderId;

/// The sort order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Sort {
    #[default]
    NewestFirst,
    OldestFirst,
}

/// The ids from `start` (inclusive) to `end` (exclusive), or all ids from `start` if there is no end. May be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdRange {
    pub(crate) start: OrderId,
    pub(crate) end: Option<OrderId>,
}

impl IdRange {
    /// The ids of orders created after one time and before another, both exclusive, in milliseconds since the epoch.
    pub(crate) fn created_between(after: Option<i64>, before: Option<i64>) -> Self {
        let empty = Self { start: OrderId::lower_bound_at(0), end: Some(OrderId::lower_bound_at(0)) };
        let start = after.map_or(0, |after| after.saturating_add(1).max(0));
        let Some(start) = u64::try_from(start).ok().filter(|start| *start <= OrderId::MAX_MS) else {
            return empty;
        };
        let end = match before.map(u64::try_from) {
            None => None,
            Some(Err(_)) => return empty,
            Some(Ok(end)) => Some(end).filter(|end| *end <= OrderId::MAX_MS),
        };
        Self { start: OrderId::lower_bound_at(start), end: end.map(OrderId::lower_bound_at) }
    }

    /// The part of the range that follows an id in the given sort order.
    pub(crate) fn after(self, id: OrderId, sort: Sort) -> Self {
        match sort {
            Sort::NewestFirst => Self { end: Some(self.end.map_or(id, |end| end.min(id))), ..self },
            Sort::OldestFirst => match id.next() {
                Some(next) => Self { start: self.start.max(next), ..self },
                None => Self { end: Some(self.start), ..self },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{IdRange, Sort};
    use crate::order::{OrderId, Timestamp};
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    fn contains(range: IdRange, id: OrderId) -> bool {
        range.start <= id && range.end.is_none_or(|end| id < end)
    }

    #[test]
    fn times_outside_the_range_of_ids_are_handled() {
        let id = OrderId::new(Timestamp::from_unix_ms(0), 0, [0; 16]);
        assert!(contains(IdRange::created_between(None, None), id));
        assert!(contains(IdRange::created_between(Some(-1), Some(1)), id));
        assert!(contains(IdRange::created_between(Some(i64::MIN), Some(i64::MAX)), id));
        for (after, before) in
            [(Some(0), None), (None, Some(0)), (None, Some(i64::MIN)), (Some(i64::MAX), None)]
        {
            assert!(!contains(IdRange::created_between(after, before), id), "{after:?} {before:?}");
        }
        let whole = IdRange::created_between(None, None);
        let last = OrderId::from_bytes([0xff; 16]);
        assert!(!contains(whole.after(last, Sort::OldestFirst), last));
    }

    proptest! {
        #[test]
        fn a_time_range_contains_exactly_the_ids_created_in_it(
            ms in 0..1u64 << 48, after in -5i64..1 << 48, before in -5i64..1 << 48, ns in 0..1_000_000_u32, random: [u8; 16],
        ) {
            let id = OrderId::new(Timestamp::from_unix_ms(ms), ns, random);
            let ms = i64::try_from(Timestamp::from_unix_ms(ms).unix_ms()).unwrap();
            let range = IdRange::created_between(Some(after), Some(before));
            prop_assert_eq!(contains(range, id), after < ms && ms < before);
        }

        #[test]
        fn after_an_id_come_the_later_ids_in_the_sort_order(id: [u8; 16], position: [u8; 16]) {
            let (id, position) = (OrderId::from_bytes(id), OrderId::from_bytes(position));
            let whole = IdRange::created_between(None, None);
            prop_assert_eq!(contains(whole.after(position, Sort::NewestFirst), id), id < position);
            prop_assert_eq!(contains(whole.after(position, Sort::OldestFirst), id), id > position);
            prop_assert!(!contains(whole.after(id, Sort::OldestFirst), id));
        }
    }
}
