//! Digests: a name of fixed length for something of any length.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::text::Text;

/// The first 128 bits of a SHA-256 (FIPS 180-4 §7 allows to cut it). Written as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest([u8; 16]);

impl Digest {
    /// The digest of some parts. Where one ends and the next begins counts: `["ab", "c"]` is not `["a", "bc"]`.
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
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
        let mut text = Text::<32>::new();
        text.hex(&self.0);
        formatter.write_str(text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Digest;

    /// hashlib.sha256(b"\0\0\0\0\0\0\0\3abc").hexdigest()[:32] of Python, and so on.
    #[test]
    fn known_digests() {
        assert_eq!(Digest::of(&[]).to_string(), "e3b0c44298fc1c149afbf4c8996fb924");
        assert_eq!(Digest::of(&[b"abc"]).to_string(), "c3494ca1a2cf8eeb8a11ded316fb55b8");
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(Digest::of(&[b"ab", b"c"]), Digest::of(&[b"a", b"bc"]));
        assert_ne!(Digest::of(&[b"a"]), Digest::of(&[b"a", b""]));
    }
}
