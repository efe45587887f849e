//! The identifiers of an order and of its versions.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use super::timestamp::Timestamp;
use crate::values::{AsciiText, Uuid};

/// Identifies an order: a version 7 UUID that the service generates. Ids sort by the time of creation, to a quarter of a
/// microsecond.
///
/// Parsing checks the form of the UUID, not its version. A UUID of another version is valid and matches no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(Uuid);

impl OrderId {
    /// A new id for an order created at this time, and this many nanoseconds after its last millisecond.
    #[must_use]
    pub const fn new(created_at: Timestamp, sub_ms_ns: u32, random: [u8; 16]) -> Self {
        Self(Uuid::v7(created_at.unix_ms(), sub_ms_ns, random))
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

    /// Parses the text form in any case, as in a path (RFC 9562 §4).
    pub(crate) fn parse_any_case(text: &str) -> Option<Self> {
        Self::parse(&text.to_ascii_lowercase())
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

/// The version of an order, counted from 1.
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
