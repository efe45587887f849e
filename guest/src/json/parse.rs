//! Parsing a request body into a tree of values.
//!
//! The parser is serde_json. This module also rejects what serde_json accepts and the contract does not: duplicate
//! members, a byte order mark and deep nesting. It decides from the digits whether a number is whole, where serde_json would round.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::name::quote_name;
use super::number::Number;
use super::text::Text;
use super::value::{MAX_ELEMENTS, Member, Value};

/// The maximum nesting of arrays and objects. An order needs 3 levels. RFC 8259 §9 permits a limit; this one bounds the
/// recursion to a small stack and is far below that of serde_json (128).
pub(super) const MAX_DEPTH: u8 = 32;

/// Parses one JSON value. The members with the names in `exact` are read from their digits if they are numbers; other numbers may be
/// rounded.
///
/// # Errors
/// The error in the text, as one sentence for the client, with line and column where they are known.
pub(crate) fn parse<'text>(body: &'text [u8], exact: &[&str]) -> Result<Value<'text>, String> {
    let text = std::str::from_utf8(body).map_err(|error| {
        format!(
            "The body is not valid UTF-8 (RFC 8259 §8.1): invalid byte at offset {}.",
            error.valid_up_to()
        )
    })?;
    if text.starts_with('\u{feff}') {
        return Err(
            "The body starts with a byte order mark, which JSON does not allow (RFC 8259 §8.1).".to_owned()
        );
    }
    if text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
        return Err("The body is empty; a JSON object is required.".to_owned());
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    ValueSeed { depth_left: MAX_DEPTH, exact }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| format!("The body cannot be parsed as JSON: {error}."))
}

/// Deserializes a [`Value`] and counts the levels of nesting that are left.
#[derive(Clone, Copy)]
struct ValueSeed<'names> {
    depth_left: u8,
    exact: &'names [&'names str],
}

impl ValueSeed<'_> {
    fn descend<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left, ..self }),
            None => Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels"))),
        }
    }
}

impl ValueSeed<'_> {
    /// The value with this text: a number as its digits say.
    fn exactly<'text, E: serde::de::Error>(self, raw: &'text RawValue) -> Result<Value<'text>, E> {
        let text = raw.get();
        if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return Ok(Value::Number(Number(text).whole()));
        }
        self.deserialize(&mut serde_json::Deserializer::from_str(text)).map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Value<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(Some(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(Some(i64::try_from(number).unwrap_or(i64::MAX))))
    }

    /// Called for a number with a fraction or an exponent, and for one that exceeds 64 bits.
    fn visit_f64<E>(self, number: f64) -> Result<Value<'de>, E> {
        if number.fract() != 0.0 {
            return Ok(Value::Number(None));
        }
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the number is whole, and the cast saturates at the bounds of i64"
        )]
        let number = number as i64;
        Ok(Value::Number(Some(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Borrowed(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value<'de>, A::Error> {
        let nested = self.descend()?;
        let (mut array, mut count) = (Vec::new(), 0);
        while let Some(element) = elements.next_element_seed(nested)? {
            if count < MAX_ELEMENTS {
                array.push(element);
            }
            count += 1;
        }
        Ok(Value::Array(array, count))
    }

    /// Sorts the members to find duplicate names in less than quadratic time, without hashing names chosen by the client.
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value<'de>, A::Error> {
        let nested = self.descend()?;
        let mut object: Vec<Member<'de>> = Vec::new();
        while let Some(Text(name)) = members.next_key()? {
            let value = match self.exact.contains(&&*name) {
                true => nested.exactly(members.next_value()?)?,
                false => members.next_value_seed(nested)?,
            };
            object.push((name, value));
        }
        object.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for ((name, _), (next, _)) in object.iter().zip(object.iter().skip(1)) {
            if name == next {
                let name = quote_name(name);
                return Err(A::Error::custom(format_args!("duplicate member {name} in the object ending")));
            }
        }
        Ok(Value::Object(object))
    }
}
