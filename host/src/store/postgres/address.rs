//! What a URL says. `sslmode` and `sslrootcert` are read here, for the client library knows fewer of them; all else is
//! the library's.

use std::{path::PathBuf, time::Duration};

use percent_encoding::percent_decode_str;
use tokio_postgres::config::{Config, Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls::{self, Roots, Verify};
use crate::config::PostgresUrl;

/// How long one address of a server may take to answer at all, within all the time for connecting.
const REACH_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection on which nothing arrives for this long is asked for a sign of life …
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
/// … again after this …
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// … so many times.
const KEEPALIVE_TRIES: u32 = 3;

/// Whom to connect to, and how.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
}

impl Address {
    /// Reads a URL, and the certificates that it names.
    ///
    /// # Errors
    ///
    /// One line that shows nothing of what may be secret.
    pub(super) fn read(url: &PostgresUrl) -> Result<Self, String> {
        let (plain, options) = split(url.secret())?;
        // Where the library says what is wrong, it names a parameter at most; but which one may be a piece of a password.
        let mut config: Config = plain.parse().map_err(|_| {
            "its URL cannot be read; it has the form \
             postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full, with %40 for @, %2F for / and so on"
                .to_owned()
        })?;
        if config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(name) if name.contains('@'))) {
            return Err("its URL has more than one @; in a password it is written %40".to_owned());
        }
        if config.get_hosts().is_empty() {
            return Err("its URL names no host".to_owned());
        }
        let local = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        let (mode, verify) = options.tls()?;
        // No server speaks TLS on such a socket, and nobody is in between.
        config.ssl_mode(if local { SslMode::Disable } else { mode });
        // Whoever cannot commit is not the one to read from either: it may be behind.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.connect_timeout(REACH_TIMEOUT);
        config.keepalives(true);
        config.keepalives_idle(KEEPALIVE_IDLE);
        config.keepalives_interval(KEEPALIVE_INTERVAL);
        config.keepalives_retries(KEEPALIVE_TRIES);
        config.tcp_user_timeout(KEEPALIVE_IDLE);
        if config.get_application_name().is_none() {
            config.application_name(env!("CARGO_PKG_NAME"));
        }
        Ok(Self { config, tls: tls::connector(verify, &options.roots())? })
    }
}

/// What a URL says of TLS.
#[derive(Default)]
struct TlsOptions {
    mode: Option<String>,
    roots: Option<String>,
}

impl TlsOptions {
    /// As libpq has it: `require` with a root certificate is `verify-ca`, and without any word TLS is used if offered.
    fn tls(&self) -> Result<(SslMode, Verify), String> {
        Ok(match self.mode.as_deref() {
            Some("disable") => (SslMode::Disable, Verify::Nothing),
            None | Some("prefer") => (SslMode::Prefer, Verify::Nothing),
            Some("require") if self.roots.is_none() => (SslMode::Require, Verify::Nothing),
            Some("require" | "verify-ca") => (SslMode::Require, Verify::Authority),
            Some("verify-full") => (SslMode::Require, Verify::AuthorityAndName),
            Some(_) => {
                return Err(
                    "its sslmode must be disable, prefer, require, verify-ca or verify-full".to_owned()
                );
            }
        })
    }

    fn roots(&self) -> Roots {
        match self.roots.as_deref() {
            None | Some("system") => Roots::System,
            Some(path) => Roots::File(PathBuf::from(path)),
        }
    }
}

/// Takes what is read here out of a URL.
fn split(url: &str) -> Result<(String, TlsOptions), String> {
    let mut found = TlsOptions::default();
    // As the library has it: a question mark before the `@` belongs to the password.
    let (login, place) = url.split_once('@').map_or((None, url), |(login, place)| (Some(login), place));
    let Some((place, query)) = place.split_once('?') else { return Ok((url.to_owned(), found)) };
    let mut rest = Vec::new();
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let decoded = |text| percent_decode_str(text).decode_utf8().map_err(|_| "its URL is not UTF-8");
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match &*decoded(name)? {
            "sslmode" => found.mode = Some(decoded(value)?.into_owned()),
            "sslrootcert" => found.roots = Some(decoded(value)?.into_owned()),
            _ => rest.push(option),
        }
    }
    let login = login.map(|login| format!("{login}@")).unwrap_or_default();
    Ok((format!("{login}{place}?{}", rest.join("&")), found))
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::SslMode;

    use super::Address;
    use crate::config::StoreLocation;

    fn read(url: &str) -> Result<Address, String> {
        let StoreLocation::Postgres(location) = url.parse().unwrap() else { panic!("{url}") };
        Address::read(&location.url)
    }

    #[test]
    fn sslmode_is_honoured() {
        for (mode, expected) in [
            ("", SslMode::Prefer),
            ("?sslmode=prefer", SslMode::Prefer),
            ("?sslmode=disable", SslMode::Disable),
            ("?connect_timeout=3&ssl%6dode=require", SslMode::Require),
            ("?sslmode=verify-ca", SslMode::Require),
            ("?sslmode=verify-full&sslrootcert=system", SslMode::Require),
        ] {
            let address = read(&format!("postgres://ada:secret@localhost/orders{mode}")).unwrap();
            assert_eq!(address.config.get_ssl_mode(), expected, "{mode}");
        }
        let odd = read("postgres://ada:sec?ret@localhost/orders?sslmode=require").unwrap();
        assert_eq!(odd.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(odd.config.get_password(), Some(b"sec?ret".as_slice()));
        let local = read("postgres://ada@%2Frun%2Fpostgresql/orders?sslmode=require").unwrap();
        assert_eq!(local.config.get_ssl_mode(), SslMode::Disable);
    }

    #[test]
    fn a_refusal_shows_nothing_secret() {
        for (url, says) in [
            ("postgres://ada:sec@ret@localhost/orders", "%40"),
            ("postgres://ada:sec@ret:x@localhost/orders", "URL cannot be read"),
            ("postgres://ada:secret@localhost/orders?secret=secret", "URL cannot be read"),
            ("postgres://ada:secret@localhost/orders?sslmode=secret", "sslmode must be"),
            ("postgres://ada:secret@/orders", "names no host"),
            ("postgres://ada:secret@localhost/?sslmode=verify-full&sslrootcert=/no/such", "sslrootcert"),
        ] {
            let why = read(url).err().unwrap();
            assert!(why.contains(says) && !why.contains("sec") && !why.contains("ada"), "{url}: {why}");
        }
    }
}
