//! The identifiers of an order and of its versions.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text::deserialize_text;
use super::timestamp::Timestamp;
use crate::values::{AsciiText, Uuid};

/// Identifies an order: a version 7 UUID that the service generates. Ids sort by the time of creation.
///
/// Parsing checks the form of the UUID, not its version. A UUID of another version is valid and matches no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(Uuid);

impl OrderId {
    /// A new id for an order created at this time.
    #[must_use]
    pub const fn new(created_at: Timestamp, random: [u8; 16]) -> Self {
        Self(Uuid::v7(created_at.unix_ms(), random))
    }

    /// The last millisecond since the epoch that fits into the 48 bits of an id.
    pub(crate) const MAX_MS: u64 = (1 << 48) - 1;

    /// The lower bound of all ids of orders created at this time or later. Uses the low 48 bits of `unix_ms`.
    #[must_use]
    pub(crate) const fn lower_bound_at(unix_ms: u64) -> Self {
        Self(Uuid::from_bytes(((unix_ms as u128) << 80).to_be_bytes()))
    }

    /// The smallest id greater than this one, if any.
    #[must_use]
    pub(crate) fn next(self) -> Option<Self> {
        let next = u128::from_be_bytes(self.bytes()).checked_add(1)?;
        Some(Self::from_bytes(next.to_be_bytes()))
    }

    /// The id with these bytes, which are not checked.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The bytes in network order.
    #[must_use]
    pub const fn bytes(&self) -> [u8; 16] {
        self.0.bytes()
    }

    /// The canonical text form: see [`Uuid::text`].
    pub(crate) fn text(&self) -> AsciiText<36> {
        self.0.text()
    }

    /// Parses the canonical text form: see [`Uuid::parse`].
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
        deserialize_text(deserializer)
    }
}

impl TryFrom<&str> for OrderId {
    type Error = &'static str;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::parse(text).ok_or("must be a UUID in lower case")
    }
}

/// The version of an order, counted from 1. The entity tag is this number in quotes (RFC 9110 §8.8.3).
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
    pub(super) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
