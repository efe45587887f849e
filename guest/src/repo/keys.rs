//! The spelling of keys.
//!
//! The store sorts keys bytewise. Numbers in keys are padded and ids have a fixed length, so that keys sort like the values.

use std::fmt;

use super::id_range::IdRange;
use crate::order::{OrderId, Timestamp, Version};
use crate::store::KeyRange;
use crate::values::{AsciiText, Digest};

/// The prefix of the keys of stored responses.
const RESPONSES: &str = "i/";

/// The key of the time up to which the expiry queue has been swept.
pub(super) const SWEPT: &str = "l/sweep";

/// The key of the state of the indexes.
pub(super) const INDEXES: &str = "l/index";

/// Identifies a request by its method, path and idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestDigest(Digest);

impl RequestDigest {
    pub(crate) fn new(method: &str, path: &str, key: &str) -> Self {
        Self(Digest::compute(&[method.as_bytes(), path.as_bytes(), key.as_bytes()]))
    }
}

impl fmt::Display for RequestDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A set of keys that consist of a prefix and the id of an order, and so sort by creation time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IdIndex {
    prefix: String,
}

/// The orders themselves.
pub(super) fn orders() -> IdIndex {
    IdIndex { prefix: "o".to_owned() }
}

/// The index of the orders with a status.
pub(super) fn orders_by_status(status: &str) -> IdIndex {
    IdIndex { prefix: format!("s/{status}") }
}

/// The index of a customer's orders.
pub(super) fn orders_by_customer(customer: &str) -> IdIndex {
    by_customer(&customer_digest(customer))
}

/// The index of a customer's orders with a status. Not below `c/`: former versions take every key there for that of an order.
pub(super) fn orders_by_customer_and_status(customer: &str, status: &str) -> IdIndex {
    by_customer_and_status(&customer_digest(customer), status)
}

fn customer_digest(customer: &str) -> Digest {
    Digest::compute(&[customer.as_bytes()])
}

fn by_customer(digest: &Digest) -> IdIndex {
    IdIndex { prefix: format!("c/{digest}") }
}

fn by_customer_and_status(digest: &Digest, status: &str) -> IdIndex {
    IdIndex { prefix: format!("cs/{digest}/{status}") }
}

impl IdIndex {
    /// The key of an order.
    pub(super) fn key(&self, id: OrderId) -> String {
        let id = id.text();
        [self.prefix.as_str(), "/", id.as_str()].concat()
    }

    /// The keys of a range of ids.
    pub(super) fn range(&self, ids: IdRange) -> KeyRange {
        KeyRange { start: self.key(ids.start), end: ids.end.map_or_else(|| self.end(), |end| self.key(end)) }
    }

    /// The id in a key of this index; `None` if the key is not one of this index.
    pub(super) fn parse_id(&self, key: &str) -> Option<OrderId> {
        key.strip_prefix(&self.prefix)?.strip_prefix('/').and_then(OrderId::parse)
    }

    /// The smallest key greater than every key of the index: `0` follows `/` in ASCII.
    fn end(&self) -> String {
        format!("{}0", self.prefix)
    }
}

/// `o/{id}`
pub(super) fn order_key(id: OrderId) -> String {
    orders().key(id)
}

/// `s/{status}/{id}`
pub(super) fn status_key(status: &str, id: OrderId) -> String {
    orders_by_status(status).key(id)
}

/// `c/{digest}/{id}` and `cs/{digest}/{status}/{id}`
pub(super) fn customer_keys(customer: &str, status: &str, id: OrderId) -> [String; 2] {
    let digest = customer_digest(customer);
    [by_customer(&digest).key(id), by_customer_and_status(&digest, status).key(id)]
}

/// `cs/{digest}/{status}/{id}`
pub(super) fn customer_status_key(customer: &str, status: &str, id: OrderId) -> String {
    orders_by_customer_and_status(customer, status).key(id)
}

/// `e/{id}/{seq}`. A version has at most 20 digits.
pub(super) fn event_key(id: OrderId, seq: Version) -> String {
    let mut number = AsciiText::<20>::new();
    number.push_decimal(seq.get(), 20);
    ["e/", id.text().as_str(), "/", number.as_str()].concat()
}

/// The keys of the events of an order that follow the event with this number; 0 for all events.
pub(super) fn event_range_after(id: OrderId, seq: u64) -> KeyRange {
    KeyRange { start: format!("e/{id}/{:020}", seq.saturating_add(1)), end: format!("e/{id}0") }
}

/// The number in the key of an event.
pub(super) fn seq_of(event_key: &str) -> Option<u64> {
    event_key.rsplit_once('/').and_then(|(_, seq)| seq.parse().ok())
}

/// `i/{digest}`
pub(super) fn response_key(request: &RequestDigest) -> String {
    format!("{RESPONSES}{request}")
}

/// `x/{expiry}/{digest}`. The last [`Timestamp`] has 15 digits.
pub(super) fn expiry_key(expires: Timestamp, request: &RequestDigest) -> String {
    format!("x/{:015}/{request}", expires.unix_ms())
}

/// The keys of the expiry queue for responses that expire at `start` or later, and at `now` or earlier.
pub(super) fn expired_range(start: Timestamp, now: Timestamp) -> KeyRange {
    KeyRange { start: format!("x/{:015}", start.unix_ms()), end: format!("x/{:015}0", now.unix_ms()) }
}

/// The time in a key of the expiry queue; `None` if the key is not one of the queue.
pub(super) fn expiry_of(expiry_key: &str) -> Option<Timestamp> {
    let (expires, _) = expiry_key.strip_prefix("x/")?.split_once('/')?;
    expires.parse().ok().map(Timestamp::from_unix_ms)
}

/// The key of the stored response to which a key of the expiry queue belongs.
pub(super) fn response_key_for(expiry_key: &str) -> Option<String> {
    let (_, digest) = expiry_key.rsplit_once('/')?;
    Some(format!("{RESPONSES}{digest}"))
}

#[cfg(test)]
mod tests {
    use super::{
        RequestDigest, customer_keys, customer_status_key, event_key, event_range_after, expired_range,
        expiry_key, expiry_of, orders, orders_by_status, response_key, response_key_for,
    };
    use crate::order::{OrderId, Timestamp};
    use crate::repo::IdRange;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    const ALL: IdRange = IdRange { start: OrderId::from_bytes([0; 16]), end: None };

    #[test]
    fn keys_are_spelled_as_in_the_table() {
        let id = OrderId::parse("01890000-0000-7000-8000-000000000001").unwrap();
        assert_eq!(orders().key(id), "o/01890000-0000-7000-8000-000000000001");
        assert_eq!(orders_by_status("shipped").key(id), "s/shipped/01890000-0000-7000-8000-000000000001");
        // Expected value from Python: `hashlib.sha256(b"\0\0\0\0\0\0\0\3ada").hexdigest()[:32]`.
        let digest = "9987e1a22608d8a94ab8515f40621d0e";
        let keys = [format!("c/{digest}/{id}"), format!("cs/{digest}/shipped/{id}")];
        assert_eq!(customer_keys("ada", "shipped", id), keys);
        assert_eq!(customer_status_key("ada", "shipped", id), keys[1]);
        let first = serde_json::from_str("1").unwrap();
        assert_eq!(event_key(id, first), format!("e/{id}/00000000000000000001"));
        assert_eq!(event_range_after(id, 0).start, event_key(id, first));
        assert!(
            event_range_after(id, u64::MAX).end
                > event_key(id, serde_json::from_str("18446744073709551615").unwrap())
        );
        let digest = RequestDigest::new("POST", "/x", "key");
        let expires = Timestamp::from_unix_ms(7);
        assert_eq!(expiry_key(expires, &digest), format!("x/000000000000007/{digest}"));
        assert_eq!(response_key_for(&expiry_key(expires, &digest)), Some(response_key(&digest)));
        assert_eq!(expiry_of(&expiry_key(expires, &digest)), Some(expires));
        assert_eq!([expiry_of("x/7"), expiry_of("x/a/b"), expiry_of("y/7/b")], [None; 3]);
    }

    #[test]
    fn the_expired_range_contains_its_first_and_last_millisecond() {
        let key = |ms| expiry_key(Timestamp::from_unix_ms(ms), &RequestDigest::new("", "", ""));
        let range = expired_range(Timestamp::from_unix_ms(7), Timestamp::from_unix_ms(1000));
        assert!(key(6) < range.start && range.start < key(7));
        assert!(key(1000) < range.end && range.end < key(1001));
    }

    #[test]
    fn requests_differ_by_method_path_and_key() {
        let one = RequestDigest::new("POST", "/a", "k");
        assert_eq!(one, RequestDigest::new("POST", "/a", "k"));
        for other in [("PUT", "/a", "k"), ("POST", "/b", "k"), ("POST", "/a", "l"), ("POST/", "a", "k")] {
            assert_ne!(one, RequestDigest::new(other.0, other.1, other.2));
        }
    }

    proptest! {
        #[test]
        fn the_full_range_contains_every_id(bytes: [u8; 16]) {
            let id = OrderId::from_bytes(bytes);
            for index in [orders(), orders_by_status("pending")] {
                let (key, range) = (index.key(id), index.range(ALL));
                prop_assert!(range.start <= key && key < range.end);
                prop_assert_eq!(index.parse_id(&key), Some(id));
            }
        }

        #[test]
        fn a_range_of_keys_contains_exactly_the_range_of_ids(id: [u8; 16], start: [u8; 16], end: [u8; 16]) {
            let [id, start, end] = [id, start, end].map(OrderId::from_bytes);
            let range = orders().range(IdRange { start, end: Some(end) });
            let key = orders().key(id);
            prop_assert_eq!(range.start <= key && key < range.end, start <= id && id < end);
        }
    }
}
