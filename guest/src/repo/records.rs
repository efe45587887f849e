//! The stored form of orders and events.
//!
//! Clients receive what is stored, without the number of its layout. This version reads what any other has written: of a record, it
//! asks for an id, a status and a version. It keeps members that it does not know.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::RepoError;
use super::keys::{event_key, order_key, orders};
use crate::json::{Object, PageWriter};
use crate::order::{Event, LAYOUT_MEMBER, Order, OrderId, StoredOrder, Version};

/// The layout of the records that this version writes. A record without a number has layout 1.
pub(super) const LAYOUT: u32 = if cfg!(feature = "next") {
    3
} else if cfg!(feature = "previous") {
    1
} else {
    2
};

/// The first layout with the index by customer and status.
pub(super) const CUSTOMER_STATUS_SINCE: u32 = 2;
/// Whether this version writes that index.
pub(super) const WRITES_CUSTOMER_STATUS: bool = LAYOUT >= CUSTOMER_STATUS_SINCE;

/// What this version has to know of a record to show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrderHead {
    pub(crate) id: OrderId,
    pub(crate) status: String,
    pub(crate) version: Version,
    /// Who ordered, if that is a text.
    pub(crate) customer: Option<String>,
}

/// An order as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrderRecord {
    pub(super) head: OrderHead,
    pub(super) json: Vec<u8>,
}

impl OrderRecord {
    /// The record of a new order.
    ///
    /// # Errors
    /// [`RepoError::Corrupt`] if the order cannot be serialized, which is not expected for any order.
    pub(crate) fn new(order: &Order) -> Result<Self, RepoError> {
        let json = encode(order).map_err(|error| RepoError::corrupt(&order_key(order.id), &error))?;
        let head = OrderHead {
            id: order.id,
            status: order.status.name().to_owned(),
            version: order.version,
            customer: Some(order.customer.as_str().to_owned()),
        };
        Ok(Self { head, json })
    }

    /// The record of a changed order.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub(crate) fn changed(order: &StoredOrder) -> Result<Self, RepoError> {
        let json = order.write(LAYOUT).map_err(|error| RepoError::corrupt(&order_key(order.id()), &error))?;
        let json = json.into_bytes();
        let head = OrderHead {
            id: order.id(),
            status: order.status().to_owned(),
            version: order.version(),
            customer: order.customer(),
        };
        Ok(Self { head, json })
    }

    /// What clients receive, and the version.
    pub(crate) fn into_wire(self) -> (Vec<u8>, Version) {
        (into_wire(self.json), self.head.version)
    }

    /// Identifies the order.
    pub(crate) const fn id(&self) -> OrderId {
        self.head.id
    }
}

/// What clients receive of a record: everything but the layout.
pub(crate) fn into_wire(mut json: Vec<u8>) -> Vec<u8> {
    match std::str::from_utf8(&json).map(Members::of) {
        Ok(Members::Text(rest)) => {
            let before = json.len() - rest.len();
            json.drain(1..before);
            json
        }
        Ok(Members::Written(json)) => json.into_bytes(),
        Err(_) => json,
    }
}

/// What clients receive of a record: its members without the layout.
pub(super) enum Members<'record> {
    /// They are the end of the record: what follows its opening brace, or its layout.
    Text(&'record str),
    /// They had to be written anew, as an object.
    Written(String),
}

impl<'record> Members<'record> {
    /// Adds the record to a page.
    pub(super) fn add_to(&self, page: &mut PageWriter) {
        match self {
            Self::Text(members) => page.add(b"{", members.as_bytes()),
            Self::Written(object) => page.add(b"", object.as_bytes()),
        }
    }

    /// The layout is the first member of every record that this service writes.
    fn of(record: &'record str) -> Self {
        let Some(members) = record.strip_prefix('{') else { return Self::anew(record) };
        let after = members.strip_prefix('"').and_then(|rest| rest.strip_prefix(LAYOUT_MEMBER));
        match after.and_then(|rest| rest.strip_prefix("\":")).and_then(|rest| rest.split_once(',')) {
            Some((layout, rest)) if layout.bytes().all(|digit| digit.is_ascii_digit()) => Self::Text(rest),
            Some(_) => Self::anew(record),
            None if record.contains(LAYOUT_MEMBER) => Self::anew(record),
            None => Self::Text(members),
        }
    }

    /// For what others have put into the store.
    fn anew(record: &str) -> Self {
        let written = Object::read(record).and_then(|mut object| {
            object.remove(LAYOUT_MEMBER);
            object.write("")
        });
        Self::Written(written.unwrap_or_else(|_| record.to_owned()))
    }
}

/// The head of a record, and its members, read without copying them.
pub(super) struct OrderView<'record> {
    id: OrderId,
    status: Cow<'record, str>,
    version: Version,
    customer: Option<&'record RawValue>,
    pub(super) members: Members<'record>,
}

impl<'record> OrderView<'record> {
    /// Reads the order that is stored under a key.
    ///
    /// # Errors
    /// [`RepoError::Corrupt`] if the record is not an order, or is an order that belongs under another key.
    pub(super) fn read(key: &str, record: &'record [u8]) -> Result<Self, RepoError> {
        #[derive(Deserialize)]
        struct Head<'record> {
            #[serde(borrow)]
            id: Cow<'record, str>,
            #[serde(borrow)]
            status: Cow<'record, str>,
            version: Version,
            #[serde(borrow, default)]
            customer: Option<&'record RawValue>,
        }

        let corrupt = |cause: &dyn std::fmt::Display| RepoError::corrupt(key, cause);
        let text = std::str::from_utf8(record).map_err(|error| corrupt(&error))?;
        let Head { id, status, version, customer } =
            serde_json::from_str(text).map_err(|error| corrupt(&error))?;
        match OrderId::parse(&id).filter(|id| orders().parse_id(key) == Some(*id)) {
            Some(id) => Ok(Self { id, status, version, customer, members: Members::of(text) }),
            None => Err(corrupt(&format_args!("contains the order {id}"))),
        }
    }

    pub(super) fn status(&self) -> &str {
        &self.status
    }

    pub(super) fn customer(&self) -> Option<String> {
        serde_json::from_str(self.customer?.get()).ok()
    }

    pub(super) fn head(&self) -> OrderHead {
        OrderHead {
            id: self.id,
            status: self.status().to_owned(),
            version: self.version,
            customer: self.customer(),
        }
    }
}

/// The stored form of an event of an order.
///
/// # Errors
/// [`RepoError::Corrupt`], as for [`OrderRecord::new`].
pub(super) fn encode_event(id: OrderId, event: &Event) -> Result<Vec<u8>, RepoError> {
    encode(event).map_err(|error| RepoError::corrupt(&event_key(id, event.seq), &error))
}

/// Checks the event that is stored under a key.
///
/// # Errors
/// [`RepoError::Corrupt`] if the record is not an event, or belongs under another key.
pub(super) fn read_event<'record>(
    id: OrderId,
    key: &str,
    record: &'record [u8],
) -> Result<Members<'record>, RepoError> {
    #[derive(Deserialize)]
    struct Head {
        seq: Version,
    }

    let corrupt = |cause: &dyn std::fmt::Display| RepoError::corrupt(key, cause);
    let text = std::str::from_utf8(record).map_err(|error| corrupt(&error))?;
    let Head { seq } = serde_json::from_str(text).map_err(|error| corrupt(&error))?;
    if key == event_key(id, seq) {
        Ok(Members::of(text))
    } else {
        Err(corrupt(&format_args!("contains event {seq}")))
    }
}

/// Serializes a record, with its layout as the first member.
pub(super) fn encode(record: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    if LAYOUT == 1 {
        return serde_json::to_vec(record);
    }
    let mut json = format!("{{\"{LAYOUT_MEMBER}\":{LAYOUT}").into_bytes();
    let members = json.len();
    serde_json::to_writer(&mut json, record)?;
    // In place of the opening brace of the record.
    if let Some(brace) = json.get_mut(members) {
        *brace = b',';
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::{OrderView, RepoError, encode, into_wire, read_event};
    use crate::order::OrderId;
    use proptest::prelude::{prop_assert, proptest};

    const KEY: &str = "o/01890000-0000-7000-8000-000000000001";

    const RECORD: &str = r#"{"id":"01890000-0000-7000-8000-000000000001","status":"pending","version":1,"customer":"c","currency":"EUR","items":[{"sku":"s","quantity":2,"unit_price":3}],"total":6,"created_at":"2026-11-22T12:30:06.000Z","updated_at":"2026-11-22T12:30:06.000Z"}"#;

    fn wire(record: &str) -> String {
        String::from_utf8(into_wire(record.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn the_layout_never_reaches_a_client() {
        assert_eq!(wire(RECORD), RECORD);
        for layout in ["2", "3", "1000"] {
            assert_eq!(wire(&RECORD.replacen('{', &format!("{{\"layout\":{layout},"), 1)), RECORD);
        }
        // As no version writes it.
        assert_eq!(wire(&RECORD.replacen(",\"customer\"", ",\"layout\": 2 ,\"customer\"", 1)), RECORD);
        assert_eq!(wire(&RECORD.replacen('{', "{\"layout\":\"x\",", 1)), RECORD);
        assert_eq!(wire(&format!(" {RECORD}")), RECORD);
        assert_eq!(wire(r#"{"layout":2}"#), "{}");
        let mentioned = RECORD.replace("\"c\"", "\"layout\"");
        assert_eq!(wire(&mentioned), mentioned);
    }

    #[test]
    fn a_record_is_read_whatever_else_it_says() {
        for (text, replacement) in [
            ("\"pending\"", "\"returned\""),
            ("\"customer\":\"c\"", "\"customer\":\" \""),
            ("\"customer\":\"c\"", "\"customer\":{\"id\":7}"),
            ("\"quantity\":2", "\"quantity\":0.5"),
            ("\"unit_price\":3", "\"unit_price\":1e400"),
            ("\"EUR\"", "\"eur\""),
            ("[{", "[],\"x\":[{"),
            ("\"total\":6,", ""),
            ("12:30:06.000Z", "12:30:06Z"),
            ("{\"id\"", "{\"layout\":9,\"id\""),
        ] {
            let record = RECORD.replace(text, replacement);
            assert_ne!(record, RECORD, "{text}");
            assert!(OrderView::read(KEY, record.as_bytes()).is_ok(), "{record}");
        }
    }

    #[test]
    fn a_record_that_is_not_an_order_is_corrupt() {
        for (text, replacement) in [
            ("\"status\":\"pending\",", ""),
            ("\"status\":\"pending\"", "\"status\":1"),
            ("\"version\":1", "\"version\":-1"),
            ("\"version\":1", "\"version\":\"1\""),
            ("-000000000001\"", "-00000000000A\""),
            ("\"c\",", "\"c\""),
            ("06.000Z\"}", "06.000Z\""),
            ("06.000Z\"}", "06.000Z\"}x"),
        ] {
            let record = RECORD.replace(text, replacement);
            assert_ne!(record, RECORD, "{text}");
            match OrderView::read(KEY, record.as_bytes()).map(|view| view.head()) {
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
            let read = OrderView::read(key, RECORD.as_bytes()).map(|view| view.head());
            assert!(matches!(read, Err(RepoError::Corrupt { .. })), "{key}");
        }
    }

    #[test]
    fn a_record_begins_with_its_layout() {
        #[derive(serde::Serialize)]
        struct Record {
            a: u8,
        }

        assert_eq!(encode(&Record { a: 1 }).unwrap(), br#"{"layout":2,"a":1}"#);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_corrupt(record: Vec<u8>) {
            let id = OrderId::from_bytes([0; 16]);
            let order = OrderView::read(KEY, &record).map(|view| view.head());
            let event = read_event(id, "e/x/1", &record).map(drop);
            for error in [order.unwrap_err(), event.unwrap_err()] {
                let is_corrupt = matches!(error, RepoError::Corrupt { .. });
                prop_assert!(is_corrupt);
            }
            _ = into_wire(record);
        }
    }
}
