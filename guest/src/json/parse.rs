//! Checking the text of a request body.
//!
//! The parser is serde_json. This module also rejects what serde_json accepts and the contract does not: duplicate
//! members, a byte order mark and deep nesting.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::name::quote_name;
use super::value::{Text, Value};

/// The maximum nesting of arrays and objects. An order needs 3 levels. RFC 8259 §9 permits a limit; this one bounds the
/// recursion to a small stack and is far below that of serde_json (128).
pub(super) const MAX_DEPTH: u8 = 32;

/// Parses one JSON value. The whole text is checked, and nothing of it is copied.
///
/// # Errors
/// The error in the text, as one sentence for the client, with line and column where they are known.
pub(crate) fn parse(body: &[u8]) -> Result<Value<'_>, String> {
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
    Check { depth_left: MAX_DEPTH }
        .deserialize(&mut reader)
        .and_then(|()| reader.end())
        .and_then(|()| serde_json::from_str(text))
        .map(Value::of)
        .map_err(|error| format!("The body cannot be parsed as JSON: {error}."))
}

/// Reads a value, and counts the levels of nesting that are left.
#[derive(Clone, Copy)]
struct Check {
    depth_left: u8,
}

impl Check {
    fn descend<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left }),
            None => Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Check {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let nested = self.descend()?;
        while elements.next_element_seed(nested)?.is_some() {}
        Ok(())
    }

    /// Sorts the names to find duplicates in less than quadratic time, without hashing names chosen by the client.
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let nested = self.descend()?;
        let mut names: Vec<Cow<'de, str>> = Vec::new();
        while let Some(Text(name)) = members.next_key()? {
            names.push(name);
            members.next_value_seed(nested)?;
        }
        names.sort_unstable();
        for (name, next) in names.iter().zip(names.iter().skip(1)) {
            if name == next {
                let name = quote_name(name);
                return Err(A::Error::custom(format_args!("duplicate member {name} in the object ending")));
            }
        }
        Ok(())
    }
}
