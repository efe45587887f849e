//! `orders-host module keygen`, `sign` and `verify`: key files and signed components.

use std::{fs, path::Path};

use crate::{
    commands::{error::CommandError, output::print},
    config::{KeygenConfig, SignConfig, VerifyConfig},
    module::{
        file,
        keys::{SecretKey, TrustedKeys},
        signature::{self, SignatureError},
        source,
    },
};

/// Creates a key pair, writes both files or neither, and prints the public key. Existing files are never overwritten.
///
/// # Errors
///
/// [`CommandError::Failed`] if a file exists or cannot be written.
pub fn keygen(config: &KeygenConfig) -> Result<(), CommandError> {
    let KeygenConfig { secret, public } = config;
    let key = SecretKey::generate().map_err(CommandError::Failed)?;
    create(secret, &key.to_file(), file::PRIVATE_MODE)?;
    if let Err(error) = create(public, &key.public().to_file(), file::PUBLIC_MODE) {
        // This function has just created it, and it is useless without its public key.
        let _ = fs::remove_file(secret);
        return Err(error);
    }
    let (secret, public, key) = (secret.display(), public.display(), key.public());
    print(format_args!("wrote {secret} (keep it secret) and {public}: {key}"))
}

fn create(path: &Path, text: &str, mode: u32) -> Result<(), CommandError> {
    file::create_new(path, text.as_bytes(), mode).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => CommandError::Failed(format!(
            "{} already exists, and keys are never overwritten; choose another file",
            path.display()
        )),
        _ => unwritable(path, &error),
    })
}

/// Signs a component, and prints the public key.
///
/// # Errors
///
/// [`CommandError`] if the component or the key cannot be read, or the signed component cannot be written.
pub fn sign(config: &SignConfig) -> Result<(), CommandError> {
    let SignConfig { component, key, output } = config;
    let key = SecretKey::read(key).map_err(CommandError::CouldNotRun)?;
    let bytes = read(component)?;
    let signed = signature::sign(&bytes, &key).map_err(|error| unreadable(component, &error))?;
    let output = output.as_ref().unwrap_or(component);
    file::replace(output, &signed).map_err(|error| unwritable(output, &error))?;
    print(format_args!("wrote {}: signed by {}", output.display(), key.public()))
}

/// Checks that a component is signed by a trusted key, and prints that key.
///
/// # Errors
///
/// [`CommandError`] if the component is not signed by a trusted key, or if the component or the keys cannot be read.
pub fn verify(config: &VerifyConfig) -> Result<(), CommandError> {
    let VerifyConfig { component, trusted_keys } = config;
    let trusted = TrustedKeys::read(trusted_keys).map_err(CommandError::CouldNotRun)?;
    let bytes = read(component)?;
    let key = signature::verify(&bytes, &trusted).map_err(|error| match error {
        SignatureError::NotAComponent(_) => unreadable(component, &error),
        _ => CommandError::Failed(source::file_error(component, &error).to_string()),
    })?;
    print(format_args!("{} is signed by {key}", component.display()))
}

fn read(component: &Path) -> Result<Vec<u8>, CommandError> {
    source::read_component(component).map_err(|error| CommandError::CouldNotRun(error.to_string()))
}

fn unreadable(component: &Path, error: &SignatureError) -> CommandError {
    CommandError::CouldNotRun(source::file_error(component, error).to_string())
}

fn unwritable(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::Failed(format!("cannot write {}: {error}", path.display()))
}
