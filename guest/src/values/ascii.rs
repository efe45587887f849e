//! ASCII text of bounded length: ids, digests and timestamps.
//!
//! Every key, record and response contains several of them. `std::fmt` would make at least two calls per character.

/// Up to `N` ASCII characters, written from left to right. Characters beyond `N` are dropped.
pub(crate) struct AsciiText<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> AsciiText<N> {
    /// An empty text.
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; N], length: 0 }
    }

    /// The characters written so far.
    pub(crate) fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// Appends one character.
    pub(crate) fn push(&mut self, ascii: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = ascii;
            self.length += 1;
        }
    }

    /// Appends each byte as two lower-case hexadecimal digits.
    pub(crate) fn push_hex(&mut self, bytes: &[u8]) {
        let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
        for byte in bytes {
            self.push(digit(byte >> 4));
            self.push(digit(byte & 0x0f));
        }
    }

    /// Appends the last `digits` decimal digits of a number, padded with zeros.
    pub(crate) fn push_decimal(&mut self, number: u64, digits: u32) {
        for place in (0..digits).rev() {
            let digit = number / 10_u64.saturating_pow(place) % 10;
            self.push(b'0' + u8::try_from(digit).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AsciiText;
    use proptest::prelude::{prop_assert_eq, proptest};

    #[test]
    fn characters_beyond_the_capacity_are_dropped() {
        let mut text = AsciiText::<3>::new();
        assert_eq!(text.as_str(), "");
        text.push_hex(&[0x0a, 0xf9]);
        assert_eq!(text.as_str(), "0af");
    }

    proptest! {
        #[test]
        fn hex_and_decimal_match_std_formatting(bytes: [u8; 8], number in 0_u64..10_000_000_000) {
            let mut text = AsciiText::<26>::new();
            text.push_hex(&bytes);
            text.push(b'.');
            text.push_decimal(number, 9);
            prop_assert_eq!(
                text.as_str(),
                format!("{:016x}.{:09}", u64::from_be_bytes(bytes), number % 1_000_000_000)
            );
        }
    }
}
