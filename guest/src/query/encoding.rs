//! Percent-encoding of names and values in a query.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Decodes a text in which `+` is a space and `%` with two hexadecimal digits is a byte (RFC 3986 §2.1). `None` if it is
/// malformed or the bytes are not UTF-8.
pub(super) fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
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

/// Decodes the unreserved characters of a path (RFC 3986 §2.3), which mean the same as without their encoding. Everything else
/// stays as it is, malformed or not.
pub(crate) fn decode_unreserved(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let (mut decoded, mut rest) = (String::with_capacity(path.len()), path);
    while let Some((before, after)) = rest.split_once('%') {
        decoded.push_str(before);
        let byte = match after.as_bytes() {
            [high, low, ..] => hex_value(*high).zip(hex_value(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        match byte.filter(|byte| is_unreserved(*byte)) {
            Some(byte) => {
                decoded.push(char::from(byte));
                // Both digits are ASCII.
                rest = after.split_at_checked(2).map_or("", |(_, rest)| rest);
            }
            None => {
                decoded.push('%');
                rest = after;
            }
        }
    }
    decoded.push_str(rest);
    Cow::Owned(decoded)
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Encodes every byte of a text except unreserved characters (RFC 3986 §2.3).
pub(super) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            _ if is_unreserved(byte) => encoded.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => _ = write!(encoded, "%{byte:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::{decode_unreserved, percent_decode, percent_encode};
    use proptest::prelude::{prop_assert_eq, proptest};

    #[test]
    fn percent_encoded_text_is_decoded() {
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
            assert_eq!(percent_decode(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn only_unreserved_characters_of_a_path_are_decoded() {
        for (path, expected) in [
            ("/api/v1/orders", "/api/v1/orders"),
            ("/api/v1/%6Frders", "/api/v1/orders"),
            ("/%61%7e%7E%2d%5F%2E", "/a~~-_."),
            ("/a%2Fb%20%25%3a", "/a%2Fb%20%25%3a"),
            ("%", "%"),
            ("%6", "%6"),
            ("%6x%6é%é%%61", "%6x%6é%é%a"),
            ("%C3%A9", "%C3%A9"),
        ] {
            assert_eq!(decode_unreserved(path), expected, "{path}");
        }
    }

    #[test]
    fn reserved_bytes_are_encoded() {
        assert_eq!(percent_encode("aZ09-._~"), "aZ09-._~");
        assert_eq!(percent_encode("é &+%<>\"/"), "%C3%A9%20%26%2B%25%3C%3E%22%2F");
    }

    proptest! {
        #[test]
        fn text_round_trips(text: String) {
            let encoded = percent_encode(&text);
            prop_assert_eq!(percent_decode(&encoded).unwrap(), text);
        }

        #[test]
        fn any_text_is_handled(text in ".{0,20}|[%+a-f0-9]{0,20}") {
            _ = percent_decode(&text);
        }
    }
}
