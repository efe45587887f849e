//! The spelling of keys.
//!
//! What is padded or of fixed length sorts as what it stands for, for the store orders keys bytewise.

use crate::digest::Digest;
use crate::order::{Customer, OrderId, Status, Timestamp, Version};
use crate::store::KeyRange;
use crate::text::Text;

use super::kept::RequestDigest;
use super::pages::IdRange;

/// A set of keys that end with the id of an order, and so sort by creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ById(String);

/// The orders themselves.
pub(super) fn orders() -> ById {
    ById("o".to_owned())
}

/// The index of the orders in a status.
pub(super) fn by_status(status: Status) -> ById {
    ById(format!("s/{status}"))
}

/// The index of a customer's orders.
pub(super) fn by_customer(customer: &Customer) -> ById {
    ById(format!("c/{}", Digest::of(&[customer.as_str().as_bytes()])))
}

impl ById {
    /// The key for an order.
    pub(super) fn key(&self, id: OrderId) -> String {
        let id = id.text();
        [self.0.as_str(), "/", id.as_str()].concat()
    }

    /// The keys for a range of ids.
    pub(super) fn range(&self, ids: IdRange) -> KeyRange {
        KeyRange { start: self.key(ids.start), end: ids.end.map_or_else(|| self.end(), |end| self.key(end)) }
    }

    /// The id in a key of this set.
    pub(super) fn id(&self, key: &str) -> Option<OrderId> {
        key.strip_prefix(&self.0)?.strip_prefix('/').and_then(OrderId::parse)
    }

    /// The smallest key above all of the set: `0` follows `/` in ASCII.
    fn end(&self) -> String {
        format!("{}0", self.0)
    }
}

/// `o/{id}`
pub(super) fn order_key(id: OrderId) -> String {
    orders().key(id)
}

/// `s/{status}/{id}`
pub(super) fn status_key(status: Status, id: OrderId) -> String {
    by_status(status).key(id)
}

/// `c/{digest}/{id}`
pub(super) fn customer_key(customer: &Customer, id: OrderId) -> String {
    by_customer(customer).key(id)
}

/// `e/{id}/{seq}`; a version has at most 20 digits.
pub(super) fn event_key(id: OrderId, seq: Version) -> String {
    let mut number = Text::<20>::new();
    number.decimal(seq.get(), 20);
    ["e/", id.text().as_str(), "/", number.as_str()].concat()
}

/// The events of an order after the one with this number; 0 for all.
pub(super) fn events_after(id: OrderId, seq: u64) -> KeyRange {
    KeyRange { start: format!("e/{id}/{:020}", seq.saturating_add(1)), end: format!("e/{id}0") }
}

/// `i/{digest}`
pub(super) fn kept_key(request: &RequestDigest) -> String {
    format!("{KEPT}{request}")
}

/// `x/{expiry}/{digest}`; the last [`Timestamp`] has 15 digits.
pub(super) fn expiry_key(expires: Timestamp, request: &RequestDigest) -> String {
    format!("x/{:015}/{request}", expires.unix_ms())
}

/// The places in the queue of what has expired by `now`, that moment included.
pub(super) fn expired(now: Timestamp) -> KeyRange {
    KeyRange { start: "x/".to_owned(), end: format!("x/{:015}0", now.unix_ms()) }
}

/// The key of the kept answer that a place in the queue is for.
pub(super) fn kept_key_of(expiry_key: &str) -> Option<String> {
    let (_, digest) = expiry_key.rsplit_once('/')?;
    Some(format!("{KEPT}{digest}"))
}

const KEPT: &str = "i/";

#[cfg(test)]
mod tests {
    use super::{by_customer, by_status, event_key, events_after, orders};
    use crate::order::{Customer, OrderId, Status, Timestamp};
    use crate::repo::IdRange;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    const ALL: IdRange = IdRange { start: OrderId::from_bytes([0; 16]), end: None };

    #[test]
    fn keys_are_spelled_as_the_table_says() {
        let id = OrderId::parse("01890000-0000-7000-8000-000000000001").unwrap();
        let customer = Customer::try_from("ada".to_owned()).unwrap();
        assert_eq!(orders().key(id), "o/01890000-0000-7000-8000-000000000001");
        assert_eq!(by_status(Status::Shipped).key(id), "s/shipped/01890000-0000-7000-8000-000000000001");
        // hashlib.sha256(b"\0\0\0\0\0\0\0\3ada").hexdigest()[:32] of Python.
        let digest = "9987e1a22608d8a94ab8515f40621d0e";
        assert_eq!(by_customer(&customer).key(id), format!("c/{digest}/{id}"));
        let first = serde_json::from_str("1").unwrap();
        assert_eq!(event_key(id, first), format!("e/{id}/00000000000000000001"));
        assert_eq!(events_after(id, 0).start, event_key(id, first));
        assert!(
            events_after(id, u64::MAX).end
                > event_key(id, serde_json::from_str("18446744073709551615").unwrap())
        );
        let digest = super::RequestDigest::of("POST", "/x", "key");
        let expires = Timestamp::from_unix_ms(7);
        assert_eq!(super::expiry_key(expires, &digest), format!("x/000000000000007/{digest}"));
        assert_eq!(super::kept_key_of(&super::expiry_key(expires, &digest)), Some(super::kept_key(&digest)));
    }

    #[test]
    fn what_expires_now_has_expired() {
        let key = |ms| super::expiry_key(Timestamp::from_unix_ms(ms), &super::RequestDigest::of("", "", ""));
        let range = super::expired(Timestamp::from_unix_ms(1000));
        assert!(range.start < key(0) && key(1000) < range.end && range.end < key(1001));
    }

    proptest! {
        #[test]
        fn every_id_lies_in_the_whole_range(bytes: [u8; 16]) {
            let id = OrderId::from_bytes(bytes);
            for set in [orders(), by_status(Status::Pending)] {
                let (key, range) = (set.key(id), set.range(ALL));
                prop_assert!(range.start <= key && key < range.end);
                prop_assert_eq!(set.id(&key), Some(id));
            }
        }

        #[test]
        fn a_range_of_keys_is_one_of_ids(id: [u8; 16], start: [u8; 16], end: [u8; 16]) {
            let [id, start, end] = [id, start, end].map(OrderId::from_bytes);
            let range = orders().range(IdRange { start, end: Some(end) });
            let key = orders().key(id);
            prop_assert_eq!(range.start <= key && key < range.end, start <= id && id < end);
        }
    }
}
