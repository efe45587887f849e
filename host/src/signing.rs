//! `orders-host module keygen`, `sign` and `verify`: keys and signatures as files.

use std::{fs, path::Path};

use crate::{
    config::{KeygenConfig, SignConfig, VerifyConfig},
    file,
    keys::{PublicKey, SecretKey, TrustedKeys},
    signature::{self, SignatureError},
    source,
};

/// Why a command did not do what it was asked for: one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SigningError {
    /// What it was to work with cannot be read.
    Unreadable(String),
    /// The answer is no, or what came of it cannot be written.
    Failed(String),
}

/// Makes a pair of keys and writes both, or neither. Nothing that is there is overwritten.
///
/// # Errors
///
/// [`SigningError::Failed`] if one cannot be written.
pub fn keygen(config: &KeygenConfig) -> Result<PublicKey, SigningError> {
    let KeygenConfig { secret, public } = config;
    let key = SecretKey::generate().map_err(SigningError::Failed)?;
    create(secret, &key.to_file(), file::SECRET)?;
    if let Err(error) = create(public, &key.public().to_file(), file::PUBLIC) {
        // It is ours, of a moment ago, and of no use alone.
        let _ = fs::remove_file(secret);
        return Err(error);
    }
    Ok(key.public())
}

fn create(path: &Path, text: &str, mode: u32) -> Result<(), SigningError> {
    file::create(path, text.as_bytes(), mode).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => SigningError::Failed(format!(
            "{} is there already, and no key is overwritten; name another file",
            path.display()
        )),
        _ => unwritable(path, &error),
    })
}

/// Signs a component, and says with which key.
///
/// # Errors
///
/// [`SigningError`] if the component or the key cannot be read, or the signed component cannot be written.
pub fn sign(config: &SignConfig) -> Result<PublicKey, SigningError> {
    let SignConfig { component, key, output } = config;
    let key = SecretKey::read(key).map_err(SigningError::Unreadable)?;
    let bytes = read(component)?;
    let signed = signature::sign(&bytes, &key).map_err(|error| unreadable(component, &error))?;
    let output = output.as_ref().unwrap_or(component);
    file::replace(output, &signed).map_err(|error| unwritable(output, &error))?;
    Ok(key.public())
}

/// Checks that a component is signed by a trusted key, and says by which.
///
/// # Errors
///
/// [`SigningError`] if this is not so, or the component or the keys cannot be read.
pub fn verify(config: &VerifyConfig) -> Result<PublicKey, SigningError> {
    let VerifyConfig { component, trusted_keys } = config;
    let trusted = TrustedKeys::read(trusted_keys).map_err(SigningError::Unreadable)?;
    let bytes = read(component)?;
    signature::check(&bytes, &trusted).map_err(|error| match error {
        SignatureError::NoComponent(_) => unreadable(component, &error),
        _ => SigningError::Failed(source::refused(component, &error).to_string()),
    })
}

fn read(component: &Path) -> Result<Vec<u8>, SigningError> {
    source::read_component(component).map_err(|error| SigningError::Unreadable(error.to_string()))
}

fn unreadable(component: &Path, error: &SignatureError) -> SigningError {
    SigningError::Unreadable(source::refused(component, error).to_string())
}

fn unwritable(path: &Path, error: &std::io::Error) -> SigningError {
    SigningError::Failed(format!("cannot write {}: {error}", path.display()))
}
