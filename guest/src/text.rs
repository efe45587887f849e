//! Short texts of a known length: ids, digests and times.
//!
//! Every key, record and answer has several of them. `std::fmt` makes two calls or more for each of their characters.

/// Up to `N` characters of ASCII, written from left to right. What would be too much is left out.
pub(crate) struct Text<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Text<N> {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; N], length: 0 }
    }

    /// What has been written.
    pub(crate) fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// Writes one character.
    pub(crate) fn push(&mut self, ascii: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = ascii;
            self.length += 1;
        }
    }

    /// Writes each byte as two hexadecimal digits, in lower case.
    pub(crate) fn hex(&mut self, bytes: &[u8]) {
        let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
        for byte in bytes {
            self.push(digit(byte >> 4));
            self.push(digit(byte & 0x0f));
        }
    }

    /// Writes the last digits of a number, so many.
    pub(crate) fn decimal(&mut self, number: u64, digits: u32) {
        for place in (0..digits).rev() {
            let digit = number / 10_u64.saturating_pow(place) % 10;
            self.push(b'0' + u8::try_from(digit).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Text;
    use proptest::prelude::{prop_assert_eq, proptest};

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut text = Text::<3>::new();
        assert_eq!(text.as_str(), "");
        text.hex(&[0x0a, 0xf9]);
        assert_eq!(text.as_str(), "0af");
    }

    proptest! {
        #[test]
        fn texts_are_those_of_std(bytes: [u8; 8], number in 0_u64..10_000_000_000) {
            let mut text = Text::<26>::new();
            text.hex(&bytes);
            text.push(b'.');
            text.decimal(number, 9);
            prop_assert_eq!(
                text.as_str(),
                format!("{:016x}.{:09}", u64::from_be_bytes(bytes), number % 1_000_000_000)
            );
        }
    }
}
