//! The tree of values that a JSON document describes.

use std::borrow::Cow;

/// So many elements of an array are kept. No array of the contract has more than 100.
pub(super) const MAX_ELEMENTS: usize = 1000;

/// A JSON value. Strings without escapes are borrowed from the text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'text> {
    Null,
    Bool,
    /// A number: whole as [`Number::whole`](super::number::Number::whole) has it, or not.
    Number(Option<i64>),
    String(Cow<'text, str>),
    /// The first elements, at most [`MAX_ELEMENTS`], and the number of all.
    Array(Vec<Value<'text>>, usize),
    /// The members sorted by name; names are unique.
    Object(Vec<Member<'text>>),
}

impl Value<'_> {
    /// The type of the value, for an error message such as "must be a string, not null".
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool => "a boolean",
            Value::Number(Some(_)) => "a number",
            Value::Number(None) => "a number with a fraction",
            Value::String(_) => "a string",
            Value::Array(..) => "an array",
            Value::Object(_) => "an object",
        }
    }
}

/// The name and the value of a member of an object.
pub(crate) type Member<'text> = (Cow<'text, str>, Value<'text>);
