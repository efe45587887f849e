//! The number of entries of a state, and the checksum over them.
//!
//! The checksum is the SHA-256 of, for each entry: the length of the key, the key, the length of the value, the value. Lengths
//! have 4 bytes, the most significant first. Keys are in ascending order, so equal states have equal checksums.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::store::{Key, Value};

/// The number of entries, and their checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) entries: u64,
    /// 64 hexadecimal digits.
    pub(super) sha256: String,
}

/// Counts entries and computes their checksum.
#[derive(Clone, Default)]
pub(super) struct Checksum {
    entries: u64,
    digest: Sha256,
}

impl Checksum {
    pub(super) fn add(&mut self, key: &Key, value: &Value) {
        self.entries = self.entries.saturating_add(1);
        for part in [key.as_str().as_bytes(), value.as_bytes()] {
            // Lossless: keys and values are limited to far less than 4 GiB.
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            self.digest.update(length.to_be_bytes());
            self.digest.update(part);
        }
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    pub(super) fn total(self) -> Total {
        let mut sha256 = String::new();
        for byte in self.digest.finalize() {
            // Writing to a String cannot fail.
            let _ = write!(sha256, "{byte:02x}");
        }
        Total { entries: self.entries, sha256 }
    }
}
