//! The options of the commands that call the admin API of a running service: `module push`, `activate`, `list`, `status` and
//! `rollback`.

use std::{fmt, path::PathBuf, str::FromStr};

use clap::Args;
use http::{Uri, uri::Authority};

use super::{
    admin::{MAX_SOCKET_PATH, UNIX},
    module_terms::RolloutOptions,
    token::TokenConfig,
};

/// Which service to call, and the token to present.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Operators")]
pub struct AdminClientConfig {
    /// The admin API of the service, as its --admin-listen: `unix:PATH`, or a URL with `http:` or `https:`. Without it, the
    /// only socket in `$XDG_RUNTIME_DIR/orders-host` on which a service listens
    #[arg(long, env = "ORDERS_ADMIN", value_name = "URL")]
    pub admin: Option<AdminTarget>,

    /// PEM file with the certificate authorities to trust with `https:`, instead of those of this machine
    #[arg(long, env = "ORDERS_ADMIN_CA", value_name = "FILE")]
    pub admin_ca: Option<PathBuf>,

    /// The token to present.
    #[command(flatten)]
    pub token: TokenConfig,
}

/// The options of `module push`.
#[derive(Clone, Debug, Args)]
pub struct PushConfig {
    /// The component to push. It must not be compiled: the service compiles it
    #[arg(value_name = "FILE")]
    pub component: PathBuf,

    /// How it is rolled out.
    #[command(flatten)]
    pub rollout: RolloutOptions,

    /// Which service to call.
    #[command(flatten)]
    pub client: AdminClientConfig,
}

/// The options of `module activate`.
#[derive(Clone, Debug, Args)]
pub struct ActivateConfig {
    /// The module to roll out, by the first digits of its hash. The service must have kept it in its --module-dir
    #[arg(value_name = "HASH")]
    pub module: HashPrefix,

    /// How it is rolled out.
    #[command(flatten)]
    pub rollout: RolloutOptions,

    /// Which service to call.
    #[command(flatten)]
    pub client: AdminClientConfig,
}

/// The options of `module list`.
#[derive(Clone, Debug, Args)]
pub struct ListConfig {
    /// Print the response of the service unchanged: JSON with everything the service knows
    #[arg(long)]
    pub json: bool,

    /// Which service to call.
    #[command(flatten)]
    pub client: AdminClientConfig,
}

/// The options of `module status`.
#[derive(Clone, Debug, Args)]
pub struct StatusConfig {
    /// The module to show, by the first digits of its hash. Without it, the serving module, the rollout in progress and the
    /// previous module are shown
    #[arg(value_name = "HASH")]
    pub module: Option<HashPrefix>,

    /// Show progress until the rollout of the module is over, its watch included; without HASH, that of the rollout in
    /// progress, if there is one
    #[arg(long)]
    pub watch: bool,

    /// Print the response of the service unchanged, as JSON
    #[arg(long, conflicts_with = "watch")]
    pub json: bool,

    /// Which service to call.
    #[command(flatten)]
    pub client: AdminClientConfig,
}

/// The options of `module rollback`.
#[derive(Clone, Debug, Args)]
pub struct RollbackConfig {
    /// Which service to call.
    #[command(flatten)]
    pub client: AdminClientConfig,
}

/// Where an admin API is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminTarget {
    /// On a Unix socket, written `unix:PATH`.
    Unix(PathBuf),
    /// At a host and a port, written `http://127.0.0.1:9090`.
    Http(Authority),
    /// The same, encrypted, written `https://orders.example:9443`.
    Https(Authority),
}

impl AdminTarget {
    /// The value of the Host header.
    pub fn authority(&self) -> &str {
        match self {
            Self::Unix(_) => "localhost",
            Self::Http(authority) | Self::Https(authority) => authority.as_str(),
        }
    }
}

impl FromStr for AdminTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("expected `{UNIX}PATH` or a URL such as `http://127.0.0.1:9090`");
        if let Some(path) = text.strip_prefix(UNIX) {
            return match path.len() {
                0 => Err(form()),
                1..=MAX_SOCKET_PATH => Ok(Self::Unix(path.into())),
                _ => {
                    Err(format!("the path is too long: a socket's path has at most {MAX_SOCKET_PATH} bytes"))
                }
            };
        }
        if matches!(text, "auto" | "off") {
            return Err(format!("`{text}` is a value of --admin-listen; {}", form()));
        }
        let url: Uri = text.parse().map_err(|_| form())?;
        let authority = url.authority().ok_or_else(form)?;
        if authority.as_str().contains('@') {
            return Err("a URL is not secret: put the token in a file or in a variable".to_owned());
        }
        if authority.host().is_empty() {
            return Err(form());
        }
        let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        if !port.is_empty() && !is_port(port) {
            return Err("a port is a number from 1 to 65535, as in `http://127.0.0.1:9090`".to_owned());
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err(
                "expected a host and a port without a path, such as `http://127.0.0.1:9090`".to_owned()
            );
        }
        match url.scheme_str() {
            None | Some("http") => Ok(Self::Http(authority.clone())),
            Some("https") => Ok(Self::Https(authority.clone())),
            Some(_) => Err(form()),
        }
    }
}

/// Whether a text is a port after a colon. An authority may contain others.
fn is_port(text: &str) -> bool {
    let Some(digits) = text.strip_prefix(':') else { return false };
    digits.bytes().all(|byte| byte.is_ascii_digit()) && matches!(digits.parse::<u16>(), Ok(1..))
}

impl fmt::Display for AdminTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
            Self::Http(authority) => write!(f, "http://{authority}"),
            Self::Https(authority) => write!(f, "https://{authority}"),
        }
    }
}

/// The first digits of a module's hash, or all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashPrefix(pub String);

impl FromStr for HashPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hexadecimal = text.bytes().all(|digit| digit.is_ascii_hexdigit());
        if (1..=64).contains(&text.len()) && hexadecimal {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err("expected the first hexadecimal digits of a hash, up to all 64, as `module list` shows them"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_socket_or_a_host_and_a_port() {
        let longest = format!("unix:/{}", "x".repeat(106));
        for (text, target) in [
            ("http://127.0.0.1:9090", "http://127.0.0.1:9090"),
            ("http://127.0.0.1:9090/", "http://127.0.0.1:9090"),
            ("http://[::1]:9090", "http://[::1]:9090"),
            ("localhost:9090", "http://localhost:9090"),
            ("https://orders.internal", "https://orders.internal"),
            ("unix:/run/user/1000/orders-host/8080.sock", "unix:/run/user/1000/orders-host/8080.sock"),
            ("unix:admin.sock", "unix:admin.sock"),
            ("http://localhost:1", "http://localhost:1"),
            ("https://[::1]:65535", "https://[::1]:65535"),
            (&longest, &longest),
        ] {
            assert_eq!(text.parse::<AdminTarget>().unwrap().to_string(), target, "{text}");
        }
        for (text, says) in [
            ("", "`unix:PATH` or a URL"),
            ("unix:", "`unix:PATH` or a URL"),
            ("/v1", "`unix:PATH` or a URL"),
            ("ftp://localhost", "`unix:PATH` or a URL"),
            ("http://operator:secret@localhost", "put the token in a file or in a variable"),
            ("http://localhost:9090/v1/modules", "without a path"),
            ("https://localhost:9090?token=secret", "without a path"),
            ("http://127.0.0.1:80800", "a port is a number from 1 to 65535"),
            ("http://127.0.0.1:99999", "a port is a number"),
            ("https://[::1]:65536", "a port is a number"),
            ("http://127.0.0.1:", "a port is a number"),
            ("127.0.0.1:0", "a port is a number"),
            ("http://:9090", "`unix:PATH` or a URL"),
            ("off", "`off` is a value of --admin-listen; expected `unix:PATH`"),
            ("auto", "`auto` is a value of --admin-listen"),
            (&format!("{longest}x"), "at most 107 bytes"),
        ] {
            let error = text.parse::<AdminTarget>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_hash_prefix_has_1_to_64_hexadecimal_digits() {
        assert_eq!("3F2a".parse(), Ok(HashPrefix("3f2a".to_owned())));
        for odd in ["", "3g", "-", &"0".repeat(65)] {
            assert!(odd.parse::<HashPrefix>().is_err(), "{odd}");
        }
    }
}
