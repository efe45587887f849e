//! The options of how one module takes the place of another.

use std::{env::VarError, fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use clap::Args;

use super::values::{Period, timeout};

/// On which terms a module comes to serve, unless it is pushed on others.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Swaps")]
pub struct TermsConfig {
    /// The share of requests that a new module gets while it is compared with the one that serves, 1 to 100 %; 0 has it
    /// serve all at once
    #[arg(long, env = "ORDERS_CANARY", value_name = "SHARE", default_value = "10%")]
    pub canary: Share,

    /// How long they are compared: a time, or a number of requests that the new module has to have answered
    #[arg(long, env = "ORDERS_WINDOW", value_name = "WINDOW", default_value = "30s")]
    pub window: Window,

    /// How long the new module is then watched, and goes back by itself if it is worse; 0s is not at all
    #[arg(long, env = "ORDERS_WATCH", value_name = "TIME", default_value = "1m")]
    pub watch: Period,
}

/// A part of all requests, in percent; written `10%` or `10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u8);

impl Share {
    /// Nothing of them.
    pub const NONE: Self = Self(0);

    /// 0 to 100.
    pub fn percent(self) -> u8 {
        self.0
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_suffix('%').unwrap_or(text).trim_end();
        let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        let share = digits.parse().ok().filter(|percent| plain && *percent <= 100);
        share.map(Self).ok_or_else(|| "a share is a whole number from 0 to 100, such as `10%`".to_owned())
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// How much is seen of a module before it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// What happens in this time.
    Time(Period),
    /// So many requests that it has answered.
    Requests(u32),
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
        let window = if plain {
            text.parse().ok().filter(|requests| *requests > 0).map(Self::Requests)
        } else {
            timeout(text).ok().map(Self::Time)
        };
        let form = "a window is a time, such as `30s`, or a number of requests, such as `500`";
        window.ok_or_else(|| form.to_owned())
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(period) => period.fmt(f),
            Self::Requests(requests) => requests.fmt(f),
        }
    }
}

/// The least characters of a token: what nobody guesses.
const SHORTEST_TOKEN: usize = 16;
/// Where a token is found that no file has.
const TOKEN: &str = "ORDERS_ADMIN_TOKEN";

/// How a token is found, for both ends.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Operators")]
pub struct TokenConfig {
    /// The file that holds the operators' token, on one line; without it the variable ORDERS_ADMIN_TOKEN holds it
    #[arg(long, env = "ORDERS_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
}

/// What operators show to be let in. It is written nowhere.
#[derive(Clone)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// The token itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl TokenConfig {
    /// The token, if there is one.
    ///
    /// # Errors
    ///
    /// One line, if it cannot be read or is too short.
    pub fn token(&self) -> Result<Option<Token>, String> {
        let (from, text) = match &self.admin_token_file {
            Some(file) => {
                let text =
                    std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
                (file.display().to_string(), text)
            }
            None => match variable() {
                Ok(text) => (TOKEN.to_owned(), text),
                Err(VarError::NotPresent) => return Ok(None),
                Err(error) => return Err(format!("{TOKEN}: {error}")),
            },
        };
        let token = text.trim();
        if token.len() < SHORTEST_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "{from}: a token has at least {SHORTEST_TOKEN} printable characters without spaces; `openssl rand -hex \
                 32` makes one"
            ));
        }
        Ok(Some(Token(token.to_owned())))
    }
}

#[allow(clippy::disallowed_methods, reason = "as an option, it would be seen by whoever may list processes")]
fn variable() -> Result<String, VarError> {
    std::env::var(TOKEN)
}

/// Where operators are heard.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Operators")]
pub struct AdminConfig {
    /// The address and port on which operators push modules and take them back, or `off`; other than a loopback address
    /// it needs a token
    #[arg(long, env = "ORDERS_ADMIN_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9090")]
    pub admin_listen: AdminAddress,

    /// What operators have to show.
    #[command(flatten)]
    pub token: TokenConfig,
}

impl AdminConfig {
    /// The address, and the token that has to be shown there.
    ///
    /// # Errors
    ///
    /// One line, if the token cannot be read, or there is none where others can connect.
    pub fn door(&self) -> Result<Option<(SocketAddr, Option<Token>)>, String> {
        let AdminAddress(Some(address)) = self.admin_listen else { return Ok(None) };
        let token = self.token.token()?;
        if token.is_none() && !address.ip().is_loopback() {
            return Err(format!(
                "--admin-listen {address} can be reached from elsewhere, and without a token anyone could push a module: \
                 give one by --admin-token-file or {TOKEN}, or listen on 127.0.0.1"
            ));
        }
        Ok(Some((address, token)))
    }
}

/// An address, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminAddress(pub Option<SocketAddr>);

impl FromStr for AdminAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self(None)),
            _ => text.parse().map(|address| Self(Some(address))).map_err(|_| {
                "an address with a port is expected, such as `127.0.0.1:9090`, or `off`".to_owned()
            }),
        }
    }
}
