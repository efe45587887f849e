//! The signature of a component: a custom section in front of all others, which other hosts pass over.
//!
//! It is the format of the tool conventions of WebAssembly (`Signatures.md`), as `wasmsign2` reads and writes it, in
//! the one form that a single signature of a whole component has:
//!
//! ```text
//! 00 75 09 "signature"  a custom section of 117 bytes, and its name
//! 01 01 01              the format's version, for WebAssembly, SHA-256
//! 01 66                 one record of 102 bytes:
//! 01 <32 bytes>           one hash, of all that follows the section, up to the end of the file
//! 01 43                   one signature of 67 bytes:
//! 00 01 40 <64 bytes>       without the name of a key, Ed25519
//! ```
//!
//! What is signed is `wasmsig`, the three bytes of the second line, and the hash. Every other byte of the file can only
//! be what it is here: so no two files that differ are both accepted for one signature.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::module::{
    component::{COMPONENT_HEADER, check_header},
    keys::{PublicKey, SIGNATURE_BYTES, SecretKey, TrustedKeys},
};

/// The section up to the hash.
const BEFORE_HASH: &[u8] = b"\x00\x75\x09signature\x01\x01\x01\x01\x66\x01";
/// What stands between the hash and the signature.
const BEFORE_SIGNATURE: &[u8] = b"\x01\x43\x00\x01\x40";
/// What the signed message begins with; then comes the hash.
const DOMAIN: &[u8] = b"wasmsig\x01\x01\x01";
/// The name of the section, with its length before it.
const SECTION_NAME: &[u8] = b"\x09signature";
/// A number of 32 bits has at most so many bytes in the binary format.
const MAX_NUMBER_BYTES: usize = 5;

/// Why a signature is not accepted: one line that says what was wrong and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// There is nothing that could be signed; what the bytes are instead.
    NoComponent(String),
    /// There is no signature where one belongs.
    Missing,
    /// There is one of another form, or more than one.
    OtherForm,
    /// The component was changed after it had been signed.
    Altered,
    /// No trusted key has made the signature.
    Untrusted,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoComponent(what) => what,
            Self::Missing => {
                "it is not signed, and only signed components are accepted; `orders-host module sign` signs it"
            }
            Self::OtherForm => {
                "it has a signature of a form that is not read here, or several; sign the component as it was built, \
                 by `orders-host module sign`"
            }
            Self::Altered => {
                "it is not as it was signed (its SHA-256 differs): copy it again, or sign it anew"
            }
            Self::Untrusted => {
                "none of the trusted keys has signed it; sign it with one of them, or add the public key of its \
                 signer to the trusted ones"
            }
        })
    }
}

impl std::error::Error for SignatureError {}

/// Checks that a trusted key has signed a component, every byte of it as it is, and says which.
///
/// # Errors
///
/// [`SignatureError`] if this is not so.
pub fn check(component: &[u8], trusted: &TrustedKeys) -> Result<PublicKey, SignatureError> {
    let Parts { signature, content } = Parts::of(component)?;
    let Some((claimed, signature)) = signature else { return Err(SignatureError::Missing) };
    let hash = hash(content);
    if hash != *claimed {
        return Err(SignatureError::Altered);
    }
    let message = message(&hash);
    let signer = trusted.iter().find(|key| key.verifies(&message, signature));
    signer.copied().ok_or(SignatureError::Untrusted)
}

/// Signs a component: a copy of it with the signature in front, in the place of one that was there.
///
/// # Errors
///
/// [`SignatureError`] if the bytes are no component, or have a signature of another form.
pub fn sign(component: &[u8], key: &SecretKey) -> Result<Vec<u8>, SignatureError> {
    let Parts { content, .. } = Parts::of(component)?;
    let hash = hash(content);
    let signature = key.sign(&message(&hash));
    Ok([COMPONENT_HEADER, BEFORE_HASH, &hash, BEFORE_SIGNATURE, &signature, content].concat())
}

fn hash(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}

fn message(hash: &[u8; 32]) -> Vec<u8> {
    [DOMAIN, hash].concat()
}

/// A component, taken apart.
struct Parts<'a> {
    /// The hash that was signed, and its signature.
    signature: Option<(&'a [u8; 32], &'a [u8; SIGNATURE_BYTES])>,
    /// All sections but that of the signature.
    content: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(component: &'a [u8]) -> Result<Self, SignatureError> {
        check_header(component).map_err(SignatureError::NoComponent)?;
        let sections = component.strip_prefix(COMPONENT_HEADER).unwrap_or_default();
        let parts = Self::signed(sections).unwrap_or(Self { signature: None, content: sections });
        if begins_with_signature(parts.content) { Err(SignatureError::OtherForm) } else { Ok(parts) }
    }

    fn signed(sections: &'a [u8]) -> Option<Self> {
        let (hash, sections) = sections.strip_prefix(BEFORE_HASH)?.split_first_chunk()?;
        let (signature, content) = sections.strip_prefix(BEFORE_SIGNATURE)?.split_first_chunk()?;
        Some(Self { signature: Some((hash, signature)), content })
    }
}

/// Whether the first section is a signature, of whatever form.
fn begins_with_signature(sections: &[u8]) -> bool {
    let Some((0, section)) = sections.split_first() else { return false };
    // Its size is a number, of which each byte but the last has the highest bit.
    let size = section.iter().take(MAX_NUMBER_BYTES).position(|byte| byte & 0x80 == 0);
    let named = size.and_then(|last| section.get(last.saturating_add(1)..));
    named.is_some_and(|named| named.starts_with(SECTION_NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component with one custom section, `note`, that holds `hello`.
    const SMALL: &[u8] = b"\0asm\x0d\x00\x01\x00\x00\x0a\x04notehello";

    fn key() -> SecretKey {
        SecretKey::generate().unwrap()
    }

    fn trusting(keys: &[&SecretKey]) -> TrustedKeys {
        let lines: Vec<_> = keys.iter().map(|key| key.public().to_string()).collect();
        TrustedKeys::parse(&lines.join("\n")).unwrap()
    }

    #[test]
    fn what_is_signed_is_accepted() {
        let (one, two, three) = (key(), key(), key());
        for component in [SMALL, COMPONENT_HEADER] {
            let signed = sign(component, &two).unwrap();
            assert_eq!(check(&signed, &trusting(&[&one, &two])), Ok(two.public()));
            assert_eq!(check(&signed, &trusting(&[&two])), Ok(two.public()));
            assert_eq!(check(&signed, &trusting(&[&one, &three])), Err(SignatureError::Untrusted));
            assert_eq!(check(component, &trusting(&[&two])), Err(SignatureError::Missing));
            // Nothing of it was changed, and nothing is changed by doing it again.
            assert_eq!(signed.len(), component.len() + 119);
            assert!(signed.ends_with(&component[COMPONENT_HEADER.len()..]));
            assert_eq!(sign(component, &two).unwrap(), signed);
            assert_eq!(sign(&sign(component, &one).unwrap(), &two).unwrap(), signed);
        }
    }

    #[test]
    fn every_bit_counts() {
        let key = key();
        let trusted = trusting(&[&key]);
        let signed = sign(SMALL, &key).unwrap();
        for at in 0..signed.len() {
            for bit in 0..8 {
                let mut changed = signed.clone();
                changed[at] ^= 1 << bit;
                assert!(check(&changed, &trusted).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn no_byte_may_be_missing_or_added() {
        let key = key();
        let trusted = trusting(&[&key]);
        let signed = sign(SMALL, &key).unwrap();
        for end in 0..signed.len() {
            assert!(check(&signed[..end], &trusted).is_err(), "{end} bytes");
        }
        for at in 0..=signed.len() {
            let longer = [&signed[..at], b"\0", &signed[at..]].concat();
            assert!(check(&longer, &trusted).is_err(), "one more at {at}");
            if at < signed.len() {
                let shorter = [&signed[..at], &signed[at + 1..]].concat();
                assert!(check(&shorter, &trusted).is_err(), "one less at {at}");
            }
        }
        let appended = [&signed[..], b"\0\x05\x04note"].concat();
        assert_eq!(check(&appended, &trusted), Err(SignatureError::Altered));
    }

    /// A signature is for what it was made for, not for another component of the same signer.
    #[test]
    fn a_signature_of_something_else() {
        let key = key();
        let [signed, other] = [SMALL, COMPONENT_HEADER].map(|component| sign(component, &key).unwrap());
        let sections = &signed[other.len()..];
        let moved = [&other[..], sections].concat();
        assert_eq!(check(&moved, &trusting(&[&key])), Err(SignatureError::Altered));
        // With the right hash, and the signature of the other one.
        let at = signed.len() - sections.len() - SIGNATURE_BYTES;
        let mixed = [&signed[..at], &other[at..], sections].concat();
        assert_eq!(check(&mixed, &trusting(&[&key])), Err(SignatureError::Untrusted));
    }

    #[test]
    fn two_signatures() {
        let (one, two) = (key(), key());
        let trusted = trusting(&[&one, &two]);
        let inner = sign(SMALL, &one).unwrap();
        let section = &sign(SMALL, &two).unwrap()[COMPONENT_HEADER.len()..][..119];
        let sections = &inner[COMPONENT_HEADER.len()..];
        // In front of the first, and behind all.
        let twice = [COMPONENT_HEADER, section, sections].concat();
        assert_eq!(check(&twice, &trusted), Err(SignatureError::OtherForm));
        assert_eq!(sign(&twice, &one), Err(SignatureError::OtherForm));
        let behind = [&inner[..], section].concat();
        assert_eq!(check(&behind, &trusted), Err(SignatureError::Altered));
        // As it was signed, but not in front.
        let misplaced = [SMALL, section].concat();
        assert_eq!(check(&misplaced, &trusted), Err(SignatureError::Missing));
    }

    #[test]
    fn a_signature_of_another_form() {
        let trusted = trusting(&[&key()]);
        for section in [
            &b"\x00\x0a\x09signature"[..],
            b"\x00\x8a\x80\x00\x09signature",
            b"\x00\x8a\x80\x80\x80\x00\x09signature\x01\x01\x01\x02",
        ] {
            let component = [COMPONENT_HEADER, section].concat();
            assert_eq!(check(&component, &trusted), Err(SignatureError::OtherForm), "{section:x?}");
            assert_eq!(sign(&component, &key()), Err(SignatureError::OtherForm), "{section:x?}");
        }
        for section in [&b"\x00"[..], b"\x00\xff\xff\xff\xff\xff\x09signature", b"\x01\x0a\x09signature"] {
            let component = [COMPONENT_HEADER, section].concat();
            assert_eq!(check(&component, &trusted), Err(SignatureError::Missing), "{section:x?}");
        }
    }

    #[test]
    fn what_is_no_component_is_neither_signed_nor_accepted() {
        let trusted = trusting(&[&key()]);
        for (bytes, says) in [
            (&b""[..], "empty"),
            (b"\0asm\x01\x00\x00\x00", "a core module"),
            (b"#!/bin/sh", "not WebAssembly"),
        ] {
            for error in [sign(bytes, &key()).unwrap_err(), check(bytes, &trusted).unwrap_err()] {
                assert!(
                    matches!(&error, SignatureError::NoComponent(what) if what.contains(says)),
                    "{error}"
                );
            }
        }
    }
}
