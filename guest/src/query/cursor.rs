//! Cursors: the position at which a page ended, as opaque text for a URL.
//!
//! A cursor is base64url without padding (RFC 4648 §5) of the 16 bytes of an order's id (22 characters) or of the 8 bytes of
//! an event's number (11 characters). Every text of that form is a valid cursor, even if no order or event has that position.
//! Cursors therefore never expire.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::order::OrderId;

/// The cursor for the page of orders that follows this id.
pub(crate) fn encode_order(last: OrderId) -> String {
    URL_SAFE_NO_PAD.encode(last.bytes())
}

/// The cursor for the page of events that follows this number.
pub(crate) fn encode_event(last: u64) -> String {
    URL_SAFE_NO_PAD.encode(last.to_be_bytes())
}

/// The id in a cursor; `None` if the cursor is malformed. Unused bits must be zero (RFC 4648 §3.5), so that each position
/// has exactly one cursor.
pub(crate) fn decode_order(text: &str) -> Option<OrderId> {
    decode(text).map(OrderId::from_bytes)
}

/// The event number in a cursor; `None` under the same conditions as for [`decode_order`].
pub(crate) fn decode_event(text: &str) -> Option<u64> {
    decode(text).map(u64::from_be_bytes)
}

fn decode<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    // Reject longer text before decoding: 4 characters encode 3 bytes.
    let bounded = Some(text).filter(|text| text.len() <= LENGTH * 4 / 3 + 1)?;
    URL_SAFE_NO_PAD.decode(bounded).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::{decode_event, decode_order, encode_event, encode_order};
    use crate::order::OrderId;
    use proptest::prelude::{prop_assert_eq, proptest};

    #[test]
    fn cursors_match_known_values() {
        // Expected values from Python: `base64.urlsafe_b64encode(…).rstrip(b"=")`.
        for (bytes, cursor) in [
            ([0; 16], "AAAAAAAAAAAAAAAAAAAAAA"),
            ([0xff; 16], "_____________________w"),
            (*b"0123456789abcdef", "MDEyMzQ1Njc4OWFiY2RlZg"),
            ([0xfb; 16], "-_v7-_v7-_v7-_v7-_v7-w"),
        ] {
            assert_eq!(encode_order(OrderId::from_bytes(bytes)), cursor);
            assert_eq!(decode_order(cursor), Some(OrderId::from_bytes(bytes)));
        }
        assert_eq!((encode_event(1).as_str(), decode_event("AAAAAAAAAAE")), ("AAAAAAAAAAE", Some(1)));
    }

    #[test]
    fn malformed_cursors_are_rejected() {
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
            assert_eq!(decode_order(text), None, "{text}");
        }
        for text in ["", "AAAAAAAAAA", "AAAAAAAAAAB", "AAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(decode_event(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_position_has_one_cursor(bytes: [u8; 16], number: u64) {
            let id = OrderId::from_bytes(bytes);
            prop_assert_eq!(decode_order(&encode_order(id)), Some(id));
            prop_assert_eq!(decode_event(&encode_event(number)), Some(number));
        }

        #[test]
        fn every_text_of_the_right_form_is_a_cursor(word in "[A-Za-z0-9_-]{21}[AQgw]", short in "[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]") {
            prop_assert_eq!(decode_order(&word).map(encode_order), Some(word));
            prop_assert_eq!(decode_event(&short).map(encode_event), Some(short));
        }

        #[test]
        fn any_text_is_handled(text in ".{0,30}") {
            if let Some(id) = decode_order(&text) {
                prop_assert_eq!(encode_order(id), text);
            }
        }
    }
}
