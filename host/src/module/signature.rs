//! The signature of a component: a custom section in front of all others, which other hosts ignore.
//!
//! The format is that of the WebAssembly tool conventions (`Signatures.md`), as `wasmsign2` reads and writes it. Only the
//! form with a single signature over a whole component is accepted:
//!
//! ```text
//! 00 75 09 "signature"  a custom section of 117 bytes, and its name
//! 01 01 01              the format's version, for WebAssembly, SHA-256
//! 01 66                 one record of 102 bytes:
//! 01 <32 bytes>           one hash, of everything after the section, up to the end of the file
//! 01 43                   one signature of 67 bytes:
//! 00 01 40 <64 bytes>       no key id, Ed25519
//! ```
//!
//! The signed message is `wasmsig`, the three bytes of the second line, and the hash. Every other byte of the file is fixed
//! or covered by the hash, so no two different files are accepted with the same signature.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::module::{
    component::{COMPONENT_HEADER, check_header},
    keys::{PublicKey, SIGNATURE_BYTES, SecretKey, TrustedKeys},
};

/// The section up to the hash.
const BEFORE_HASH: &[u8] = b"\x00\x75\x09signature\x01\x01\x01\x01\x66\x01";
/// The bytes between the hash and the signature.
const BEFORE_SIGNATURE: &[u8] = b"\x01\x43\x00\x01\x40";
/// The prefix of the signed message; the hash follows.
const MESSAGE_PREFIX: &[u8] = b"wasmsig\x01\x01\x01";
/// The name of the section, preceded by its length.
const SECTION_NAME: &[u8] = b"\x09signature";
/// Maximum number of bytes of a 32-bit number in the binary format (LEB128).
const MAX_LEB128_BYTES: usize = 5;

/// Why a signature is not accepted: one line that names the problem and its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// The bytes are not a component; says what they are instead.
    NotAComponent(String),
    /// The component is not signed.
    Missing,
    /// The signature has an unsupported form, or there is more than one.
    UnsupportedForm,
    /// The component was changed after it was signed.
    Altered,
    /// No trusted key has made the signature.
    Untrusted,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAComponent(what) => what,
            Self::Missing => {
                "it is not signed, and only signed components are accepted; sign it with `orders-host module sign`"
            }
            Self::UnsupportedForm => {
                "it has a signature in an unsupported form, or more than one; sign the component as it was built, \
                 with `orders-host module sign`"
            }
            Self::Altered => {
                "it was changed after it was signed (its SHA-256 differs): copy it again, or sign it again"
            }
            Self::Untrusted => {
                "none of the trusted keys has signed it; sign it with one of them, or add its signer's public key \
                 to the trusted keys"
            }
        })
    }
}

impl std::error::Error for SignatureError {}

/// Verifies that a trusted key has signed exactly these bytes, and returns this key.
///
/// # Errors
///
/// [`SignatureError`] if none has.
pub fn verify(component: &[u8], trusted: &TrustedKeys) -> Result<PublicKey, SignatureError> {
    let SignedParts { signature, content } = SignedParts::parse(component)?;
    let Some((claimed, signature)) = signature else { return Err(SignatureError::Missing) };
    let hash = hash(content);
    if hash != *claimed {
        return Err(SignatureError::Altered);
    }
    let message = message(&hash);
    let signer = trusted.iter().find(|key| key.verifies(&message, signature));
    signer.copied().ok_or(SignatureError::Untrusted)
}

/// Returns a signed copy of a component: the signature comes first, and replaces an existing one.
///
/// # Errors
///
/// [`SignatureError`] if the bytes are not a component, or have a signature in an unsupported form.
pub fn sign(component: &[u8], key: &SecretKey) -> Result<Vec<u8>, SignatureError> {
    let SignedParts { content, .. } = SignedParts::parse(component)?;
    let hash = hash(content);
    let signature = key.sign(&message(&hash));
    Ok([COMPONENT_HEADER, BEFORE_HASH, &hash, BEFORE_SIGNATURE, &signature, content].concat())
}

fn hash(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}

fn message(hash: &[u8; 32]) -> Vec<u8> {
    [MESSAGE_PREFIX, hash].concat()
}

/// A component, split into its signature and everything else.
struct SignedParts<'a> {
    /// The signed hash, and its signature.
    signature: Option<(&'a [u8; 32], &'a [u8; SIGNATURE_BYTES])>,
    /// All sections after the signature.
    content: &'a [u8],
}

impl<'a> SignedParts<'a> {
    fn parse(component: &'a [u8]) -> Result<Self, SignatureError> {
        check_header(component).map_err(SignatureError::NotAComponent)?;
        let sections = component.strip_prefix(COMPONENT_HEADER).unwrap_or_default();
        let parts = Self::split_signature(sections).unwrap_or(Self { signature: None, content: sections });
        if begins_with_signature(parts.content) { Err(SignatureError::UnsupportedForm) } else { Ok(parts) }
    }

    fn split_signature(sections: &'a [u8]) -> Option<Self> {
        let (hash, sections) = sections.strip_prefix(BEFORE_HASH)?.split_first_chunk()?;
        let (signature, content) = sections.strip_prefix(BEFORE_SIGNATURE)?.split_first_chunk()?;
        Some(Self { signature: Some((hash, signature)), content })
    }
}

/// Whether the first section is a signature, in any form.
fn begins_with_signature(sections: &[u8]) -> bool {
    let Some((0, section)) = sections.split_first() else { return false };
    // The section's size is in LEB128: the highest bit is set in every byte but the last.
    let size = section.iter().take(MAX_LEB128_BYTES).position(|byte| byte & 0x80 == 0);
    let body = size.and_then(|last| section.get(last.saturating_add(1)..));
    body.is_some_and(|body| body.starts_with(SECTION_NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component with one custom section, `note`, that contains `hello`.
    const SMALL: &[u8] = b"\0asm\x0d\x00\x01\x00\x00\x0a\x04notehello";

    fn key() -> SecretKey {
        SecretKey::generate().unwrap()
    }

    fn trusting(keys: &[&SecretKey]) -> TrustedKeys {
        let lines: Vec<_> = keys.iter().map(|key| key.public().to_string()).collect();
        TrustedKeys::parse(&lines.join("\n")).unwrap()
    }

    #[test]
    fn a_signed_component_is_accepted() {
        let (one, two, three) = (key(), key(), key());
        for component in [SMALL, COMPONENT_HEADER] {
            let signed = sign(component, &two).unwrap();
            assert_eq!(verify(&signed, &trusting(&[&one, &two])), Ok(two.public()));
            assert_eq!(verify(&signed, &trusting(&[&two])), Ok(two.public()));
            assert_eq!(verify(&signed, &trusting(&[&one, &three])), Err(SignatureError::Untrusted));
            assert_eq!(verify(component, &trusting(&[&two])), Err(SignatureError::Missing));
            // Signing changes nothing else, and signing again gives the same bytes.
            assert_eq!(signed.len(), component.len() + 119);
            assert!(signed.ends_with(&component[COMPONENT_HEADER.len()..]));
            assert_eq!(sign(component, &two).unwrap(), signed);
            assert_eq!(sign(&sign(component, &one).unwrap(), &two).unwrap(), signed);
        }
    }

    #[test]
    fn a_flipped_bit_is_detected() {
        let key = key();
        let trusted = trusting(&[&key]);
        let signed = sign(SMALL, &key).unwrap();
        for at in 0..signed.len() {
            for bit in 0..8 {
                let mut changed = signed.clone();
                changed[at] ^= 1 << bit;
                assert!(verify(&changed, &trusted).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_missing_or_added_byte_is_detected() {
        let key = key();
        let trusted = trusting(&[&key]);
        let signed = sign(SMALL, &key).unwrap();
        for end in 0..signed.len() {
            assert!(verify(&signed[..end], &trusted).is_err(), "{end} bytes");
        }
        for at in 0..=signed.len() {
            let longer = [&signed[..at], b"\0", &signed[at..]].concat();
            assert!(verify(&longer, &trusted).is_err(), "one byte added at {at}");
            if at < signed.len() {
                let shorter = [&signed[..at], &signed[at + 1..]].concat();
                assert!(verify(&shorter, &trusted).is_err(), "one byte missing at {at}");
            }
        }
        let appended = [&signed[..], b"\0\x05\x04note"].concat();
        assert_eq!(verify(&appended, &trusted), Err(SignatureError::Altered));
    }

    #[test]
    fn a_signature_does_not_fit_another_component_of_the_same_signer() {
        let key = key();
        let [signed, other] = [SMALL, COMPONENT_HEADER].map(|component| sign(component, &key).unwrap());
        let sections = &signed[other.len()..];
        let moved = [&other[..], sections].concat();
        assert_eq!(verify(&moved, &trusting(&[&key])), Err(SignatureError::Altered));
        // The right hash, with the signature of the other component.
        let at = signed.len() - sections.len() - SIGNATURE_BYTES;
        let mixed = [&signed[..at], &other[at..], sections].concat();
        assert_eq!(verify(&mixed, &trusting(&[&key])), Err(SignatureError::Untrusted));
    }

    #[test]
    fn two_signatures_are_rejected() {
        let (one, two) = (key(), key());
        let trusted = trusting(&[&one, &two]);
        let inner = sign(SMALL, &one).unwrap();
        let section = &sign(SMALL, &two).unwrap()[COMPONENT_HEADER.len()..][..119];
        let sections = &inner[COMPONENT_HEADER.len()..];
        // In front of the first signature, then at the end.
        let twice = [COMPONENT_HEADER, section, sections].concat();
        assert_eq!(verify(&twice, &trusted), Err(SignatureError::UnsupportedForm));
        assert_eq!(sign(&twice, &one), Err(SignatureError::UnsupportedForm));
        let behind = [&inner[..], section].concat();
        assert_eq!(verify(&behind, &trusted), Err(SignatureError::Altered));
        // The right section, but not in front.
        let misplaced = [SMALL, section].concat();
        assert_eq!(verify(&misplaced, &trusted), Err(SignatureError::Missing));
    }

    #[test]
    fn a_signature_in_an_unsupported_form_is_rejected() {
        let trusted = trusting(&[&key()]);
        for section in [
            &b"\x00\x0a\x09signature"[..],
            b"\x00\x8a\x80\x00\x09signature",
            b"\x00\x8a\x80\x80\x80\x00\x09signature\x01\x01\x01\x02",
        ] {
            let component = [COMPONENT_HEADER, section].concat();
            assert_eq!(verify(&component, &trusted), Err(SignatureError::UnsupportedForm), "{section:x?}");
            assert_eq!(sign(&component, &key()), Err(SignatureError::UnsupportedForm), "{section:x?}");
        }
        for section in [&b"\x00"[..], b"\x00\xff\xff\xff\xff\xff\x09signature", b"\x01\x0a\x09signature"] {
            let component = [COMPONENT_HEADER, section].concat();
            assert_eq!(verify(&component, &trusted), Err(SignatureError::Missing), "{section:x?}");
        }
    }

    #[test]
    fn bytes_that_are_not_a_component_are_neither_signed_nor_accepted() {
        let trusted = trusting(&[&key()]);
        for (bytes, expected) in [
            (&b""[..], "empty"),
            (b"\0asm\x01\x00\x00\x00", "a core module"),
            (b"#!/bin/sh", "not WebAssembly"),
        ] {
            for error in [sign(bytes, &key()).unwrap_err(), verify(bytes, &trusted).unwrap_err()] {
                assert!(
                    matches!(&error, SignatureError::NotAComponent(what) if what.contains(expected)),
                    "{error}"
                );
            }
        }
    }
}
