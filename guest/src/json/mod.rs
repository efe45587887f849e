//! Reading a request body: the text into a tree, and, in [`decode`], the tree into what it says.
//!
//! The reader is serde_json. What it lets pass and the contract does not is caught here: members that are
//! there twice, a byte order mark, and nesting that has no use.

pub(crate) mod decode;

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// A JSON value. Strings without escapes are borrowed from the text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'text> {
    Null,
    Bool,
    /// A whole number, however it is written: `2`, `2.0` and `0.2e1` are the same (JSON Schema, Core §4.2.3).
    /// Exact if it is written with digits alone; otherwise the reader has rounded it to binary64, as RFC 8259
    /// §6 expects of readers, which keeps it exact below 2⁵³. One beyond `i64` becomes the nearer end of that:
    /// no field comes near it.
    Integer(i64),
    /// A number with a fraction.
    Fraction,
    String(Cow<'text, str>),
    Array(Vec<Value<'text>>),
    /// Sorted by name, each name once.
    Object(Vec<Member<'text>>),
}

impl Value<'_> {
    /// What it is, for a sentence such as "must be a string, not null".
    fn kind(&self) -> &'static str {
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

/// The name and the value of an object's member.
pub(crate) type Member<'text> = (Cow<'text, str>, Value<'text>);

/// How deep arrays and objects may be nested. An order needs 3. RFC 8259 §9 lets a reader set a limit;
/// this one keeps the recursion within a small stack, well before the limit of serde_json (128).
const MAX_DEPTH: u8 = 32;

/// How much of a member's name an answer repeats, in code points. More than any name the contract allows.
const NAME_SHOWN: usize = 64;

/// Reads one JSON value.
///
/// # Errors
/// What is wrong with the text, for the client: one sentence, with line and column where there are any.
pub(crate) fn parse(body: &[u8]) -> Result<Value<'_>, String> {
    let text = std::str::from_utf8(body).map_err(|error| {
        format!("The body is not UTF-8 (RFC 8259 §8.1): the byte at offset {} is wrong.", error.valid_up_to())
    })?;
    if text.starts_with('\u{feff}') {
        return Err("The body begins with a byte order mark, which JSON must not (RFC 8259 §8.1).".to_owned());
    }
    if text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
        return Err("The body is empty; a JSON object is expected.".to_owned());
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    Tree { depth_left: MAX_DEPTH }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| format!("The body is not JSON as it is read here: {error}."))
}

/// A name as an answer may repeat it: quoted, escaped, and cut off if it is long.
pub(crate) fn shown(name: &str) -> String {
    beginning(name).map_or_else(|| format!("{name:?}"), |beginning| format!("{beginning:?}…"))
}

/// What an answer repeats of a name that is too long to repeat.
fn beginning(name: &str) -> Option<&str> {
    name.char_indices().nth(NAME_SHOWN).and_then(|(end, _)| name.get(..end))
}

/// Builds a [`Value`].
#[derive(Clone, Copy)]
struct Tree {
    depth_left: u8,
}

impl Tree {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left }),
            None => Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree {
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
        Ok(Value::Integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Integer(i64::try_from(number).unwrap_or(i64::MAX)))
    }

    /// A number written with a fraction or an exponent, or one beyond 64 bits.
    fn visit_f64<E>(self, number: f64) -> Result<Value<'de>, E> {
        if number.fract() != 0.0 {
            return Ok(Value::Fraction);
        }
        #[allow(
            clippy::cast_possible_truncation,
            reason = "it is whole, and the cast stops at the ends of i64"
        )]
        let number = number as i64;
        Ok(Value::Integer(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Borrowed(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value<'de>, A::Error> {
        let inside = self.deeper()?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(inside)? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    /// Sorting finds a name that is there twice without hashing what a client chose, and in less than
    /// quadratic time.
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value<'de>, A::Error> {
        let inside = self.deeper()?;
        let mut object: Vec<Member<'de>> = Vec::new();
        while let Some(name) = members.next_key_seed(Name)? {
            object.push((name, members.next_value_seed(inside)?));
        }
        object.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for ((name, _), (next, _)) in object.iter().zip(object.iter().skip(1)) {
            if name == next {
                let name = shown(name);
                return Err(A::Error::custom(format_args!(
                    "duplicate member {name} in the object that ends"
                )));
            }
        }
        Ok(Value::Object(object))
    }
}

/// Reads a member's name, borrowed where it can be.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }
}

#[cfg(test)]
mod tests;
