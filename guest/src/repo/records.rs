//! The stored forms of orders and events: their JSON, the same that a client gets.
//!
//! Reading passes over members it does not know, which a newer version of this component may have written; so a
//! version can be rolled back without losing sight of the orders made meanwhile.

use serde::Serialize;

use crate::order::{Event, Order, OrderId};

use super::RepoError;
use super::keys::{event_key, order_key, orders};

/// An order with its stored form, which is what a client gets too: written once for both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrderRecord {
    order: Order,
    json: Vec<u8>,
}

impl OrderRecord {
    /// The record of an order.
    ///
    /// # Errors
    /// [`RepoError::Corrupt`] if it has none; no order is known for which that happens.
    pub(crate) fn of(order: Order) -> Result<Self, RepoError> {
        let json = write(&order, || order_key(order.id))?;
        Ok(Self { order, json })
    }

    /// The order.
    pub(crate) fn order(&self) -> &Order {
        &self.order
    }

    /// Its JSON.
    pub(crate) fn json(&self) -> &[u8] {
        &self.json
    }

    /// The order alone.
    pub(crate) fn into_order(self) -> Order {
        self.order
    }

    /// Its JSON alone.
    pub(crate) fn into_json(self) -> Vec<u8> {
        self.json
    }
}

/// The stored form of an event of this order.
///
/// # Errors
/// [`RepoError::Corrupt`], as for [`OrderRecord::of`].
pub(super) fn write_event(id: OrderId, event: &Event) -> Result<Vec<u8>, RepoError> {
    write(event, || event_key(id, event.seq))
}

/// The order that is stored under a key.
///
/// # Errors
/// [`RepoError::Corrupt`] if the record is not an order, or is one that belongs under another key.
pub(super) fn read_order(key: &str, record: &[u8]) -> Result<Order, RepoError> {
    let order: Order = serde_json::from_slice(record).map_err(|error| corrupt(key, &error))?;
    if orders().id(key) != Some(order.id) {
        return Err(corrupt(key, &format_args!("it holds the order {}", order.id)));
    }
    Ok(order)
}

/// The event that is stored under a key.
///
/// # Errors
/// [`RepoError::Corrupt`] if the record is not an event.
pub(super) fn read_event(key: &str, record: &[u8]) -> Result<Event, RepoError> {
    serde_json::from_slice(record).map_err(|error| corrupt(key, &error))
}

fn write(record: &impl Serialize, key: impl FnOnce() -> String) -> Result<Vec<u8>, RepoError> {
    serde_json::to_vec(record).map_err(|error| corrupt(&key(), &error))
}

/// That something stored under a key is not what belongs there.
pub(super) fn corrupt(key: &str, cause: &dyn std::fmt::Display) -> RepoError {
    RepoError::Corrupt { key: key.to_owned(), cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::{OrderRecord, RepoError, read_event, read_order};
    use crate::order::Order;
    use proptest::prelude::{prop_assert, proptest};

    const KEY: &str = "o/01890000-0000-7000-8000-000000000001";

    const RECORD: &str = r#"{"id":"01890000-0000-7000-8000-000000000001","status":"pending","version":1,
        "customer":"c","currency":"EUR","items":[{"sku":"s","quantity":2,"unit_price":3}],"total":6,
        "created_at":"2026-11-22T12:30:06.000Z","updated_at":"2026-11-22T12:30:06.000Z"}"#;

    fn record() -> Order {
        read_order(KEY, RECORD.as_bytes()).unwrap()
    }

    #[test]
    fn reading_passes_over_members_of_a_newer_version() {
        let newer = RECORD.replace("\"version\":1", "\"version\":1,\"gift\":{\"wrap\":[1.5,null]}");
        let newer = newer.replace("\"sku\"", "\"weight\":7,\"sku\"");
        assert_ne!(newer, RECORD);
        assert_eq!(read_order(KEY, newer.as_bytes()).unwrap(), record());
        let event = r#"{"seq":1,"type":"created","occurred_at":"2026-11-22T12:30:06.000Z","by":"x"}"#;
        assert!(read_event("e/x/1", event.as_bytes()).is_ok());
    }

    #[test]
    fn reading_takes_a_currency_that_has_been_withdrawn() {
        let old = read_order(KEY, RECORD.replace("EUR", "BGN").as_bytes()).unwrap();
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
            match read_order(KEY, RECORD.replace(what, with).as_bytes()) {
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
            assert!(matches!(read_order(key, RECORD.as_bytes()), Err(RepoError::Corrupt { .. })), "{key}");
        }
    }

    #[test]
    fn a_record_is_written_as_it_is_read() {
        let written = OrderRecord::of(record()).unwrap().into_json();
        assert_eq!(read_order(KEY, &written).unwrap(), record());
        assert!(!String::from_utf8(written).unwrap().contains("notes"), "absent members stay absent");
    }

    proptest! {
        #[test]
        fn any_record_is_read_or_corrupt(record: Vec<u8>) {
            for error in [read_order(KEY, &record).unwrap_err(), read_event(KEY, &record).unwrap_err()] {
                let corrupt = matches!(error, RepoError::Corrupt { .. });
                prop_assert!(corrupt);
            }
        }
    }
}
