//! The parameters of a list.

use std::borrow::Cow;

use crate::cursor;
use crate::json::shown;
use crate::order::OrderId;
use crate::problem::{Kind, Problem};

/// Which page of the orders to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageQuery {
    /// At most this many orders: 1…100.
    pub(crate) limit: u8,
    /// Only orders older than this one.
    pub(crate) before: Option<OrderId>,
}

const DEFAULT_LIMIT: u8 = 20;
const MAX_LIMIT: u8 = 100;

impl PageQuery {
    /// Reads the part of a request target that follows `?`, in the form that browsers and URL libraries give
    /// it (`application/x-www-form-urlencoded` of the WHATWG URL standard, but strict).
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] for the first parameter that is unknown, repeated, empty or malformed.
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let (mut limit, mut before) = (None, None);
        for part in query.filter(|query| !query.is_empty()).into_iter().flat_map(|query| query.split('&')) {
            let (name, value) = parameter(part)?;
            match &*name {
                "limit" => once(&mut limit, "limit", read_limit(&value)?)?,
                "cursor" => once(&mut before, "cursor", read_cursor(&value)?)?,
                "" => return Err(invalid("There is a parameter without a name.".to_owned())),
                _ => {
                    let name = shown(&name);
                    return Err(invalid(format!(
                        "The parameter {name} is not known here; known are limit and cursor."
                    )));
                }
            }
        }
        Ok(Self { limit: limit.unwrap_or(DEFAULT_LIMIT), before })
    }
}

fn read_limit(value: &str) -> Result<u8, Problem> {
    // `parse` alone would take a plus sign too.
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse() {
        Ok(limit @ 1..=MAX_LIMIT) if digits => Ok(limit),
        _ => Err(invalid(format!("The parameter limit must be a whole number from 1 to {MAX_LIMIT}."))),
    }
}

fn read_cursor(value: &str) -> Result<OrderId, Problem> {
    cursor::decode(value)
        .ok_or_else(|| invalid("The parameter cursor must be the next_cursor of an earlier page.".to_owned()))
}

/// Keeps a value unless there is one already.
fn once<T>(slot: &mut Option<T>, name: &str, value: T) -> Result<(), Problem> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(invalid(format!("The parameter {name} must be given once, not several times."))),
    }
}

/// The name and the value of `name=value`, decoded.
fn parameter(part: &str) -> Result<(Cow<'_, str>, Cow<'_, str>), Problem> {
    let (name, value) = part.split_once('=').unwrap_or((part, ""));
    match (decoded(name), decoded(value)) {
        (Some(name), Some(value)) => Ok((name, value)),
        _ => {
            let name = shown(name);
            Err(invalid(format!(
                "The parameter {name} must be UTF-8, with % only before two hexadecimal digits."
            )))
        }
    }
}

/// `+` stands for a space, `%` and two hexadecimal digits for a byte (RFC 3986 §2.1); the bytes are UTF-8.
fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex_value(bytes.next()?)? << 4 | hex_value(bytes.next()?)?,
            _ => byte,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn invalid(detail: String) -> Problem {
    Problem::new(Kind::InvalidParameter, detail)
}

#[cfg(test)]
mod tests {
    use super::decoded;
    use proptest::prelude::{prop_assert_eq, proptest};

    #[test]
    fn percent_decoding() {
        for (text, expected) in [
            ("", Some("")),
            ("plain", Some("plain")),
            ("a+b%20c", Some("a b c")),
            ("%2B%25%26", Some("+%&")),
            ("%c3%A9", Some("é")),
            ("é%20", Some("é ")),
            ("%", None),
            ("%2", None),
            ("%2g", None),
            ("%+1", None),
            ("%%20", None),
            ("%ff", None),
            ("%c3", None),
        ] {
            assert_eq!(decoded(text).as_deref(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn decodes_what_is_encoded(text: String) {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(decoded(&encoded).unwrap(), text);
        }

        #[test]
        fn takes_any_text(text in ".{0,20}|[%+a-f0-9]{0,20}") {
            _ = decoded(&text);
        }
    }
}
