//! The options for the location of the state.
//!
//! The URL of a server contains a password. It is never shown: not by `--help`, not in the error for an invalid value, not
//! by `Debug` or `Display`.

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
    error::{ContextKind, ContextValue, Error, ErrorKind},
};

/// Where the state is kept, and how many connections to a server are used.
#[derive(Clone, Debug, Args)]
pub struct StoreConfig {
    /// Where the state is kept: `sqlite:PATH`, `postgres://…`, or `memory:`, which is lost when the process exits
    #[arg(long, env = "ORDERS_STORE", value_name = "STORE", default_value = "sqlite:orders.db",
          hide_env_values = true, value_parser = LocationParser)]
    pub store: StoreLocation,

    /// File that holds the value of `--store`, to keep a password off the command line. It is read again when the server
    /// rejects the password
    #[arg(long, env = "ORDERS_STORE_FILE", value_name = "FILE", conflicts_with = "store")]
    pub store_file: Option<PathBuf>,

    /// Maximum number of connections to a PostgreSQL server. Two are for commits, one of them on standby; the others are
    /// for reads
    #[arg(long, env = "ORDERS_STORE_CONNECTIONS", value_name = "COUNT", default_value_t = DEFAULT_CONNECTIONS,
          value_parser = clap::value_parser!(u16).range(2..=200))]
    pub store_connections: u16,
}

impl StoreConfig {
    /// Where the state is kept. Calls to a server time out early enough that a request of `request_timeout` can still be
    /// answered.
    ///
    /// # Errors
    ///
    /// One line, if the file cannot be read or does not hold a valid location.
    pub fn location(&self, request_timeout: Duration) -> Result<StoreLocation, String> {
        let mut location = match &self.store_file {
            None => self.store.clone(),
            Some(file) => read_store_file(file)?,
        };
        if let StoreLocation::Postgres(server) = &mut location {
            server.connections = self.store_connections;
            server.timeout = (request_timeout / CALLS_IN_A_REQUEST).min(MAX_CALL_TIMEOUT);
            server.file.clone_from(&self.store_file);
        }
        Ok(location)
    }
}

/// The default number of connections: two for commits, and one for reads on each of six threads.
const DEFAULT_CONNECTIONS: u16 = 8;
/// Number of consecutive calls that may each time out before the request does.
const CALLS_IN_A_REQUEST: u32 = 3;
/// The longest timeout of a call, whatever `--request-timeout` is: a server that has not answered for this long is not
/// going to answer.
const MAX_CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads a location from a file.
///
/// # Errors
///
/// One line that names the file but quotes nothing from it.
pub fn read_store_file(file: &Path) -> Result<StoreLocation, String> {
    let text =
        fs::read_to_string(file).map_err(|error| format!("cannot read --store-file {file:?}: {error}"))?;
    text.parse().map_err(|why| format!("--store-file {file:?} does not hold a store: {why}"))
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
    /// The URL of the database.
    pub url: PostgresUrl,
    /// The file that the URL was read from: it may hold another password later.
    pub file: Option<PathBuf>,
    /// Maximum number of connections, at least 2.
    pub connections: u16,
    /// Maximum time for one call, with all its waits.
    pub timeout: Duration,
}

/// A `postgres://` or `postgresql://` URL. It is parsed only where it is used: an error here would quote it.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

impl PostgresUrl {
    /// The URL with its password. It must not be shown.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl FromStr for StoreLocation {
    type Err = String;

    /// White space around the location is ignored: a file, or a variable that is read from one, often ends with a new line.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.contains(char::is_control) {
            return Err("it contains a control character, such as a line break".to_owned());
        }
        match text.split_once(':') {
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("memory", _)) => Err("nothing follows `memory:`".to_owned()),
            Some(("sqlite", path)) if !path.is_empty() => sqlite_path(path).map(Self::Sqlite),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                Ok(Self::Postgres(Box::new(PostgresLocation {
                    url: PostgresUrl(text.to_owned()),
                    file: None,
                    connections: DEFAULT_CONNECTIONS,
                    timeout: MAX_CALL_TIMEOUT,
                })))
            }
            _ => {
                Err("a store is `sqlite:PATH`, `postgres://USER:PASSWORD@HOST/DATABASE` or `memory:`"
                    .to_owned())
            }
        }
    }
}

/// The path of a file, unless it is written in a way that means something else elsewhere: a file of such a name would be a
/// new, empty store.
fn sqlite_path(path: &str) -> Result<PathBuf, String> {
    let why = if path.starts_with("//") {
        match path.trim_start_matches('/') {
            "" => "add the name of a file, as in `sqlite:orders.db`".to_owned(),
            name => format!("write `sqlite:{name}`, or `sqlite:/{name}` for a path from the root"),
        }
    } else if path.starts_with(":memory:") {
        "write `memory:` for a state that is lost when the process exits".to_owned()
    } else if path.starts_with("file:") {
        "write the path alone, without `file:`".to_owned()
    } else if path.contains('?') {
        "a path with `?` is refused, because elsewhere options follow it".to_owned()
    } else if path.starts_with(char::is_whitespace) {
        "a path does not begin with white space".to_owned()
    } else if path.ends_with('/') {
        "it names a folder; add the name of a file".to_owned()
    } else {
        return Ok(path.into());
    };
    Err(why)
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

/// Only the hosts and the database; nothing at all if it is ambiguous which part is which.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, address) = self.0.split_once("://").unwrap_or_default();
        let (authority, options) = address.split_once('?').unwrap_or((address, ""));
        let place = match authority.split_once('@') {
            None if !options.contains('@') => authority,
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

/// Reports an invalid value in clap's form, without quoting a value that may contain a password.
#[derive(Clone, Copy, Debug)]
struct LocationParser;

impl TypedValueParser for LocationParser {
    type Value = StoreLocation;

    fn parse_ref(
        &self,
        command: &Command,
        option: Option<&Arg>,
        value: &OsStr,
    ) -> Result<StoreLocation, Error> {
        let parsed = value.to_str().ok_or_else(|| "it is not UTF-8".to_owned()).and_then(str::parse);
        parsed.map_err(|why| {
            let shown = match value.to_str() {
                Some(text) if !text.contains('@') && !text.contains("password") => {
                    format!(" '{}'", text.trim().escape_debug())
                }
                _ => String::new(),
            };
            let what = format!("invalid value{shown} for '--store <STORE>': {why}\n\n");
            let mut error = Error::raw(ErrorKind::InvalidValue, what).with_cmd(command);
            // What says which variable the value comes from.
            let option = option.map(ToString::to_string).unwrap_or_default();
            error.insert(ContextKind::InvalidArg, ContextValue::String(option));
            error.insert(ContextKind::InvalidValue, ContextValue::None);
            error
        })
    }
}

#[cfg(test)]
mod tests {
    use super::StoreLocation;

    #[test]
    fn white_space_around_a_location_is_ignored() {
        let parse = |text: &str| text.parse::<StoreLocation>().unwrap();
        assert_eq!(parse("sqlite:/data/o.db\n"), StoreLocation::Sqlite("/data/o.db".into()));
        assert_eq!(parse("\tmemory: \r\n"), StoreLocation::Memory);
        let StoreLocation::Postgres(server) = parse("postgres://db.example/orders\r\n") else { panic!() };
        assert_eq!(server.url.secret(), "postgres://db.example/orders");
        // A name may contain what is refused elsewhere.
        for path in ["o b.db", "./:memory:", "a:b", "/x/file:y", "a//b"] {
            assert_eq!(parse(&format!("sqlite:{path}")), StoreLocation::Sqlite(path.into()));
        }
    }

    #[test]
    fn a_location_that_means_something_elsewhere_is_refused_by_name() {
        for (given, says) in [
            ("sqlite://x.db", "`sqlite:x.db`, or `sqlite:/x.db`"),
            ("sqlite:///data/x.db", "`sqlite:/data/x.db`"),
            ("sqlite::memory:", "`memory:`"),
            ("sqlite::memory:?cache=shared", "`memory:`"),
            ("sqlite:file:x.db?mode=rwc", "`file:`"),
            ("sqlite:x.db?mode=ro", "`?`"),
            ("sqlite: x.db", "white space"),
            ("sqlite:/data/", "a folder"),
            ("sqlite:a\nb.db", "a control character"),
            ("postgres://db.example/a\nb", "a control character"),
            ("memory:x", "nothing follows"),
            ("memory://", "nothing follows"),
            ("", "`sqlite:PATH`"),
            ("orders.db", "`sqlite:PATH`"),
            (":memory:", "`memory:`"),
        ] {
            let why = given.parse::<StoreLocation>().unwrap_err();
            assert!(why.contains(says) && !why.contains(char::is_control), "{given:?}: {why}");
        }
    }

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        for (given, shown) in [
            ("postgres://ada:secret@db.example:5432/orders?sslmode=require", "db.example:5432/orders"),
            ("postgresql://db.example/orders?password=secret", "db.example/orders"),
            ("postgres://ada:secret@a,b:5433/orders", "a,b:5433/orders"),
            ("postgres://%2Frun%2Fpostgresql/orders", "%2Frun%2Fpostgresql/orders"),
            // Ambiguous: a part of the password could be taken for something else.
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
