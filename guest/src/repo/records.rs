//! The stored form of orders and events: the same JSON that clients receive.
//!
//! Decoding ignores unknown members, which a newer version of the component may have written. After a rollback, the older
//! version can still read the orders that the newer one created.

use serde::Serialize;

use crate::order::{Event, Order, OrderId};

use super::error::RepoError;
use super::keys::{event_key, order_key, orders};

/// An order with its JSON, which is serialized once for the store and for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrderRecord {
    order: Order,
    json: Vec<u8>,
}

impl OrderRecord {
    /// Serializes an order.
    ///
    /// # Errors
    /// [`RepoError::Corrupt`] if the order cannot be serialized, which is not expected for any order.
    pub(crate) fn encode(order: Order) -> Result<Self, RepoError> {
        let json = encode(&order, || order_key(order.id))?;
        Ok(Self { order, json })
    }

    /// The order.
    pub(crate) fn order(&self) -> &Order {
        &self.order
    }

    /// The JSON.
    pub(crate) fn json(&self) -> &[u8] {
        &self.json
    }

    /// The order, without the JSON.
    pub(crate) fn into_order(self) -> Order {
        self.order
    }

    /// The JSON, without the order.
    pub(crate) fn into_json(self) -> Vec<u8> {
        self.json
    }
}

/// The stored form of an event of an order.
///
/// # Errors
/// [`RepoError::Corrupt`], as for [`OrderRecord::encode`].
pub(super) fn encode_event(id: OrderId, event: &Event) -> Result<Vec<u8>, RepoError> {
    encode(event, || event_key(id, event.seq))
}

/// Decodes the order that is stored under a key.
///
/// # Errors
/// [`RepoError::Corrupt`] if the record is not an order, or is an order that belongs under another key.
pub(super) fn decode_order(key: &str, record: &[u8]) -> Result<Order, RepoError> {
    let order: Order = serde_json::from_slice(record).map_err(|error| RepoError::corrupt(key, &error))?;
    if orders().parse_id(key) != Some(order.id) {
        return Err(RepoError::corrupt(key, &format_args!("contains the order {}", order.id)));
    }
    Ok(order)
}

/// Decodes the event that is stored under a key.
///
/// # Errors
/// [`RepoError::Corrupt`] if the record is not an event.
pub(super) fn decode_event(key: &str, record: &[u8]) -> Result<Event, RepoError> {
    serde_json::from_slice(record).map_err(|error| RepoError::corrupt(key, &error))
}

fn encode(record: &impl Serialize, key: impl FnOnce() -> String) -> Result<Vec<u8>, RepoError> {
    serde_json::to_vec(record).map_err(|error| RepoError::corrupt(&key(), &error))
}

#[cfg(test)]
mod tests {
    use super::{OrderRecord, RepoError, decode_event, decode_order};
    use crate::order::Order;
    use proptest::prelude::{prop_assert, proptest};

    const KEY: &str = "o/01890000-0000-7000-8000-000000000001";

    const RECORD: &str = r#"{"id":"01890000-0000-7000-8000-000000000001","status":"pending","version":1,
        "customer":"c","currency":"EUR","items":[{"sku":"s","quantity":2,"unit_price":3}],"total":6,
        "created_at":"2026-11-22T12:30:06.000Z","updated_at":"2026-11-22T12:30:06.000Z"}"#;

    fn record() -> Order {
        decode_order(KEY, RECORD.as_bytes()).unwrap()
    }

    #[test]
    fn decoding_ignores_members_of_a_newer_version() {
        let newer = RECORD.replace("\"version\":1", "\"version\":1,\"gift\":{\"wrap\":[1.5,null]}");
        let newer = newer.replace("\"sku\"", "\"weight\":7,\"sku\"");
        assert_ne!(newer, RECORD);
        assert_eq!(decode_order(KEY, newer.as_bytes()).unwrap(), record());
        let event = r#"{"seq":1,"type":"created","occurred_at":"2026-11-22T12:30:06.000Z","by":"x"}"#;
        assert!(decode_event("e/x/1", event.as_bytes()).is_ok());
    }

    #[test]
    fn decoding_accepts_a_withdrawn_currency() {
        let old = decode_order(KEY, RECORD.replace("EUR", "BGN").as_bytes()).unwrap();
        assert_eq!(old.currency.as_str(), "BGN");
    }

    #[test]
    fn a_record_that_is_not_an_order_is_corrupt() {
        for (text, replacement) in [
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
            assert_ne!(RECORD.replace(text, replacement), RECORD, "{text}");
            match decode_order(KEY, RECORD.replace(text, replacement).as_bytes()) {
                Err(RepoError::Corrupt { key, .. }) => assert_eq!(key, KEY),
                other => panic!("{text} replaced with {replacement}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_record_under_the_key_of_another_order_is_corrupt() {
        for key in
            ["o/01890000-0000-7000-8000-000000000002", "01890000-0000-7000-8000-000000000001", "o/", ""]
        {
            assert!(matches!(decode_order(key, RECORD.as_bytes()), Err(RepoError::Corrupt { .. })), "{key}");
        }
    }

    #[test]
    fn an_order_round_trips() {
        let encoded = OrderRecord::encode(record()).unwrap().into_json();
        assert_eq!(decode_order(KEY, &encoded).unwrap(), record());
        assert!(!String::from_utf8(encoded).unwrap().contains("notes"), "absent members stay absent");
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_corrupt(record: Vec<u8>) {
            for error in [decode_order(KEY, &record).unwrap_err(), decode_event(KEY, &record).unwrap_err()] {
                let corrupt = matches!(error, RepoError::Corrupt { .. });
                prop_assert!(corrupt);
            }
        }
    }
}
