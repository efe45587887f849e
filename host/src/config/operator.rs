//! The options of the commands that ask a running service: `module push`, `list`, `status` and `rollback`.

use std::{fmt, path::PathBuf, str::FromStr};

use clap::Args;
use http::{Uri, uri::Authority};

use super::{
    outbound::HTTP_PORT,
    swaps::{Share, TokenConfig, Window},
    values::Period,
};

/// Which service is asked, and as whom.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Operators")]
pub struct AskConfig {
    /// The operators' port of the service (its --admin-listen), as a URL. It is plain HTTP: from another machine, reach
    /// it through a tunnel that encrypts
    #[arg(long, env = "ORDERS_ADMIN", value_name = "URL", default_value = "http://127.0.0.1:9090")]
    pub admin: AdminUrl,

    /// What is shown there.
    #[command(flatten)]
    pub token: TokenConfig,
}

/// The options of `module push`.
#[derive(Clone, Debug, Args)]
pub struct PushConfig {
    /// The component; not compiled, for it is compiled where it serves
    #[arg(value_name = "FILE")]
    pub component: PathBuf,

    /// The share of requests that it gets on trial, 1 to 100 %; 0 has it serve all at once [default: the service's own]
    #[arg(long, value_name = "SHARE")]
    pub canary: Option<Share>,

    /// How long it is on trial: a time, or a number of requests that it has to have answered [default: the service's
    /// own]
    #[arg(long, value_name = "WINDOW")]
    pub window: Option<Window>,

    /// How long it is then watched, and goes back by itself if it is worse; 0s is not at all [default: the service's own]
    #[arg(long, value_name = "TIME")]
    pub watch: Option<Period>,

    /// Which service is asked.
    #[command(flatten)]
    pub ask: AskConfig,
}

/// The options of `module list`.
#[derive(Clone, Debug, Args)]
pub struct ListConfig {
    /// Print what the service answers, as it came: JSON, with all that is known
    #[arg(long)]
    pub json: bool,

    /// Which service is asked.
    #[command(flatten)]
    pub ask: AskConfig,
}

/// The options of `module status`.
#[derive(Clone, Debug, Args)]
pub struct StatusConfig {
    /// A module, by the first digits of its hash; without it, the one that serves, the one on trial and the one before
    #[arg(value_name = "HASH")]
    pub module: Option<HashPrefix>,

    /// Keep it up to date until the module, or whichever is pushed next, has come to serve or has not
    #[arg(long)]
    pub watch: bool,

    /// Print what the service answers, as it came
    #[arg(long, conflicts_with = "watch")]
    pub json: bool,

    /// Which service is asked.
    #[command(flatten)]
    pub ask: AskConfig,
}

/// The options of `module rollback`.
#[derive(Clone, Debug, Args)]
pub struct RollbackConfig {
    /// Which service is asked.
    #[command(flatten)]
    pub ask: AskConfig,
}

/// Where operators are heard, written `http://127.0.0.1:9090`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminUrl(Authority);

impl AdminUrl {
    /// What a request names as its host.
    pub fn authority(&self) -> &str {
        self.0.as_str()
    }

    /// What to connect to.
    pub fn address(&self) -> (&str, u16) {
        (self.0.host().trim_matches(['[', ']']), self.0.port_u16().unwrap_or(HTTP_PORT))
    }
}

impl FromStr for AdminUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "a URL is expected, such as `http://127.0.0.1:9090`".to_owned();
        let url: Uri = text.parse().map_err(|_| form())?;
        match url.scheme_str() {
            None | Some("http") => {}
            Some("https") => {
                return Err("operators are heard over plain HTTP: reach the port through what encrypts, an SSH tunnel or \
                            the port forwarding of your platform, and name its near end, such as \
                            `http://127.0.0.1:9090`"
                    .to_owned());
            }
            Some(_) => return Err(form()),
        }
        let authority = url.authority().ok_or_else(form)?;
        if authority.as_str().contains('@') {
            return Err(
                "a URL shows what it holds to everyone: the token has a file or a variable".to_owned()
            );
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err(
                "a host and a port are expected, and no path, such as `http://127.0.0.1:9090`".to_owned()
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
            Err("the first of the 64 hexadecimal digits of a hash are expected, as `module list` shows them"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read() {
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
            ("", "a URL is expected"),
            ("/v1", "a URL is expected"),
            ("ftp://localhost", "a URL is expected"),
            ("https://localhost:9090", "SSH tunnel"),
            ("http://operator:secret@localhost", "the token has a file or a variable"),
            ("http://localhost:9090/v1/modules", "no path"),
            ("http://localhost:9090?token=secret", "no path"),
        ] {
            let error = text.parse::<AdminUrl>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn the_first_digits_of_a_hash() {
        assert_eq!("3F2a".parse(), Ok(HashPrefix("3f2a".to_owned())));
        for odd in ["", "3g", "-", &"0".repeat(65)] {
            assert!(odd.parse::<HashPrefix>().is_err(), "{odd}");
        }
    }
}
