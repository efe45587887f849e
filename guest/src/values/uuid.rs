//! UUIDs (RFC 9562): versions 4 and 7, with one text form.

use std::fmt;

use super::ascii::AsciiText;

/// A UUID: 16 bytes in network order. UUIDs sort the same way as their text forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

/// Nanoseconds per millisecond.
const NS_PER_MS: u32 = 1_000_000;

/// Length of the text form, in bytes.
const TEXT_LENGTH: usize = 36;

/// Byte offsets of the hyphens in the text form (RFC 9562 §4).
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl Uuid {
    /// The UUID with these bytes. Their version and variant are not checked.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// A version 4 UUID: random, except for the version and variant bits (RFC 9562 §5.4).
    #[must_use]
    pub const fn v4(random: [u8; 16]) -> Self {
        Self(with_version_and_variant(random, 0x40))
    }

    /// A version 7 UUID: 48 bits of Unix milliseconds, 12 bits of their fraction, then random bits (RFC 9562 §5.7 and §6.2,
    /// method 3). UUIDs sort by time, to 1/4096 of a millisecond.
    ///
    /// Uses the low 48 bits of `unix_ms`, which are sufficient until the year 10889. `sub_ms_ns` are the nanoseconds since that
    /// millisecond, less than 1 000 000.
    #[must_use]
    pub const fn v7(unix_ms: u64, sub_ms_ns: u32, random: [u8; 16]) -> Self {
        let [_, _, t0, t1, t2, t3, t4, t5] = unix_ms.to_be_bytes();
        // Less than 4096. Divided by 64 first, so that the product fits into 32 bits.
        let [_, _, a, b] = ((sub_ms_ns % NS_PER_MS) / 64 * 4096 / (NS_PER_MS / 64)).to_be_bytes();
        let [_, _, _, _, _, _, _, _, c, d, e, f, g, h, i, j] = random;
        Self(with_version_and_variant([t0, t1, t2, t3, t4, t5, a, b, c, d, e, f, g, h, i, j], 0x70))
    }

    /// The bytes in network order.
    #[must_use]
    pub const fn bytes(&self) -> [u8; 16] {
        self.0
    }

    /// The canonical text form.
    pub(crate) fn text(&self) -> AsciiText<TEXT_LENGTH> {
        let mut text = AsciiText::new();
        let mut rest = self.0.as_slice();
        for group in [4, 2, 2, 2, 6] {
            let (bytes, remainder) = rest.split_at_checked(group).unwrap_or_default();
            if rest.len() < self.0.len() {
                text.push(b'-');
            }
            text.push_hex(bytes);
            rest = remainder;
        }
        text
    }

    /// Parses the canonical text form: 32 lower-case hexadecimal digits in groups of 8-4-4-4-12.
    ///
    /// RFC 9562 §4 also allows upper case on input. In keys and cursors, each id has exactly one spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != TEXT_LENGTH {
            return None;
        }
        let mut value: u128 = 0;
        for (offset, byte) in text.bytes().enumerate() {
            let digit = match byte {
                b'-' if HYPHENS.contains(&offset) => continue,
                _ if HYPHENS.contains(&offset) => return None,
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                _ => return None,
            };
            value = (value << 4) | u128::from(digit);
        }
        Some(Self(value.to_be_bytes()))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text().as_str())
    }
}

/// Sets the version (high four bits of byte 6) and the variant `10` (high two bits of byte 8).
const fn with_version_and_variant(bytes: [u8; 16], version: u8) -> [u8; 16] {
    let [a, b, c, d, e, f, seventh, g, ninth, h, i, j, k, l, m, n] = bytes;
    [a, b, c, d, e, f, (seventh & 0x0f) | version, g, (ninth & 0x3f) | 0x80, h, i, j, k, l, m, n]
}

#[cfg(test)]
mod tests {
    use super::Uuid;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    /// RFC 9562 A.3 and A.6.
    #[test]
    fn the_rfc_9562_examples_have_their_published_text() {
        let v4 =
            [0x91, 0x91, 0x08, 0xf7, 0x52, 0xd1, 0x03, 0x20, 0x1b, 0xac, 0xf8, 0x47, 0xdb, 0x41, 0x48, 0xa8];
        assert_eq!(Uuid::v4(v4).to_string(), "919108f7-52d1-4320-9bac-f847db4148a8");
        let random =
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfc, 0xc3, 0x58, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f];
        assert_eq!(
            Uuid::v7(0x017F_22E2_79B0, 797_700, random).to_string(),
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
        );
    }

    #[test]
    fn only_the_canonical_spelling_is_parsed() {
        let good = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
        assert_eq!(Uuid::parse(good).map(|id| id.to_string()).as_deref(), Some(good));
        for bad in [
            "",
            "017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398F",
            "017f22e279b07cc398c4dc0c0c07398f",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398f0",
            "{017f22e2-79b0-7cc3-98c4-dc0c0c0739}",
            "017f22e27-9b0-7cc3-98c4-dc0c0c07398f",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
            "017f22e2+79b0-7cc3-98c4-dc0c0c07398f",
            "017f22e2-79b0-7cc3-98c4-dc0c0c0739é",
            "-----------------------------------f",
        ] {
            assert_eq!(Uuid::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn text_round_trips(bytes: [u8; 16]) {
            let id = Uuid::from_bytes(bytes);
            prop_assert_eq!(Uuid::parse(&id.to_string()), Some(id));
        }

        #[test]
        fn text_sorts_like_bytes(one: [u8; 16], other: [u8; 16]) {
            let (one, other) = (Uuid::from_bytes(one), Uuid::from_bytes(other));
            prop_assert_eq!(one.cmp(&other), one.to_string().cmp(&other.to_string()));
        }

        #[test]
        fn version_7_sorts_by_time(
            earlier in 0..(1_u64 << 48) - 1, later in any::<u64>(), ns in any::<[u32; 2]>(), one: [u8; 16], other: [u8; 16],
        ) {
            let later = earlier + 1 + later % ((1 << 48) - 1 - earlier);
            prop_assert!(Uuid::v7(earlier, ns[0], one) < Uuid::v7(later, ns[1], other));
        }

        /// Each 64 nanoseconds belong to one of the 4096 parts of a millisecond.
        #[test]
        fn version_7_sorts_by_the_fraction_of_a_millisecond(
            ms in 0..1_u64 << 48, earlier in 0..1_000_000_u32, later in 0..1_000_000_u32, one: [u8; 16], other: [u8; 16],
        ) {
            if earlier + 310 < later {
                prop_assert!(Uuid::v7(ms, earlier, one) < Uuid::v7(ms, later, other));
            }
        }

        #[test]
        fn version_and_variant_are_set(time: u64, ns: u32, random: [u8; 16]) {
            for (id, version) in [(Uuid::v4(random), "4"), (Uuid::v7(time, ns, random), "7")] {
                let text = id.to_string();
                prop_assert_eq!(text.get(14..15), Some(version));
                prop_assert!(text.get(19..20).is_some_and(|variant| "89ab".contains(variant)));
            }
        }

        #[test]
        fn parse_accepts_any_text_without_panicking(text in ".{0,40}") {
            if let Some(id) = Uuid::parse(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
