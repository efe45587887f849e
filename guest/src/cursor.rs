//! Cursors: where a page ended, as an opaque word in a URL.
//!
//! A cursor is a position in base64url without padding (RFC 4648 §5): the 16 bytes of an order's id (22
//! characters), or the 8 of an event's number (11 characters). Every word of that form is a cursor, whether or not
//! something has that position, so that a cursor never goes stale.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::order::OrderId;

/// The cursor of a page of orders that ends behind this id.
pub(crate) fn of_order(last: OrderId) -> String {
    URL_SAFE_NO_PAD.encode(last.bytes())
}

/// The cursor of a page of events that ends with this number.
pub(crate) fn of_event(last: u64) -> String {
    URL_SAFE_NO_PAD.encode(last.to_be_bytes())
}

/// The id in a cursor. None if the text has another form: also if bits that should be zero are not
/// (RFC 4648 §3.5), so that a place in the list has one cursor.
pub(crate) fn order(text: &str) -> Option<OrderId> {
    decode(text).map(OrderId::from_bytes)
}

/// The number in a cursor; none as for [`order`].
pub(crate) fn event(text: &str) -> Option<u64> {
    decode(text).map(u64::from_be_bytes)
}

fn decode<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    // Longer text need not be looked at: 4 characters hold 3 bytes.
    let bounded = Some(text).filter(|text| text.len() <= LENGTH * 4 / 3 + 1)?;
    URL_SAFE_NO_PAD.decode(bounded).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::{event, of_event, of_order, order};
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
            assert_eq!(of_order(OrderId::from_bytes(bytes)), cursor);
            assert_eq!(order(cursor), Some(OrderId::from_bytes(bytes)));
        }
        assert_eq!((of_event(1).as_str(), event("AAAAAAAAAAE")), ("AAAAAAAAAAE", Some(1)));
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
            assert_eq!(order(text), None, "{text}");
        }
        for text in ["", "AAAAAAAAAA", "AAAAAAAAAAB", "AAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(event(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_position_has_one_cursor(bytes: [u8; 16], number: u64) {
            let id = OrderId::from_bytes(bytes);
            prop_assert_eq!(order(&of_order(id)), Some(id));
            prop_assert_eq!(event(&of_event(number)), Some(number));
        }

        #[test]
        fn every_word_of_the_form_is_a_cursor(word in "[A-Za-z0-9_-]{21}[AQgw]", short in "[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]") {
            prop_assert_eq!(order(&word).map(of_order), Some(word));
            prop_assert_eq!(event(&short).map(of_event), Some(short));
        }

        #[test]
        fn any_text_is_decided(text in ".{0,30}") {
            if let Some(id) = order(&text) {
                prop_assert_eq!(of_order(id), text);
            }
        }
    }
}
