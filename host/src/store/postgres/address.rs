//! Parses the URL. `sslmode` and `sslrootcert` are parsed here because the client library supports fewer of their
//! values; the library parses the rest.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use percent_encoding::percent_decode_str;
use tokio_postgres::config::{Config, Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls::{self, Roots, Verify};
use crate::config::PostgresUrl;

/// How long one address of a server may take to accept the connection, within the total time for connecting.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that has received nothing for this long is probed (TCP keep-alive).
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
/// The interval between two probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// The number of probes without a reply after which the connection is closed.
const KEEPALIVE_RETRIES: u32 = 3;

/// The server to connect to, and how.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
    /// Whether the traffic leaves this machine although nothing says that it must be encrypted, or to whom it goes.
    pub(super) is_exposed: bool,
}

impl Address {
    /// Parses a URL and loads the certificates that it names.
    ///
    /// # Errors
    ///
    /// One line that reveals no secret.
    pub(super) fn from_url(url: &PostgresUrl) -> Result<Self, String> {
        let (plain, options) = split_tls_options(url.secret())?;
        // The library's error names at most a parameter, but even that may be a piece of a password.
        let mut config: Config = plain.parse().map_err(|_| {
            "its URL is malformed; the form is \
             postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full, with %40 for @, %2F for / and so on"
                .to_owned()
        })?;
        if config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(name) if name.contains('@'))) {
            return Err("its URL contains more than one @; write %40 for an @ in a password".to_owned());
        }
        if config.get_hosts().is_empty() {
            return Err("its URL names no host".to_owned());
        }
        let local = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        let (mode, verify) = options.tls()?;
        // No server supports TLS on a Unix socket, and no third party can intercept it.
        config.ssl_mode(if local { SslMode::Disable } else { mode });
        // A server that does not accept writes is not used for reads either, because it may lag behind.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.connect_timeout(ADDRESS_TIMEOUT);
        config.keepalives(true);
        config.keepalives_idle(KEEPALIVE_IDLE);
        config.keepalives_interval(KEEPALIVE_INTERVAL);
        config.keepalives_retries(KEEPALIVE_RETRIES);
        config.tcp_user_timeout(KEEPALIVE_IDLE);
        if config.get_application_name().is_none() {
            config.application_name(env!("CARGO_PKG_NAME"));
        }
        let is_exposed = mode == SslMode::Prefer && leaves_machine(&config);
        Ok(Self { config, tls: tls::connector(verify, &options.roots())?, is_exposed })
    }
}

/// Whether the server may be on another machine.
fn leaves_machine(config: &Config) -> bool {
    // An address takes precedence over the name of the host.
    if !config.get_hostaddrs().is_empty() {
        return config.get_hostaddrs().iter().any(|address| !address.to_canonical().is_loopback());
    }
    config.get_hosts().iter().any(|host| match host {
        Host::Unix(_) => false,
        Host::Tcp(name) => match name.parse::<IpAddr>() {
            Ok(address) => !address.to_canonical().is_loopback(),
            Err(_) => !name.eq_ignore_ascii_case("localhost"),
        },
    })
}

/// The TLS options of a URL.
#[derive(Default)]
struct TlsOptions {
    mode: Option<String>,
    roots: Option<String>,
}

impl TlsOptions {
    /// Follows libpq: `require` with a root certificate means `verify-ca`, without `sslmode` TLS is used if the server
    /// supports it, and `sslrootcert=system` means `verify-full`: an authority of the machine signs for anybody.
    fn tls(&self) -> Result<(SslMode, Verify), String> {
        let system = self.roots.as_deref() == Some("system");
        Ok(match self.mode.as_deref() {
            None if system => (SslMode::Require, Verify::AuthorityAndName),
            Some("prefer" | "require" | "verify-ca") if system => {
                return Err("its sslmode must be verify-full, since its sslrootcert is system".to_owned());
            }
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

/// Splits a URL into the part for the library and the TLS options.
fn split_tls_options(url: &str) -> Result<(String, TlsOptions), String> {
    let mut tls = TlsOptions::default();
    // As in the library, a question mark before the `@` belongs to the password.
    let (login, server) = url.split_once('@').map_or((None, url), |(login, server)| (Some(login), server));
    let Some((server, query)) = server.split_once('?') else { return Ok((url.to_owned(), tls)) };
    let mut rest = Vec::new();
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let decoded = |text| percent_decode_str(text).decode_utf8().map_err(|_| "its URL is not UTF-8");
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match &*decoded(name)? {
            "sslmode" => tls.mode = Some(decoded(value)?.into_owned()),
            "sslrootcert" => tls.roots = Some(decoded(value)?.into_owned()),
            _ => rest.push(option),
        }
    }
    let login = login.map(|login| format!("{login}@")).unwrap_or_default();
    Ok((format!("{login}{server}?{}", rest.join("&")), tls))
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::SslMode;

    use super::Address;
    use crate::config::StoreLocation;

    fn parse(url: &str) -> Result<Address, String> {
        let StoreLocation::Postgres(location) = url.parse().unwrap() else { panic!("{url}") };
        Address::from_url(&location.url)
    }

    #[test]
    fn sslmode_selects_the_tls_mode() {
        for (mode, expected) in [
            ("", SslMode::Prefer),
            ("?sslmode=prefer", SslMode::Prefer),
            ("?sslmode=disable", SslMode::Disable),
            ("?connect_timeout=3&ssl%6dode=require", SslMode::Require),
            ("?sslmode=verify-ca", SslMode::Require),
            ("?sslmode=verify-full&sslrootcert=system", SslMode::Require),
            ("?sslrootcert=system", SslMode::Require),
        ] {
            let address = parse(&format!("postgres://ada:secret@localhost/orders{mode}")).unwrap();
            assert_eq!(address.config.get_ssl_mode(), expected, "{mode}");
        }
        let odd = parse("postgres://ada:sec?ret@localhost/orders?sslmode=require").unwrap();
        assert_eq!(odd.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(odd.config.get_password(), Some(b"sec?ret".as_slice()));
        let local = parse("postgres://ada@%2Frun%2Fpostgresql/orders?sslmode=require").unwrap();
        assert_eq!(local.config.get_ssl_mode(), SslMode::Disable);
    }

    #[test]
    fn an_error_reveals_no_secret() {
        for (url, expected) in [
            ("postgres://ada:sec@ret@localhost/orders", "%40"),
            ("postgres://ada:sec@ret:x@localhost/orders", "URL is malformed"),
            ("postgres://ada:secret@localhost/orders?secret=secret", "URL is malformed"),
            ("postgres://ada:secret@localhost/orders?sslmode=secret", "sslmode must be"),
            ("postgres://ada:secret@/orders", "names no host"),
            ("postgres://ada:secret@localhost/?sslmode=require&sslrootcert=system", "must be verify-full"),
            ("postgres://ada:secret@localhost/?sslmode=verify-full&sslrootcert=/no/such", "sslrootcert"),
        ] {
            let why = parse(url).err().unwrap();
            assert!(why.contains(expected) && !why.contains("sec") && !why.contains("ada"), "{url}: {why}");
        }
    }

    #[test]
    fn traffic_that_leaves_the_machine_without_a_rule_is_exposed() {
        for (place, expected) in [
            ("db.example/orders", true),
            ("10.0.0.7/orders?sslmode=prefer", true),
            ("localhost,db.example/orders", true),
            ("localhost/orders?hostaddr=10.0.0.7", true),
            ("db.example/orders?sslmode=require", false),
            ("db.example/orders?sslmode=disable", false),
            ("localhost/orders", false),
            ("127.0.0.1/orders", false),
            ("[::1]/orders", false),
            ("db.example/orders?hostaddr=127.0.0.1", false),
            ("%2Frun%2Fpostgresql/orders", false),
        ] {
            assert_eq!(parse(&format!("postgres://ada@{place}")).unwrap().is_exposed, expected, "{place}");
        }
    }
}
