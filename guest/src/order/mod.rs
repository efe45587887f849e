//! Orders. Parsed, never validated later: a value of one of these types keeps the rules of the contract.

mod currency;
mod date_time;
mod decode;
mod fields;
mod lifecycle;
mod patch;
mod timestamp;

use std::fmt;
use std::marker::PhantomData;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::Text;
use crate::uuid::Uuid;

pub use self::currency::Currency;
pub(crate) use self::date_time::DateTime;
pub use self::fields::{
    Amount, Customer, Item, ItemName, Items, Metadata, MetadataName, MetadataValue, Notes, Quantity, Reason,
    Sku, Tracking, UnitPrice,
};
pub use self::lifecycle::{Action, Event, EventKind, NotAllowed, Status, Transition};
pub use self::patch::{MetadataPatch, Patch};
pub use self::timestamp::Timestamp;

/// An order. Its serialized form is what a client gets and what is stored.
///
/// Reading a stored one passes over members it does not know: a newer version may have written them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Names the order for ever.
    pub id: OrderId,
    /// How far it has come.
    pub status: Status,
    /// Which state of the order this is; every change adds one.
    pub version: Version,
    /// Who ordered.
    pub customer: Customer,
    /// What all its amounts are in.
    pub currency: Currency,
    /// What was ordered.
    pub items: Items,
    /// Σ quantity × unit price.
    pub total: Amount,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<Notes>,
    /// The client's own members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// When it was made: the time in its id.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Order {
    /// The order that a client asked for, made now, and what to note of it.
    #[must_use]
    pub fn create(new: NewOrder, now: Timestamp, random: [u8; 16]) -> (Self, Event) {
        let order = Self {
            id: OrderId::new(now, random),
            status: Status::Pending,
            version: Version::FIRST,
            total: new.items.total(),
            customer: new.customer,
            currency: new.currency,
            items: new.items,
            notes: new.notes,
            metadata: new.metadata,
            created_at: now,
            updated_at: now,
        };
        let event = Event::latest(&order, EventKind::Created);
        (order, event)
    }
}

/// What a client says to make an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// Who orders.
    pub customer: Customer,
    /// What the amounts are in: a currency in force.
    pub currency: Currency,
    /// What is ordered.
    pub items: Items,
    /// Free text.
    pub notes: Option<Notes>,
    /// The client's own members.
    pub metadata: Option<Metadata>,
}

/// Names an order: a UUID of version 7, made here. Sorts by the time of creation.
///
/// Its form is checked, not its version: a UUID of another version names no order, and is looked for in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(Uuid);

impl OrderId {
    /// A new id for an order made at this time.
    #[must_use]
    pub const fn new(created_at: Timestamp, random: [u8; 16]) -> Self {
        Self(Uuid::v7(created_at.unix_ms(), random))
    }

    /// The last millisecond since the epoch that an id can tell: it has 48 bits for it.
    pub(crate) const LAST_MS: u64 = (1 << 48) - 1;

    /// The bound below all ids of orders made at this time or later, and above all earlier ones. Takes the low 48
    /// bits of `unix_ms`.
    #[must_use]
    pub(crate) const fn first_at(unix_ms: u64) -> Self {
        Self(Uuid::from_bytes(((unix_ms as u128) << 80).to_be_bytes()))
    }

    /// The smallest id above this one, if there is one.
    #[must_use]
    pub(crate) fn next(self) -> Option<Self> {
        let next = u128::from_be_bytes(self.bytes()).checked_add(1)?;
        Some(Self::from_bytes(next.to_be_bytes()))
    }

    /// The id with these bytes, whatever they are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// Its bytes in network order.
    #[must_use]
    pub const fn bytes(&self) -> [u8; 16] {
        self.0.bytes()
    }

    /// The one spelling an id has: see [`Uuid::text`].
    pub(crate) fn text(&self) -> Text<36> {
        self.0.text()
    }

    /// Reads the one spelling an id has: see [`Uuid::parse`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::parse(text).map(Self)
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Serialize for OrderId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text().as_str())
    }
}

impl<'de> Deserialize<'de> for OrderId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_text(deserializer)
    }
}

impl TryFrom<&str> for OrderId {
    type Error = &'static str;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::parse(text).ok_or("must be a UUID in lower case")
    }
}

/// Counts the states of one order, from 1. Its entity tag is this number in quotes (RFC 9110 §8.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version(u64);

impl Version {
    /// The version of a new order.
    pub const FIRST: Self = Self(1);

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The version after this one.
    #[must_use]
    const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Reads a type from a string that need not be kept, without allocating one.
fn read_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: for<'text> TryFrom<&'text str, Error = &'static str>,
{
    struct Text<T>(PhantomData<T>);

    impl<T> Visitor<'_> for Text<T>
    where
        T: for<'text> TryFrom<&'text str, Error = &'static str>,
    {
        type Value = T;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a string")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            T::try_from(text).map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Text(PhantomData))
}
