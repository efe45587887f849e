//! The keys that components are signed with, and their files.
//!
//! A key file is text. Each line has one key; a `#` begins a comment:
//!
//! ```text
//! ed25519 <the public key, as 64 hexadecimal digits>
//! ed25519-secret <the secret key (the seed of RFC 8032, section 5.1.5), as 64 hexadecimal digits>
//! ```
//!
//! A file of trusted keys has one or more public keys and nothing else; a secret key's file has only this key. No error
//! repeats a line, because the line may be a secret in the wrong file.

use std::{fmt, path::Path};

use ed25519_compact::{KeyPair, Seed};

use crate::module::{file, hash::decode_hex};

/// The first word of a public key's line.
const PUBLIC: &str = "ed25519";
/// The first word of a secret key's line.
const SECRET: &str = "ed25519-secret";
/// Maximum size of a key file, in bytes: several hundred keys.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// The origin of a key file, for error messages.
const KEYGEN_HINT: &str = "as `orders-host module keygen` writes it";

/// The size of a signature, in bytes.
pub const SIGNATURE_BYTES: usize = ed25519_compact::Signature::BYTES;

/// A public key, which verifies signatures. Displayed as its line in a key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(ed25519_compact::PublicKey);

impl PublicKey {
    /// Whether the secret key that belongs to this public key made a signature of `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        self.0.verify(message, &ed25519_compact::Signature::new(*signature)).is_ok()
    }

    /// The file that `orders-host module keygen` writes.
    pub fn to_file(&self) -> String {
        format!("# Public key: `serve --trusted-keys` accepts what its secret key has signed.\n{self}\n")
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC} ")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A secret key, which signs.
pub struct SecretKey(KeyPair);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretKey").field(&self.public()).finish()
    }
}

impl SecretKey {
    /// Generates a key from the operating system's randomness.
    ///
    /// # Errors
    ///
    /// One line, if the operating system provides none.
    pub fn generate() -> Result<Self, String> {
        let mut seed = [0; Seed::BYTES];
        getrandom::fill(&mut seed)
            .map_err(|error| format!("cannot get randomness from the operating system: {error}"))?;
        Self::from_seed(seed)
    }

    /// Reads the file of a secret key.
    ///
    /// # Errors
    ///
    /// One line with the file's name, if it cannot be read or does not contain exactly one secret key.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = file::read_text(path, MAX_FILE_BYTES);
        text.and_then(|text| Self::parse(&text))
            .map_err(|why| format!("secret key {}: {why}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut keys = key_lines(text);
        let (Some((number, kind, digits)), None) = (keys.next(), keys.next()) else {
            return Err(format!("expected one secret key, {KEYGEN_HINT}"));
        };
        match (kind, decode_hex(digits)) {
            (SECRET, Some(seed)) => Self::from_seed(seed),
            (PUBLIC, _) => Err(format!("line {number} is a public key; signing needs the secret key")),
            _ => Err(format!("line {number}: expected `{SECRET}` and 64 hexadecimal digits, {KEYGEN_HINT}")),
        }
    }

    fn from_seed(seed: [u8; Seed::BYTES]) -> Result<Self, String> {
        KeyPair::try_from_seed(Seed::new(seed)).map(Self).map_err(|error| error.to_string())
    }

    /// The public key, which verifies what this key signs.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.pk)
    }

    /// Signs a message. The same message always gets the same signature.
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        *self.0.sk.sign(message, None)
    }

    /// The file that `orders-host module keygen` writes.
    pub fn to_file(&self) -> String {
        let seed = self.0.sk.seed();
        let digits: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("# Secret key: anyone who can read it can sign.\n{SECRET} {digits}\n")
    }
}

/// The keys that are trusted: one or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKeys(Vec<PublicKey>);

impl TrustedKeys {
    /// Reads a file of trusted keys.
    ///
    /// # Errors
    ///
    /// One line with the file's name, if it cannot be read, has no key, or has anything but public keys.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = file::read_text(path, MAX_FILE_BYTES);
        text.and_then(|text| Self::parse(&text))
            .map_err(|why| format!("--trusted-keys {}: {why}", path.display()))
    }

    /// Parses the text of such a file.
    ///
    /// # Errors
    ///
    /// One line, if it has no key, or has anything but public keys.
    pub fn parse(text: &str) -> Result<Self, String> {
        let keys = key_lines(text).map(|(number, kind, digits)| match (kind, decode_hex(digits)) {
            (PUBLIC, Some(bytes)) => {
                let key = ed25519_compact::PublicKey::new(bytes);
                // Rejects values that are not points of the curve, and points of small order, for which anyone can forge
                // signatures.
                key.validate().map_err(|_| format!("line {number} is not a valid Ed25519 public key"))?;
                Ok(PublicKey(key))
            }
            (SECRET, _) => Err(format!(
                "line {number} is a secret key, which only the signer should have; name the public key's file"
            )),
            _ => Err(format!("line {number}: expected `{PUBLIC}` and 64 hexadecimal digits, {KEYGEN_HINT}")),
        });
        let keys = keys.collect::<Result<Vec<_>, String>>()?;
        if keys.is_empty() {
            return Err(format!("it has no key; expected a line with a public key, {KEYGEN_HINT}"));
        }
        Ok(Self(keys))
    }

    /// Iterates over the keys.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.iter()
    }
}

/// The lines that are not empty, without comments: line number, first word, and the rest.
fn key_lines(text: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    let without_comments = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    without_comments.zip(1..).filter(|(line, _)| !line.is_empty()).map(|(line, number)| {
        let (kind, digits) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        (number, kind, digits.trim_start())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 3.
    const SEED: &str = "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7";
    const KEY: &str = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";
    const SIGNED: &str = "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
                          18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";

    fn parse_error<T: fmt::Debug>(parsed: Result<T, String>) -> String {
        let error = parsed.unwrap_err();
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(!error.contains(SEED), "{error}");
        error
    }

    #[test]
    fn signatures_match_the_test_vector_of_rfc_8032() {
        let secret = SecretKey::parse(&format!("{SECRET} {SEED}")).unwrap();
        assert_eq!(secret.public().to_string(), format!("{PUBLIC} {KEY}"));
        let signature = secret.sign(b"\xaf\x82");
        let digits: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digits, SIGNED);
        assert!(secret.public().verifies(b"\xaf\x82", &signature));
        assert!(!secret.public().verifies(b"\xaf\x83", &signature));
        assert!(!SecretKey::generate().unwrap().public().verifies(b"\xaf\x82", &signature));
    }

    #[test]
    fn key_files_are_parsed_as_they_were_written() {
        let secret = SecretKey::generate().unwrap();
        let again = SecretKey::parse(&secret.to_file()).unwrap();
        assert_eq!(again.to_file(), secret.to_file());
        let trusted = TrustedKeys::parse(&secret.public().to_file()).unwrap();
        assert_eq!(trusted, TrustedKeys(vec![secret.public()]));
        assert_ne!(secret.public(), SecretKey::generate().unwrap().public());
        assert!(!format!("{secret:?}").contains(secret.to_file().trim_end().rsplit(' ').next().unwrap()));
    }

    #[test]
    fn a_file_may_have_several_trusted_keys() {
        let [one, two] = [(); 2].map(|()| SecretKey::generate().unwrap().public());
        let text = format!("# the whole team\r\n\n  {one} # until the end of the year\r\n{two}");
        assert_eq!(TrustedKeys::parse(&text).unwrap(), TrustedKeys(vec![one, two]));
        // Two files can be concatenated.
        let text = one.to_file() + &two.to_file();
        assert_eq!(TrustedKeys::parse(&text).unwrap(), TrustedKeys(vec![one, two]));
    }

    #[test]
    fn invalid_trusted_keys_are_rejected() {
        for (text, expected) in [
            (String::new(), "it has no key"),
            (format!("# {PUBLIC} {KEY}\n\n"), "it has no key"),
            (format!("{PUBLIC} {KEY}\n{SECRET} {SEED}"), "line 2 is a secret key"),
            (format!("{PUBLIC} {KEY}0"), "line 1: expected `ed25519` and 64"),
            (format!("{PUBLIC} {}", KEY.replace("fc", "+c")), "line 1: expected `ed25519` and 64"),
            (format!("{PUBLIC}\n"), "line 1: expected `ed25519` and 64"),
            (format!("\n{KEY}"), "line 2: expected `ed25519` and 64"),
            (format!("ed448 {KEY}"), "line 1: expected `ed25519` and 64"),
            (format!("{PUBLIC} {KEY} {KEY}"), "line 1: expected `ed25519` and 64"),
            // Not a point of the curve; then points of small order, for which anyone can forge signatures.
            (format!("{PUBLIC} 02{}", "00".repeat(31)), "line 1 is not a valid"),
            (format!("{PUBLIC} 01{}", "00".repeat(31)), "line 1 is not a valid"),
            (format!("{PUBLIC} {}", "00".repeat(32)), "line 1 is not a valid"),
        ] {
            let error = parse_error(TrustedKeys::parse(&text));
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn invalid_secret_keys_are_rejected() {
        for (text, expected) in [
            (String::new(), "expected one secret key"),
            (format!("{SECRET} {SEED}\n{SECRET} {SEED}"), "expected one secret key"),
            (format!("{PUBLIC} {KEY}"), "line 1 is a public key"),
            (format!("#\n{SECRET} {SEED}{SEED}"), "line 2: expected `ed25519-secret` and 64"),
            (SEED.to_owned(), "line 1: expected `ed25519-secret` and 64"),
            (format!("{SECRET} {}", "00".repeat(32)), "seed"),
        ] {
            let error = parse_error(SecretKey::parse(&text));
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
