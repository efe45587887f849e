//! Keys that components are signed with, and the files they are kept in.
//!
//! Such a file is text. A line has one key; what follows a `#` is a comment:
//!
//! ```text
//! ed25519 <the public key, as 64 hexadecimal digits>
//! ed25519-secret <the secret key (the seed of RFC 8032, section 5.1.5), as 64 hexadecimal digits>
//! ```
//!
//! A file of trusted keys has any number of public keys, and no other; that of a secret key has this one only. No
//! error repeats a line: it may be a secret in the wrong place.

use std::{fmt, path::Path};

use ed25519_compact::{KeyPair, Seed};

use crate::module::{file, hash::bytes_of_digits};

/// What the line of a public key begins with.
const PUBLIC: &str = "ed25519";
/// What the line of a secret key begins with.
const SECRET: &str = "ed25519-secret";
/// The largest file of keys that is read, in bytes: some hundred keys.
const MAX_FILE: u64 = 64 << 10;
/// Where files of keys come from.
const AS_WRITTEN: &str = "as `orders-host module keygen` writes it";

/// The size of a signature, in bytes.
pub const SIGNATURE_BYTES: usize = ed25519_compact::Signature::BYTES;

/// A public key: it tells who has signed. Written as its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(ed25519_compact::PublicKey);

impl PublicKey {
    /// Whether a signature of `message` was made with the secret key that belongs to this one.
    pub fn verifies(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        self.0.verify(message, &ed25519_compact::Signature::new(*signature)).is_ok()
    }

    /// The file that `orders-host module keygen` writes.
    pub fn to_file(&self) -> String {
        format!("# A public key: `serve --trusted-keys` accepts what it has signed.\n{self}\n")
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC} ")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A secret key: who has it can sign.
pub struct SecretKey(KeyPair);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretKey").field(&self.public()).finish()
    }
}

impl SecretKey {
    /// A new key, made of the operating system's randomness.
    ///
    /// # Errors
    ///
    /// One line, if there is none.
    pub fn generate() -> Result<Self, String> {
        let mut seed = [0; Seed::BYTES];
        getrandom::fill(&mut seed).map_err(|error| format!("the system gives no randomness: {error}"))?;
        Self::of_seed(seed)
    }

    /// Reads the file of a secret key.
    ///
    /// # Errors
    ///
    /// One line with the file's name, if it cannot be read or does not have one secret key.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = file::read_text(path, MAX_FILE);
        text.and_then(|text| Self::parse(&text))
            .map_err(|why| format!("secret key {}: {why}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut keys = lines(text);
        let (Some((number, kind, digits)), None) = (keys.next(), keys.next()) else {
            return Err(format!("one secret key is expected, {AS_WRITTEN}"));
        };
        match (kind, bytes_of_digits(digits)) {
            (SECRET, Some(seed)) => Self::of_seed(seed),
            (PUBLIC, _) => Err(format!("line {number} is a public key; signing takes the secret one")),
            _ => {
                Err(format!("line {number}: `{SECRET}` and 64 hexadecimal digits are expected, {AS_WRITTEN}"))
            }
        }
    }

    fn of_seed(seed: [u8; Seed::BYTES]) -> Result<Self, String> {
        KeyPair::try_from_seed(Seed::new(seed)).map(Self).map_err(|error| error.to_string())
    }

    /// The key that tells what this one has signed.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.pk)
    }

    /// Signs a message: the same one always in the same way.
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        *self.0.sk.sign(message, None)
    }

    /// The file that `orders-host module keygen` writes.
    pub fn to_file(&self) -> String {
        let seed = self.0.sk.seed();
        let digits: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("# A secret key: whoever can read it can sign.\n{SECRET} {digits}\n")
    }
}

/// The keys that are trusted: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKeys(Vec<PublicKey>);

impl TrustedKeys {
    /// Reads a file of public keys.
    ///
    /// # Errors
    ///
    /// One line with the file's name, if it cannot be read, has no key, or anything else than public keys.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = file::read_text(path, MAX_FILE);
        text.and_then(|text| Self::parse(&text))
            .map_err(|why| format!("trusted keys {}: {why}", path.display()))
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    ///
    /// One line, if it has no key, or anything else than public keys.
    pub fn parse(text: &str) -> Result<Self, String> {
        let keys = lines(text).map(|(number, kind, digits)| match (kind, bytes_of_digits(digits)) {
            (PUBLIC, Some(bytes)) => {
                let key = ed25519_compact::PublicKey::new(bytes);
                // Such as are no points of the curve, or such for which a signature is no proof.
                key.validate().map_err(|_| format!("line {number} is not a key that could have been made"))?;
                Ok(PublicKey(key))
            }
            (SECRET, _) => Err(format!(
                "line {number} is a secret key, which only who signs should have; name the file of the public one"
            )),
            _ => Err(format!(
                "line {number}: `{PUBLIC}` and 64 hexadecimal digits are expected, {AS_WRITTEN}"
            )),
        });
        let keys = keys.collect::<Result<Vec<_>, String>>()?;
        if keys.is_empty() {
            return Err(format!("it has no key; a line with a public key is expected, {AS_WRITTEN}"));
        }
        Ok(Self(keys))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.iter()
    }
}

/// The lines that are not empty, without comments: number, first word, and the rest.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str, &str)> {
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

    fn error_of<T: fmt::Debug>(parsed: Result<T, String>) -> String {
        let error = parsed.unwrap_err();
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(!error.contains(SEED), "{error}");
        error
    }

    #[test]
    fn it_is_ed25519() {
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
    fn files_are_written_and_read() {
        let secret = SecretKey::generate().unwrap();
        let again = SecretKey::parse(&secret.to_file()).unwrap();
        assert_eq!(again.to_file(), secret.to_file());
        let trusted = TrustedKeys::parse(&secret.public().to_file()).unwrap();
        assert_eq!(trusted, TrustedKeys(vec![secret.public()]));
        assert_ne!(secret.public(), SecretKey::generate().unwrap().public());
        assert!(!format!("{secret:?}").contains(secret.to_file().trim_end().rsplit(' ').next().unwrap()));
    }

    #[test]
    fn several_keys_are_trusted() {
        let [one, two] = [(); 2].map(|()| SecretKey::generate().unwrap().public());
        let text = format!("# all of us\r\n\n  {one} # until the end of the year\r\n{two}");
        assert_eq!(TrustedKeys::parse(&text).unwrap(), TrustedKeys(vec![one, two]));
        // Two files make one.
        let text = one.to_file() + &two.to_file();
        assert_eq!(TrustedKeys::parse(&text).unwrap(), TrustedKeys(vec![one, two]));
    }

    #[test]
    fn what_is_no_trusted_key_is_refused() {
        for (text, says) in [
            (String::new(), "it has no key"),
            (format!("# {PUBLIC} {KEY}\n\n"), "it has no key"),
            (format!("{PUBLIC} {KEY}\n{SECRET} {SEED}"), "line 2 is a secret key"),
            (format!("{PUBLIC} {KEY}0"), "line 1: `ed25519` and 64"),
            (format!("{PUBLIC} {}", KEY.replace("fc", "+c")), "line 1: `ed25519` and 64"),
            (format!("{PUBLIC}\n"), "line 1: `ed25519` and 64"),
            (format!("\n{KEY}"), "line 2: `ed25519` and 64"),
            (format!("ed448 {KEY}"), "line 1: `ed25519` and 64"),
            (format!("{PUBLIC} {KEY} {KEY}"), "line 1: `ed25519` and 64"),
            // No point of the curve; then points of a small order, for which anybody can sign.
            (format!("{PUBLIC} 02{}", "00".repeat(31)), "line 1 is not a key"),
            (format!("{PUBLIC} 01{}", "00".repeat(31)), "line 1 is not a key"),
            (format!("{PUBLIC} {}", "00".repeat(32)), "line 1 is not a key"),
        ] {
            let error = error_of(TrustedKeys::parse(&text));
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_no_secret_key_is_refused() {
        for (text, says) in [
            (String::new(), "one secret key is expected"),
            (format!("{SECRET} {SEED}\n{SECRET} {SEED}"), "one secret key is expected"),
            (format!("{PUBLIC} {KEY}"), "line 1 is a public key"),
            (format!("#\n{SECRET} {SEED}{SEED}"), "line 2: `ed25519-secret` and 64"),
            (SEED.to_owned(), "line 1: `ed25519-secret` and 64"),
            (format!("{SECRET} {}", "00".repeat(32)), "seed"),
        ] {
            let error = error_of(SecretKey::parse(&text));
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
