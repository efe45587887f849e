//! The types of an order's members. A value of each type satisfies its rule, and the text of the rule is the error of
//! its `TryFrom`. Lengths are in Unicode code points.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Defines a text type by its length in code points, a further condition and the text of its rule.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $bounds:expr, $condition:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String")]
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
    /// Who ordered: 1…200 code points, not blank.
    Customer, (1..=200), not_blank, "must have 1 to 200 code points, not all of them white space"
}

text! {
    /// A stock keeping unit: 1…64 characters from `A-Z a-z 0-9 . _ -`.
    Sku, (1..=64), |text| text.bytes().all(is_name_byte), "must have 1 to 64 characters from A-Z a-z 0-9 . _ -"
}

text! {
    /// The display name of an item: 1…200 code points.
    ItemName, (1..=200), |_| true, "must have 1 to 200 code points"
}

text! {
    /// Free text about an order: up to 2000 code points.
    Notes, (0..=2000), |_| true, "must have at most 2000 code points"
}

text! {
    /// The name of a metadata member: 1…40 characters from `A-Z a-z 0-9 _ . -`.
    MetadataName, (1..=40), |text| text.bytes().all(is_name_byte),
    "must have a name of 1 to 40 characters from A-Z a-z 0-9 _ . -"
}

text! {
    /// The value of a metadata member: up to 500 code points.
    MetadataValue, (0..=500), |_| true, "must have at most 500 code points"
}

text! {
    /// Where a shipment can be tracked: 1…200 code points, not blank.
    Tracking, (1..=200), not_blank, "must have 1 to 200 code points, not all of them white space"
}

text! {
    /// Why an order was cancelled: 1…500 code points, not blank.
    Reason, (1..=500), not_blank, "must have 1 to 500 code points, not all of them white space"
}

/// Whether the text contains a code point other than white space (Unicode property `White_Space`).
fn not_blank(text: &str) -> bool {
    text.chars().any(|character| !character.is_whitespace())
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// Defines a bounded whole number by its bounds and the text of its rule.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $bounds:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "i64")]
        pub struct $name(u32);

        impl $name {
            /// The number.
            #[must_use]
            pub const fn get(self) -> u32 {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = &'static str;

            fn try_from(number: i64) -> Result<Self, Self::Error> {
                u32::try_from(number).ok().filter(|number| $bounds.contains(number)).map(Self).ok_or($rule)
            }
        }
    };
}

number! {
    /// The quantity of an item: 1…10 000.
    Quantity, (1..=10_000), "must be from 1 to 10000"
}

number! {
    /// The price of one unit, in minor units of the order's currency (for example, cents): 0…10⁹.
    UnitPrice, (0..=1_000_000_000), "must be from 0 to 1000000000"
}

/// An amount in minor units of the order's currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Amount(u64);

impl Amount {
    /// The number of minor units.
    #[must_use]
    pub const fn minor_units(self) -> u64 {
        self.0
    }
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The product.
    pub sku: Sku,
    /// The display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<ItemName>,
    /// The number of units.
    pub quantity: Quantity,
    /// The price of one unit.
    pub unit_price: UnitPrice,
}

/// The lines of an order, in the sequence given: 1…100.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Item>")]
pub struct Items(Vec<Item>);

impl Items {
    /// The rule for the number of lines.
    pub(crate) const RULE: &str = "must have 1 to 100 elements";

    /// Whether an order may have this many lines.
    pub(crate) fn allows(count: usize) -> bool {
        (1..=100).contains(&count)
    }

    /// The lines.
    #[must_use]
    pub fn as_slice(&self) -> &[Item] {
        &self.0
    }

    /// Σ quantity × unit price.
    ///
    /// Cannot overflow: the types bound it to 100 lines × 10⁴ × 10⁹ = 10¹⁵. That is below 2⁵³, so a client that uses
    /// binary64 numbers reads it exactly.
    #[must_use]
    pub fn total(&self) -> Amount {
        let line = |item: &Item| u64::from(item.quantity.get()) * u64::from(item.unit_price.get());
        Amount(self.0.iter().map(line).sum())
    }
}

impl TryFrom<Vec<Item>> for Items {
    type Error = &'static str;

    fn try_from(items: Vec<Item>) -> Result<Self, Self::Error> {
        if Self::allows(items.len()) { Ok(Self(items)) } else { Err(Self::RULE) }
    }
}

/// Members that a client attaches to an order: up to 50, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<MetadataName, MetadataValue>")]
pub struct Metadata(BTreeMap<MetadataName, MetadataValue>);

impl Metadata {
    /// The rule for the number of members.
    pub(crate) const RULE: &str = "must have at most 50 members";

    /// Whether metadata may have this many members.
    pub(crate) fn allows(count: usize) -> bool {
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
