//! The tree of values that a JSON document describes.

use std::borrow::Cow;

/// A JSON value. Strings without escapes are borrowed from the text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'text> {
    Null,
    Bool,
    /// A whole number in any notation: `2`, `2.0` and `0.2e1` are equal (JSON Schema, Core §4.2.3).
    ///
    /// Exact if it is written with digits alone. Otherwise the parser rounds it to binary64, which RFC 8259 §6 expects of
    /// implementations and which is exact below 2⁵³. A number outside the range of `i64` becomes the nearest bound of that
    /// range; no member accepts a number that large.
    Integer(i64),
    /// A number with a fractional part.
    Fraction,
    String(Cow<'text, str>),
    Array(Vec<Value<'text>>),
    /// The members sorted by name; names are unique.
    Object(Vec<Member<'text>>),
}

impl Value<'_> {
    /// The type of the value, for an error message such as "must be a string, not null".
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool => "a boolean",
            Value::Integer(_) => "a number",
            Value::Fraction => "a number with a fraction",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }
}

/// The name and the value of a member of an object.
pub(crate) type Member<'text> = (Cow<'text, str>, Value<'text>);
