//! Names and values as they stand in a query.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `+` stands for a space, `%` and two hexadecimal digits for a byte (RFC 3986 §2.1); the bytes are UTF-8.
pub(super) fn decoded(text: &str) -> Option<Cow<'_, str>> {
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

/// The text with every byte but the unreserved ones (RFC 3986 §2.3) percent-encoded.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            // Writing to a string cannot fail.
            _ => _ = write!(encoded, "%{byte:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::{decoded, encoded};
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

    #[test]
    fn percent_encoding() {
        assert_eq!(encoded("aZ09-._~"), "aZ09-._~");
        assert_eq!(encoded("é &+%<>\"/"), "%C3%A9%20%26%2B%25%3C%3E%22%2F");
    }

    proptest! {
        #[test]
        fn decodes_what_is_encoded(text: String) {
            let encoded = encoded(&text);
            prop_assert_eq!(decoded(&encoded).unwrap(), text);
        }

        #[test]
        fn takes_any_text(text in ".{0,20}|[%+a-f0-9]{0,20}") {
            _ = decoded(&text);
        }
    }
}
