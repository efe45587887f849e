//! Digests: fixed-length identifiers of values of any length.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::ascii::AsciiText;

/// The first 128 bits of a SHA-256 hash (FIPS 180-4 §7 permits truncation). Displayed as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest([u8; 16]);

impl Digest {
    /// Hashes a sequence of parts. The length of each part is hashed too, so `["ab", "c"]` differs from
    /// `["a", "bc"]`.
    pub(crate) fn compute(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            hash.update(length.to_be_bytes());
            hash.update(part);
        }
        let whole: [u8; 32] = hash.finalize().into();
        let mut first = [0; 16];
        for (to, from) in first.iter_mut().zip(whole) {
            *to = from;
        }
        Self(first)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = AsciiText::<32>::new();
        text.push_hex(&self.0);
        formatter.write_str(text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Digest;

    /// Expected values from Python: `hashlib.sha256(b"\0\0\0\0\0\0\0\3abc").hexdigest()[:32]`.
    #[test]
    fn digests_match_known_values() {
        assert_eq!(Digest::compute(&[]).to_string(), "e3b0c44298fc1c149afbf4c8996fb924");
        assert_eq!(Digest::compute(&[b"abc"]).to_string(), "c3494ca1a2cf8eeb8a11ded316fb55b8");
    }

    #[test]
    fn part_boundaries_change_the_digest() {
        assert_ne!(Digest::compute(&[b"ab", b"c"]), Digest::compute(&[b"a", b"bc"]));
        assert_ne!(Digest::compute(&[b"a"]), Digest::compute(&[b"a", b""]));
    }
}
