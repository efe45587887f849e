//! The types of the members that a request may have. A value of each type satisfies its rule, and the text of the rule is the error
//! of its `TryFrom`. Lengths are in Unicode code points. What is stored is not held against these rules: they may change.

use std::collections::BTreeMap;

use serde::Serialize;

use super::characters::{is_line, is_paragraph, shows};

/// Defines a text type by its length in code points, a further condition and the text of its rule.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $bounds:expr, $condition:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = &'static str;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                let condition: fn(&str) -> bool = $condition;
                if $bounds.contains(&text.chars().count()) && condition(&text) { Ok(Self(text)) } else { Err($rule) }
            }
        }
    };
}

text! {
    /// Who ordered: 1…200 code points, not blank, no control characters.
    Customer, (1..=200), |text| is_line(text) && text.chars().any(shows),
    "must have 1 to 200 code points, at least one of them visible, and no control characters"
}

text! {
    /// A stock keeping unit: 1…64 characters from `A-Z a-z 0-9 . _ -`.
    Sku, (1..=64), |text| text.bytes().all(is_name_byte), "must have 1 to 64 characters from A-Z a-z 0-9 . _ -"
}

text! {
    /// The display name of an item: 1…200 code points, no control characters.
    ItemName, (1..=200), is_line, "must have 1 to 200 code points and no control characters"
}

text! {
    /// Free text about an order: up to 2000 code points, no control characters but tab and newline.
    Notes, (0..=2000), is_paragraph,
    "must have at most 2000 code points and no control characters other than tab and newline"
}

text! {
    /// The name of a metadata member: 1…40 characters from `A-Z a-z 0-9 _ . -`.
    MetadataName, (1..=40), |text| text.bytes().all(is_name_byte),
    "must have a name of 1 to 40 characters from A-Z a-z 0-9 _ . -"
}

text! {
    /// The value of a metadata member: up to 500 code points, no control characters.
    MetadataValue, (0..=500), is_line, "must have at most 500 code points and no control characters"
}

text! {
    /// Where a shipment can be tracked: 1…200 code points, not blank, no control characters.
    Tracking, (1..=200), |text| is_line(text) && text.chars().any(shows),
    "must have 1 to 200 code points, at least one of them visible, and no control characters"
}

text! {
    /// Why an order was cancelled: 1…500 code points, not blank, no control characters but tab and newline.
    Reason, (1..=500), |text| is_paragraph(text) && text.chars().any(shows),
    "must have 1 to 500 code points, at least one of them visible, and no control characters other than tab and newline"
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// Defines a bounded whole number by its type, its bounds and the text of its rule.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident($type:ty), $bounds:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub struct $name($type);

        impl $name {
            /// The number.
            #[must_use]
            pub const fn get(self) -> $type {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = &'static str;

            fn try_from(number: i64) -> Result<Self, Self::Error> {
                <$type>::try_from(number).ok().filter(|number| $bounds.contains(number)).map(Self).ok_or($rule)
            }
        }
    };
}

number! {
    /// The quantity of an item: 1…10 000.
    Quantity(u32), (1..=10_000), "must be from 1 to 10000"
}

number! {
    /// The price of one unit, in minor units of the order's currency (for example, cents): 0…10¹².
    UnitPrice(u64), (0..=1_000_000_000_000), "must be from 0 to 1000000000000"
}

/// An amount in minor units of the order's currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Amount(u64);

impl Amount {
    /// The greatest amount, 2⁵³ − 1: a client that uses binary64 numbers reads it exactly.
    const MAX: u64 = (1 << 53) - 1;

    /// The number of minor units.
    #[must_use]
    pub const fn minor_units(self) -> u64 {
        self.0
    }
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// The product.
    pub sku: Sku,
    /// The display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<ItemName>,
    /// The number of units.
    pub quantity: Quantity,
    /// The price of one unit.
    pub unit_price: UnitPrice,
    /// How the item is wrapped.
    #[cfg(feature = "next")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gift: Option<Sku>,
}

/// The lines of an order, in the sequence given: 1…100, with a total of at most 2⁵³ − 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Items {
    lines: Vec<Item>,
    #[serde(skip)]
    total: Amount,
}

impl Items {
    /// The rule for the number of lines.
    pub(crate) const RULE: &str = "must have 1 to 100 elements";
    /// The rule for the total.
    const TOTAL_RULE: &str = "must have a total of at most 9007199254740991 (2^53 - 1)";

    /// Whether an order may have this many lines.
    pub(crate) fn allows(count: usize) -> bool {
        (1..=100).contains(&count)
    }

    /// The lines.
    #[must_use]
    pub fn as_slice(&self) -> &[Item] {
        &self.lines
    }

    /// Σ quantity × unit price.
    #[must_use]
    pub const fn total(&self) -> Amount {
        self.total
    }
}

impl TryFrom<Vec<Item>> for Items {
    type Error = &'static str;

    fn try_from(lines: Vec<Item>) -> Result<Self, Self::Error> {
        if !Self::allows(lines.len()) {
            return Err(Self::RULE);
        }
        // At most 100 × 10⁴ × 10¹² = 10¹⁸, which fits.
        let total = lines.iter().map(|item| u64::from(item.quantity.get()) * item.unit_price.get()).sum();
        if total > Amount::MAX { Err(Self::TOTAL_RULE) } else { Ok(Self { lines, total: Amount(total) }) }
    }
}

/// Members that a client attaches to an order: up to 50, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Metadata(BTreeMap<MetadataName, MetadataValue>);

impl Metadata {
    /// The rule for the number of members.
    pub(crate) const RULE: &str = "must have at most 50 members";

    /// Whether metadata may have this many members.
    pub(crate) const fn allows(count: usize) -> bool {
        count <= 50
    }

    /// The members.
    #[must_use]
    pub const fn members(&self) -> &BTreeMap<MetadataName, MetadataValue> {
        &self.0
    }
}

impl TryFrom<BTreeMap<MetadataName, MetadataValue>> for Metadata {
    type Error = &'static str;

    fn try_from(members: BTreeMap<MetadataName, MetadataValue>) -> Result<Self, Self::Error> {
        if Self::allows(members.len()) { Ok(Self(members)) } else { Err(Self::RULE) }
    }
}
