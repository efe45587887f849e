//! The options of the admin API: where it listens, and the tokens that it accepts.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::Args;

use super::token::{TokenConfig, Tokens};

/// What the name of a Unix socket begins with.
pub(super) const UNIX: &str = "unix:";
/// Maximum length of a socket's path, in bytes (`sun_path` of `unix(7)`, without its final zero).
pub const MAX_SOCKET_PATH: usize = 107;

/// The listener of the admin API.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Operators")]
pub struct AdminConfig {
    /// Where the admin API listens, on which modules are pushed and rolled back: `unix:PATH`, a socket that only the user
    /// of this process can open; an address with a port, which requires a token; or `off`. `auto` is the socket
    /// `$XDG_RUNTIME_DIR/orders-host/PORT.sock`, with the port of --listen, or `off` without that variable
    #[arg(long, env = "ORDERS_ADMIN_LISTEN", value_name = "ADDRESS", default_value = "auto")]
    pub admin_listen: AdminListen,

    /// The tokens, one of which each request must carry if there are any.
    #[command(flatten)]
    pub token: TokenConfig,
}

impl AdminConfig {
    /// The tokens that requests must carry; none without the API, or if every client of its socket is an operator.
    ///
    /// # Errors
    ///
    /// One line, if they cannot be read, or if there are none and the API listens on TCP.
    pub fn tokens(&self) -> Result<Option<Tokens>, String> {
        if self.admin_listen == AdminListen::Off {
            return Ok(None);
        }
        let tokens = self.token.tokens()?;
        match &self.admin_listen {
            AdminListen::Tcp(address) if tokens.is_none() => Err(format!(
                "--admin-listen {address} needs a token, because without one any user of this machine, or of its network, \
                 could replace the handlers: set one with --admin-token-file or ORDERS_ADMIN_TOKEN, or listen on \
                 `{UNIX}PATH`"
            )),
            _ => Ok(tokens),
        }
    }

    /// Whether the API is on, as far as the options say.
    pub fn is_on(&self) -> bool {
        match &self.admin_listen {
            AdminListen::Auto => socket_folder().is_ok(),
            AdminListen::Off => false,
            AdminListen::Unix(_) | AdminListen::Tcp(_) => true,
        }
    }
}

/// Where the admin API listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminListen {
    /// On a socket in the [folder of sockets](socket_folder), if there is one.
    Auto,
    /// Nowhere.
    Off,
    /// On a Unix socket.
    Unix(PathBuf),
    /// On a TCP address.
    Tcp(SocketAddr),
}

impl FromStr for AdminListen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix(UNIX)) {
            ("auto", _) => Ok(Self::Auto),
            ("off", _) => Ok(Self::Off),
            (_, Some(path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            _ => text.parse().map(Self::Tcp).map_err(|_| {
                format!(
                    "expected `{UNIX}PATH`, an address with a port, such as `127.0.0.1:9090`, `auto` or `off`"
                )
            }),
        }
    }
}

/// The folder of the sockets of all services of this user: `$XDG_RUNTIME_DIR/orders-host`. The variable must name an
/// absolute path, by the XDG base directory specification.
///
/// # Errors
///
/// Why there is none.
pub fn socket_folder() -> Result<PathBuf, String> {
    let why = match env::var_os("XDG_RUNTIME_DIR") {
        Some(folder) if Path::new(&folder).is_absolute() => return Ok(Path::new(&folder).join("orders-host")),
        Some(_) => "is not an absolute path",
        None => "is not set",
    };
    Err(format!("XDG_RUNTIME_DIR, the variable that names the folder of a user's sockets, {why}"))
}
