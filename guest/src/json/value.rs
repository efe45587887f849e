//! The values of a JSON document, read level by level.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::number::Number;

/// A value of a document that [`parse`](super::parse()) has checked. What is inside an array or an object is read when it is asked
/// for.
#[derive(Debug, Clone)]
pub(crate) enum Value<'text> {
    Null,
    Bool,
    Number(Number<'text>),
    /// Borrowed from the text if it has no escapes.
    String(Cow<'text, str>),
    Array(&'text RawValue),
    Object(&'text RawValue),
}

/// The name and the value of a member of an object.
pub(crate) type Member<'text> = (Cow<'text, str>, Value<'text>);

impl<'text> Value<'text> {
    /// The value with this text.
    pub(super) fn of(raw: &'text RawValue) -> Self {
        match raw.get().as_bytes().first() {
            Some(b'{') => Self::Object(raw),
            Some(b'[') => Self::Array(raw),
            Some(b'"') => {
                Self::String(serde_json::from_str(raw.get()).map(|Text(text)| text).unwrap_or_default())
            }
            Some(b't' | b'f') => Self::Bool,
            Some(b'n') | None => Self::Null,
            Some(_) => Self::Number(Number(raw.get())),
        }
    }

    /// The members of an object, sorted by name; those of anything else are none.
    pub(super) fn members(object: &'text RawValue) -> Vec<Member<'text>> {
        let Members(mut members) = serde_json::from_str(object.get()).unwrap_or_default();
        members.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        members.into_iter().map(|(name, raw)| (name, Self::of(raw))).collect()
    }

    /// The first elements of an array, at most `max`, and the number of all.
    pub(super) fn elements(array: &'text RawValue, max: usize) -> (Vec<Self>, usize) {
        let mut reader = serde_json::Deserializer::from_str(array.get());
        let Elements { first, count } = reader.deserialize_seq(ElementsVisitor { max }).unwrap_or_default();
        (first.into_iter().map(Self::of).collect(), count)
    }

    /// The type of the value, for an error message such as "must be a string, not null".
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool => "a boolean",
            Value::Number(number) if number.whole().is_none() => "a number with a fraction",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }
}

/// A string, borrowed if possible.
pub(super) struct Text<'text>(pub(super) Cow<'text, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// The members of an object in the sequence of the text, their values as text.
#[derive(Default)]
pub(super) struct Members<'text>(pub(super) Vec<(Cow<'text, str>, &'text RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(name), value)) = access.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

#[derive(Default)]
struct Elements<'text> {
    first: Vec<&'text RawValue>,
    count: usize,
}

struct ElementsVisitor {
    max: usize,
}

impl<'de> Visitor<'de> for ElementsVisitor {
    type Value = Elements<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Elements<'de>, A::Error> {
        let mut elements = Elements::default();
        while elements.count < self.max {
            let Some(element) = access.next_element()? else { return Ok(elements) };
            elements.first.push(element);
            elements.count += 1;
        }
        while access.next_element::<IgnoredAny>()?.is_some() {
            elements.count += 1;
        }
        Ok(elements)
    }
}
