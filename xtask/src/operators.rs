//! The admin API of a developer's service: a port on loopback, with a token in the folder of the data, so that a browser can open
//! what is served there.

use std::{
    env,
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::{
    command::{TaskError, file_error},
    workspace,
};

/// Where `cargo xtask serve` offers the admin API.
pub const ADDRESS: &str = "127.0.0.1:9090";
/// The operator in the log.
const NAME: &str = "developer";
/// The length of the token, in bytes: too long to guess.
const TOKEN_BYTES: usize = 32;

/// The folder of the data, which is created if it is missing.
pub fn data() -> Result<PathBuf, TaskError> {
    let data = workspace().join("data");
    fs::create_dir_all(&data).map_err(|error| file_error(&data, &error))?;
    Ok(data)
}

/// Whether a developer configures the admin API in another way: by an option, or by this variable.
#[must_use]
pub fn is_configured(options: &[String], variable: &str) -> bool {
    options.iter().any(|option| option.starts_with("--admin")) || env::var_os(variable).is_some()
}

/// The file with the token, and the token. It is made once, and only its user can read it.
pub fn token() -> Result<(PathBuf, String), TaskError> {
    let path = data()?.join("admin-token");
    let token = token_in(&path).map_err(|error| file_error(&path, &error))?;
    Ok((path, token))
}

fn token_in(path: &Path) -> io::Result<String> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let token = new_token()?;
            writeln!(file, "{NAME} {token}")?;
            Ok(token)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let text = fs::read_to_string(path)?;
            let token = text.split_whitespace().nth(1).map(str::to_owned);
            token.ok_or_else(|| io::Error::other("it has no token: remove it"))
        }
        Err(error) => Err(error),
    }
}

fn new_token() -> io::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut token, byte| {
        // Writing to a string never fails.
        let _ = write!(token, "{byte:02x}");
        token
    }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_made_once_for_its_user_alone() {
        let path = env::temp_dir().join(format!("admin-token-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let token = token_in(&path).unwrap();
        assert_eq!(token.len(), 2 * TOKEN_BYTES);
        assert_eq!(token_in(&path).unwrap(), token);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(new_token().unwrap(), token);
        fs::write(&path, "").unwrap();
        assert!(token_in(&path).is_err());
        fs::remove_file(&path).unwrap();
    }
}
