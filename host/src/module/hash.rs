//! The SHA-256 of a component, which identifies the module.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Identifies a module: the SHA-256 of its component. Displayed as 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ModuleHash([u8; 32]);

impl From<ModuleHash> for String {
    fn from(hash: ModuleHash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<String> for ModuleHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl ModuleHash {
    /// Hashes the bytes of a component.
    pub fn digest(component: &[u8]) -> Self {
        Self(Sha256::digest(component).into())
    }

    /// The first 12 digits: enough to tell modules apart in a log.
    pub fn short(&self) -> String {
        self.0.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for ModuleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for ModuleHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        decode_hex(text).map(Self).ok_or_else(|| "a hash has 64 hexadecimal digits".to_owned())
    }
}

/// Decodes 64 hexadecimal digits; `None` if the text is anything else.
pub fn decode_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_parsed_from_what_it_displays() {
        let hash = ModuleHash::digest(b"");
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!((hash.to_string().as_str(), hash.short().as_str()), (text, "e3b0c44298fc"));
        assert_eq!(text.parse(), Ok(hash));
        for invalid in [
            "",
            text.trim_start_matches('e'),
            &text.replace('e', "g"),
            &text.replace("e3", "+3"),
            &format!("{text}0"),
        ] {
            assert!(invalid.parse::<ModuleHash>().is_err(), "{invalid}");
        }
    }
}
