//! The options that say where the state is kept.
//!
//! The address of a server holds a password. It is shown nowhere: not by `--help`, not where a value is refused, not by
//! `Debug` or `Display`.

use std::{
    ffi::OsStr,
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use clap::{
    Arg, Args, Command,
    builder::TypedValueParser,
    error::{Error, ErrorKind},
};

/// Where the state is kept, and how much of a server is used for it.
#[derive(Clone, Debug, Args)]
pub struct StoreConfig {
    /// Where the state is kept: `sqlite:PATH`, `postgres://…`, or `memory:` (lost at the end)
    #[arg(long, env = "ORDERS_STORE", value_name = "STORE", default_value = "sqlite:orders.db",
          hide_env_values = true, value_parser = LocationParser)]
    pub store: StoreLocation,

    /// A file that holds what `--store` would say, for secrets; read again when a server refuses the password
    #[arg(long, env = "ORDERS_STORE_FILE", value_name = "FILE", conflicts_with = "store")]
    pub store_file: Option<PathBuf>,

    /// The most connections to a PostgreSQL server: two for commits, one of which stands by; the others read
    #[arg(long, env = "ORDERS_STORE_CONNECTIONS", value_name = "COUNT", default_value_t = CONNECTIONS,
          value_parser = clap::value_parser!(u16).range(2..=200))]
    pub store_connections: u16,
}

impl StoreConfig {
    /// Where the state is kept. A call to a server is given up in time for a request of `request_timeout` to be
    /// answered.
    ///
    /// # Errors
    ///
    /// One line, if the file cannot be read or does not hold a location.
    pub fn location(&self, request_timeout: Duration) -> Result<StoreLocation, String> {
        let mut location = match &self.store_file {
            None => self.store.clone(),
            Some(file) => read(file)?,
        };
        if let StoreLocation::Postgres(server) = &mut location {
            server.connections = self.store_connections;
            server.timeout = (request_timeout / CALLS_IN_A_REQUEST).min(LONGEST_CALL);
            server.file.clone_from(&self.store_file);
        }
        Ok(location)
    }
}

/// Connections, unless something else is said: two that commit, and a reading one for each of six threads.
const CONNECTIONS: u16 = 8;
/// So many calls in a row may each take as long as they can before the request is out of time.
const CALLS_IN_A_REQUEST: u32 = 3;
/// However long a request may take, a server that has not answered for this long is not going to.
const LONGEST_CALL: Duration = Duration::from_secs(5);

/// Reads a location out of a file.
///
/// # Errors
///
/// One line that names the file, and nothing of what it holds.
pub fn read(file: &Path) -> Result<StoreLocation, String> {
    let text =
        fs::read_to_string(file).map_err(|error| format!("cannot read --store-file {file:?}: {error}"))?;
    text.trim().parse().map_err(|why| format!("--store-file {file:?} does not hold a store: {why}"))
}

/// Where the state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreLocation {
    /// In this process, until it ends.
    Memory,
    /// In an SQLite database file.
    Sqlite(PathBuf),
    /// In a database of a PostgreSQL server.
    Postgres(Box<PostgresLocation>),
}

/// A database of a PostgreSQL server, and how it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresLocation {
    /// Its address.
    pub url: PostgresUrl,
    /// The file that the address came from: it may hold another password later.
    pub file: Option<PathBuf>,
    /// The most connections, at least 2.
    pub connections: u16,
    /// How long one call may take, with all its waits.
    pub timeout: Duration,
}

/// A `postgres://` or `postgresql://` address. It is read only where it is used, for its refusal would show it here.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

impl PostgresUrl {
    /// The address with its password, not to be shown.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl FromStr for StoreLocation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                Ok(Self::Postgres(Box::new(PostgresLocation {
                    url: PostgresUrl(text.to_owned()),
                    file: None,
                    connections: CONNECTIONS,
                    timeout: LONGEST_CALL,
                })))
            }
            _ => {
                Err("a store is `sqlite:PATH`, `postgres://USER:PASSWORD@HOST/DATABASE` or `memory:`"
                    .to_owned())
            }
        }
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(server) => server.url.fmt(f),
        }
    }
}

/// Hosts and database alone; not even those where it is not certain what is what.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, address) = self.0.split_once("://").unwrap_or_default();
        let (front, options) = address.split_once('?').unwrap_or((address, ""));
        let place = match front.split_once('@') {
            None if !options.contains('@') => front,
            Some((_, place)) if !place.contains('@') && !options.contains('@') => place,
            _ => "…",
        };
        write!(f, "postgres://{}", place.replace(char::is_control, " "))
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// Refuses a value in clap's words, without showing one that may hold a password.
#[derive(Clone, Copy, Debug)]
struct LocationParser;

impl TypedValueParser for LocationParser {
    type Value = StoreLocation;

    fn parse_ref(&self, command: &Command, _: Option<&Arg>, value: &OsStr) -> Result<StoreLocation, Error> {
        let parsed = value.to_str().ok_or_else(|| "it is not UTF-8".to_owned()).and_then(str::parse);
        parsed.map_err(|why| {
            let shown = match value.to_str() {
                Some(text) if !text.contains('@') => format!(" '{text}'"),
                _ => String::new(),
            };
            let what = format!("invalid value{shown} for '--store <STORE>': {why}\n\n");
            Error::raw(ErrorKind::InvalidValue, what).with_cmd(command)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::StoreLocation;

    #[test]
    fn an_address_is_shown_without_what_is_secret() {
        for (given, shown) in [
            ("postgres://ada:secret@db.example:5432/orders?sslmode=require", "db.example:5432/orders"),
            ("postgresql://db.example/orders?password=secret", "db.example/orders"),
            ("postgres://ada:secret@a,b:5433/orders", "a,b:5433/orders"),
            ("postgres://%2Frun%2Fpostgresql/orders", "%2Frun%2Fpostgresql/orders"),
            // Where a part of the password may be taken for something else.
            ("postgres://ada:sec@ret@db.example/orders", "…"),
            ("postgres://ada:sec?ret@db.example/orders", "…"),
            ("postgres://ada:sec@r?et@db.example/orders", "…"),
            ("postgres://db.example/orders?password=sec@ret", "…"),
            ("postgres://ada:sec/ret@db.example/orders", "db.example/orders"),
        ] {
            let location: StoreLocation = given.parse().unwrap();
            assert_eq!(location.to_string(), format!("postgres://{shown}"), "{given}");
            let debugged = format!("{location:?}");
            assert!(!debugged.contains("sec") && !debugged.contains("ada"), "{debugged}");
        }
    }
}
