//! `orders-host module keygen`, `sign` and `verify`: keys and signatures as files.

use std::{fs, path::Path};

use crate::{
    commands::error::CommandError,
    config::{KeygenConfig, SignConfig, VerifyConfig},
    module::{
        file,
        keys::{SecretKey, TrustedKeys},
        signature::{self, SignatureError},
        source,
    },
};

/// Makes a pair of keys, writes both files or neither, and prints the public key. Nothing that is there is overwritten.
///
/// # Errors
///
/// [`CommandError::Failed`] if one cannot be written.
pub fn keygen(config: &KeygenConfig) -> Result<(), CommandError> {
    let KeygenConfig { secret, public } = config;
    let key = SecretKey::generate().map_err(CommandError::Failed)?;
    create(secret, &key.to_file(), file::PRIVATE_MODE)?;
    if let Err(error) = create(public, &key.public().to_file(), file::PUBLIC_MODE) {
        // It is ours, of a moment ago, and of no use alone.
        let _ = fs::remove_file(secret);
        return Err(error);
    }
    println!("wrote {}, to be kept secret, and {}: {}", secret.display(), public.display(), key.public());
    Ok(())
}

fn create(path: &Path, text: &str, mode: u32) -> Result<(), CommandError> {
    file::create_new(path, text.as_bytes(), mode).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => CommandError::Failed(format!(
            "{} is there already, and no key is overwritten; name another file",
            path.display()
        )),
        _ => unwritable(path, &error),
    })
}

/// Signs a component, and prints by which key.
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
    println!("wrote {}: signed by {}", output.display(), key.public());
    Ok(())
}

/// Checks that a component is signed by a trusted key, and prints by which.
///
/// # Errors
///
/// [`CommandError`] if this is not so, or the component or the keys cannot be read.
pub fn verify(config: &VerifyConfig) -> Result<(), CommandError> {
    let VerifyConfig { component, trusted_keys } = config;
    let trusted = TrustedKeys::read(trusted_keys).map_err(CommandError::CouldNotRun)?;
    let bytes = read(component)?;
    let key = signature::verify(&bytes, &trusted).map_err(|error| match error {
        SignatureError::NotAComponent(_) => unreadable(component, &error),
        _ => CommandError::Failed(source::file_error(component, &error).to_string()),
    })?;
    println!("{} is signed by {key}", component.display());
    Ok(())
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
