//! The options of the commands that call the admin API of a running service: `module push`, `activate`, `list`, `status` and
//! `rollback`.

use std::{fmt, path::PathBuf, str::FromStr};

use clap::Args;
use http::{Uri, uri::Authority};

use super::{admin::TokenConfig, module_terms::RolloutOptions, outbound::HTTP_PORT};

/// Which service to call, and the token to present.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Operators")]
pub struct AdminClientConfig {
    /// URL of the admin API of the service, which is its --admin-listen. The connection is plain HTTP: from another
    /// machine, use an encrypted tunnel
    #[arg(long, env = "ORDERS_ADMIN", value_name = "URL", default_value = "http://127.0.0.1:9090")]
    pub admin: AdminUrl,

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

/// The URL of the admin API, written `http://127.0.0.1:9090`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminUrl(Authority);

impl AdminUrl {
    /// The value of the Host header.
    pub fn authority(&self) -> &str {
        self.0.as_str()
    }

    /// The host and the port to connect to.
    pub fn address(&self) -> (&str, u16) {
        (self.0.host().trim_matches(['[', ']']), self.0.port_u16().unwrap_or(HTTP_PORT))
    }
}

impl FromStr for AdminUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "expected a URL such as `http://127.0.0.1:9090`".to_owned();
        let url: Uri = text.parse().map_err(|_| form())?;
        match url.scheme_str() {
            None | Some("http") => {}
            Some("https") => {
                return Err(
                    "the admin API is plain HTTP: use an encrypted connection, such as an SSH tunnel or the \
                            port forwarding of your platform, and give the URL of its local end, such as \
                            `http://127.0.0.1:9090`"
                        .to_owned(),
                );
            }
            Some(_) => return Err(form()),
        }
        let authority = url.authority().ok_or_else(form)?;
        if authority.as_str().contains('@') {
            return Err("a URL is not secret: put the token in a file or in a variable".to_owned());
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err(
                "expected a host and a port without a path, such as `http://127.0.0.1:9090`".to_owned()
            );
        }
        Ok(Self(authority.clone()))
    }
}

impl fmt::Display for AdminUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
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
    fn a_url_names_a_host_and_a_port() {
        for (text, host, port) in [
            ("http://127.0.0.1:9090", "127.0.0.1", 9090),
            ("http://127.0.0.1:9090/", "127.0.0.1", 9090),
            ("http://[::1]:9090", "::1", 9090),
            ("http://orders.internal", "orders.internal", 80),
            ("localhost:9090", "localhost", 9090),
        ] {
            assert_eq!(text.parse::<AdminUrl>().unwrap().address(), (host, port), "{text}");
        }
        for (text, says) in [
            ("", "expected a URL"),
            ("/v1", "expected a URL"),
            ("ftp://localhost", "expected a URL"),
            ("https://localhost:9090", "SSH tunnel"),
            ("http://operator:secret@localhost", "put the token in a file or in a variable"),
            ("http://localhost:9090/v1/modules", "without a path"),
            ("http://localhost:9090?token=secret", "without a path"),
        ] {
            let error = text.parse::<AdminUrl>().unwrap_err();
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
