//! Where orders are kept: the trait, its errors, and the layout of keys and records.
//!
//! The stored form of an order is its JSON, the same that a client gets. Reading it passes over members
//! it does not know, which a newer version of this component may have written; so a version can be
//! rolled back without losing sight of the orders made meanwhile.

use crate::order::{Order, OrderId};

/// The orders of this service.
pub trait OrderRepo {
    /// Stores a new order, durably when it returns.
    ///
    /// # Errors
    /// [`RepoError::Conflict`] if an order with this id exists (nothing is written then), else whatever the
    /// store or the record's form brings.
    fn insert(&self, order: &Order) -> Result<(), RepoError>;

    /// The order with this id, if there is one.
    ///
    /// # Errors
    /// [`RepoError::Unavailable`] or [`RepoError::Corrupt`].
    fn find(&self, id: OrderId) -> Result<Option<Order>, RepoError>;

    /// At most `limit` orders with an id below `before`, or of all, newest (largest id) first. An
    /// implementation reads them by [`read_page`].
    ///
    /// # Errors
    /// [`RepoError::Unavailable`] or [`RepoError::Corrupt`].
    fn page(&self, before: Option<OrderId>, limit: u32) -> Result<Page, RepoError>;
}

/// Some of the orders there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Newest first.
    pub orders: Vec<Order>,
    /// Whether there are older ones.
    pub more: bool,
}

/// Why the repository did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepoError {
    /// Another writer was first. Nothing was written.
    Conflict,
    /// The store gave no answer. After a write it is not known whether it took place. The text is for the log.
    Unavailable(String),
    /// What is stored under a key cannot be read as an order (or an order not put into its stored form).
    Corrupt {
        /// The key of the record.
        key: String,
        /// What is wrong with it, for the log.
        cause: String,
    },
}

/// What the key of every order begins with, and so the start (inclusive) of the range that holds them.
pub const ORDERS_START: &str = "o/";

/// The smallest key above those of all orders: `0` follows `/` in ASCII.
pub const ORDERS_END: &str = "o0";

/// The key of an order, `o/{id}`: 38 bytes. Ids are UUIDs of version 7, so key order is creation order.
#[must_use]
pub fn order_key(id: OrderId) -> String {
    format!("{ORDERS_START}{id}")
}

/// The end (exclusive) of the range that holds every order below `before`, or every order. The range
/// starts at [`ORDERS_START`].
#[must_use]
pub fn orders_end(before: Option<OrderId>) -> String {
    before.map_or_else(|| ORDERS_END.to_owned(), order_key)
}

/// Most records read at once. The largest order has almost 300 KB, and the store gives at most 8 MiB.
const READ_AT_ONCE: u32 = 25;

/// A page ends once it has this many bytes of records, so that one of large orders still fits into memory
/// several times over: read, parsed and written.
const PAGE_BYTES: usize = 4 << 20;

/// Puts a page together out of reads that the store allows. `read` gives the records from [`ORDERS_START`] to
/// its first argument (exclusive), at most as many as its second, largest key first.
///
/// # Errors
/// Those of `read`, and [`RepoError::Corrupt`].
pub fn read_page(
    before: Option<OrderId>,
    limit: u32,
    mut read: impl FnMut(&str, u32) -> Result<Vec<(String, Vec<u8>)>, RepoError>,
) -> Result<Page, RepoError> {
    let mut end = orders_end(before);
    let mut orders = Vec::new();
    let (mut wanted, mut bytes) = (limit, 0);
    loop {
        // One more than is shown tells whether there are more.
        let at_once = wanted.saturating_add(1).min(READ_AT_ONCE);
        let records = read(&end, at_once)?;
        let last = u32::try_from(records.len()).is_ok_and(|read| read < at_once);
        for (key, record) in records {
            if wanted == 0 || bytes > PAGE_BYTES {
                return Ok(Page { orders, more: true });
            }
            orders.push(read_record(&key, &record)?);
            wanted -= 1;
            bytes += record.len();
            end = key;
        }
        if last {
            return Ok(Page { orders, more: false });
        }
    }
}

/// The stored form of an order.
///
/// # Errors
/// [`RepoError::Corrupt`] if it has none; no order is known for which that happens.
pub fn write_record(order: &Order) -> Result<Vec<u8>, RepoError> {
    serde_json::to_vec(order)
        .map_err(|error| RepoError::Corrupt { key: order_key(order.id), cause: error.to_string() })
}

/// The order that is stored under a key.
///
/// # Errors
/// [`RepoError::Corrupt`] if the record is not an order, or is one that belongs under another key.
pub fn read_record(key: &str, record: &[u8]) -> Result<Order, RepoError> {
    let corrupt = |cause: String| RepoError::Corrupt { key: key.to_owned(), cause };
    let order: Order = serde_json::from_slice(record).map_err(|error| corrupt(error.to_string()))?;
    if key.strip_prefix(ORDERS_START) != Some(order.id.to_string().as_str()) {
        return Err(corrupt(format!("it holds the order {}", order.id)));
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::{ORDERS_END, ORDERS_START, RepoError, order_key, orders_end, read_record, write_record};
    use crate::order::{Order, OrderId};
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    const KEY: &str = "o/01890000-0000-7000-8000-000000000001";

    const RECORD: &str = r#"{"id":"01890000-0000-7000-8000-000000000001","status":"pending","version":1,
        "customer":"c","currency":"EUR","items":[{"sku":"s","quantity":2,"unit_price":3}],"total":6,
        "created_at":"2026-11-22T12:30:06.000Z","updated_at":"2026-11-22T12:30:06.000Z"}"#;

    fn record() -> Order {
        read_record(KEY, RECORD.as_bytes()).unwrap()
    }

    #[test]
    fn the_key_of_an_order() {
        assert_eq!(order_key(record().id), KEY);
        assert_eq!(order_key(OrderId::from_bytes([0xff; 16])).len(), 38);
    }

    #[test]
    fn reading_passes_over_members_of_a_newer_version() {
        let newer = RECORD.replace("\"version\":1", "\"version\":1,\"gift\":{\"wrap\":[1.5,null]}");
        let newer = newer.replace("\"sku\"", "\"weight\":7,\"sku\"");
        assert_ne!(newer, RECORD);
        assert_eq!(read_record(KEY, newer.as_bytes()).unwrap(), record());
    }

    #[test]
    fn reading_takes_a_currency_that_has_been_withdrawn() {
        let old = read_record(KEY, RECORD.replace("EUR", "BGN").as_bytes()).unwrap();
        assert_eq!(old.currency.as_str(), "BGN");
    }

    #[test]
    fn a_record_that_is_no_order_is_corrupt() {
        for (what, with) in [
            ("\"pending\"", "\"lost\""),
            ("\"customer\":\"c\"", "\"customer\":\" \""),
            ("\"quantity\":2", "\"quantity\":0"),
            ("\"unit_price\":3", "\"unit_price\":1000000001"),
            ("\"EUR\"", "\"eur\""),
            ("[{", "[],\"x\":[{"),
            ("\"total\":6,", ""),
            ("12:30:06.000Z", "12:30:06Z"),
            ("\"c\",", "\"c\""),
        ] {
            assert_ne!(RECORD.replace(what, with), RECORD, "{what}");
            match read_record(KEY, RECORD.replace(what, with).as_bytes()) {
                Err(RepoError::Corrupt { key, .. }) => assert_eq!(key, KEY),
                other => panic!("{what} as {with}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_record_under_the_key_of_another_order_is_corrupt() {
        for key in
            ["o/01890000-0000-7000-8000-000000000002", "01890000-0000-7000-8000-000000000001", "o/", ""]
        {
            assert!(matches!(read_record(key, RECORD.as_bytes()), Err(RepoError::Corrupt { .. })), "{key}");
        }
    }

    #[test]
    fn a_record_is_written_as_it_is_read() {
        let written = write_record(&record()).unwrap();
        assert_eq!(read_record(KEY, &written).unwrap(), record());
        assert!(!String::from_utf8(written).unwrap().contains("notes"), "absent members stay absent");
    }

    proptest! {
        #[test]
        fn every_order_lies_in_the_range(bytes: [u8; 16]) {
            let key = order_key(OrderId::from_bytes(bytes));
            prop_assert!(ORDERS_START < key.as_str() && key.as_str() < ORDERS_END);
            prop_assert_eq!(orders_end(None), ORDERS_END);
        }

        #[test]
        fn a_range_ends_before_its_order(one: [u8; 16], other: [u8; 16]) {
            let (one, other) = (OrderId::from_bytes(one), OrderId::from_bytes(other));
            prop_assert_eq!(order_key(one) < orders_end(Some(other)), one < other);
        }

        #[test]
        fn any_record_is_read_or_corrupt(record: Vec<u8>) {
            let read = read_record(KEY, &record);
            prop_assert!(matches!(read, Err(RepoError::Corrupt { .. })), "{:?}", read);
        }
    }
}
