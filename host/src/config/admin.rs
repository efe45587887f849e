//! The options of the admin API: where it listens, and the token that it requires.

use std::{env::VarError, fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use clap::Args;

/// Minimum length of a token, in characters: too long to guess.
const MIN_TOKEN_LENGTH: usize = 16;
/// The variable that holds the token if no file does.
const TOKEN_VARIABLE: &str = "ORDERS_ADMIN_TOKEN";

/// Where the token is read from, for the service and for its clients.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Operators")]
pub struct TokenConfig {
    /// File that holds the admin token on one line. Without it, the variable ORDERS_ADMIN_TOKEN holds the token
    #[arg(long, env = "ORDERS_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
}

/// The secret by which operators authenticate. It is never logged or printed.
#[derive(Clone)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl TokenConfig {
    /// The token, if one is configured.
    ///
    /// # Errors
    ///
    /// One line, if the token cannot be read or is too short.
    pub fn token(&self) -> Result<Option<Token>, String> {
        let (origin, text) = match &self.admin_token_file {
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| format!("cannot read --admin-token-file {}: {error}", file.display()))?;
                (file.display().to_string(), text)
            }
            None => match token_variable() {
                Ok(text) => (TOKEN_VARIABLE.to_owned(), text),
                Err(VarError::NotPresent) => return Ok(None),
                Err(error) => return Err(format!("{TOKEN_VARIABLE}: {error}")),
            },
        };
        let token = text.trim();
        if token.len() < MIN_TOKEN_LENGTH || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "{origin}: a token has at least {MIN_TOKEN_LENGTH} printable characters without spaces; create one with \
                 `openssl rand -hex 32`"
            ));
        }
        Ok(Some(Token(token.to_owned())))
    }
}

#[allow(clippy::disallowed_methods, reason = "as an option, the token would appear in the list of processes")]
fn token_variable() -> Result<String, VarError> {
    std::env::var(TOKEN_VARIABLE)
}

/// The listener of the admin API.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Operators")]
pub struct AdminConfig {
    /// Address and port of the admin API, on which modules are pushed and rolled back, or `off`. An address other
    /// than loopback requires a token
    #[arg(long, env = "ORDERS_ADMIN_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9090")]
    pub admin_listen: AdminAddress,

    /// The token that operators must present.
    #[command(flatten)]
    pub token: TokenConfig,
}

impl AdminConfig {
    /// The address to listen on and the token that requests must present; none if the API is off.
    ///
    /// # Errors
    ///
    /// One line, if the token cannot be read, or if there is no token and the address is not loopback.
    pub fn endpoint(&self) -> Result<Option<(SocketAddr, Option<Token>)>, String> {
        let AdminAddress(Some(address)) = self.admin_listen else { return Ok(None) };
        let token = self.token.token()?;
        if token.is_none() && !address.ip().is_loopback() {
            return Err(format!(
                "--admin-listen {address} is reachable from other machines, and without a token anyone could push a \
                 module: set a token with --admin-token-file or {TOKEN_VARIABLE}, or listen on 127.0.0.1"
            ));
        }
        Ok(Some((address, token)))
    }
}

/// The address of the admin API; none if it is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminAddress(pub Option<SocketAddr>);

impl FromStr for AdminAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self(None)),
            _ => text.parse().map(|address| Self(Some(address))).map_err(|_| {
                "expected an address with a port, such as `127.0.0.1:9090`, or `off`".to_owned()
            }),
        }
    }
}
