//! Cursors: where a page of orders ended, as an opaque word in a URL.
//!
//! A cursor is the id of the page's last order, its 16 bytes in base64url without padding (RFC 4648 §5): 22
//! characters. Every word of that form is a cursor, whether or not an order has its id, so that a cursor
//! never goes stale.

use crate::order::OrderId;

/// 21 characters hold 126 of the 128 bits; the last one holds 2, followed by 4 zero bits.
const LENGTH: usize = 22;

/// The cursor of a page that ends with this order.
pub(crate) fn encode(last: OrderId) -> String {
    let bits = u128::from_be_bytes(last.bytes());
    let mut text = String::with_capacity(LENGTH);
    for shift in (0..21).map(|index| 122 - 6 * index) {
        text.push(character(bits >> shift));
    }
    text.push(character(bits << 4 & 0x30));
    text
}

/// The id in a cursor. None if the text has another form: also if bits that should be zero are not
/// (RFC 4648 §3.5), so that a place in the list has one cursor.
pub(crate) fn decode(text: &str) -> Option<OrderId> {
    let (last, front) = text.as_bytes().split_last().filter(|_| text.len() == LENGTH)?;
    let mut bits: u128 = 0;
    for byte in front {
        bits = bits << 6 | u128::from(value(*byte)?);
    }
    let last = value(*last).filter(|last| last & 0x0f == 0)?;
    bits = bits << 2 | u128::from(last >> 4);
    Some(OrderId::from_bytes(bits.to_be_bytes()))
}

/// The character for the low six bits.
fn character(bits: u128) -> char {
    let [low, ..] = bits.to_le_bytes();
    char::from(match low & 0x3f {
        value @ 0..26 => b'A' + value,
        value @ 26..52 => b'a' + value - 26,
        value @ 52..62 => b'0' + value - 52,
        62 => b'-',
        _ => b'_',
    })
}

/// The six bits that a character stands for.
fn value(character: u8) -> Option<u8> {
    Some(match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};
    use crate::order::OrderId;
    use proptest::prelude::{prop_assert_eq, proptest};

    #[test]
    fn known_cursors() {
        // base64.urlsafe_b64encode(…).rstrip(b"=") of Python.
        for (bytes, cursor) in [
            ([0; 16], "AAAAAAAAAAAAAAAAAAAAAA"),
            ([0xff; 16], "_____________________w"),
            (*b"0123456789abcdef", "MDEyMzQ1Njc4OWFiY2RlZg"),
            ([0xfb; 16], "-_v7-_v7-_v7-_v7-_v7-w"),
        ] {
            assert_eq!(encode(OrderId::from_bytes(bytes)), cursor);
            assert_eq!(decode(cursor), Some(OrderId::from_bytes(bytes)));
        }
    }

    #[test]
    fn other_forms_are_none() {
        for text in [
            "",
            "AAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAA==",
            "AAAAAAAAAAAAAAAAAAAAAB",
            "AAAAAAAAAAAAAAAAAAAAAI",
            "+AAAAAAAAAAAAAAAAAAAAA",
            "/AAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAA AAAAAAAAAAA",
            "ééééééééééé",
        ] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_id_has_one_cursor(bytes: [u8; 16]) {
            let id = OrderId::from_bytes(bytes);
            prop_assert_eq!(decode(&encode(id)), Some(id));
        }

        #[test]
        fn every_word_of_the_form_is_a_cursor(word in "[A-Za-z0-9_-]{21}[AQgw]") {
            prop_assert_eq!(decode(&word).map(encode), Some(word));
        }

        #[test]
        fn decode_takes_any_text(text in ".{0,30}") {
            if let Some(id) = decode(&text) {
                prop_assert_eq!(encode(id), text);
            }
        }
    }
}
