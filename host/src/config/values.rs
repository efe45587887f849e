//! Types of option values. Each is parsed once from its text, and a value that exists is valid.

use std::{fmt, net::SocketAddr, num::NonZeroU16, str::FromStr, thread, time::Duration};

use bytesize::ByteSize;
use http::{Method, StatusCode, Uri};

/// A number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads(NonZeroU16);

/// More threads than this bring nothing.
const MAX_THREADS: u16 = 1024;

impl Threads {
    /// The number.
    pub fn count(self) -> NonZeroU16 {
        self.0
    }
}

impl FromStr for Threads {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let count = match text {
            "auto" => thread::available_parallelism().map_or(Ok(NonZeroU16::MIN), NonZeroU16::try_from).ok(),
            _ => text.parse().ok(),
        };
        let count = count.filter(|count| count.get() <= MAX_THREADS);
        count.map(Self).ok_or_else(|| format!("expected a number from 1 to {MAX_THREADS}, or `auto`"))
    }
}

/// A duration, written `500ms`, `10s` or `2m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

/// The longest period that is accepted: a longer one is more likely a typing error than intended.
const MAX_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let period = humantime::parse_duration(text)
            .map_err(|error| format!("{error}: a time is written like `500ms`, `10s` or `2m`"))?;
        if period > MAX_PERIOD {
            return Err("at most 24h is allowed".to_owned());
        }
        Ok(Self(period))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// A number of bytes, written `65536`, `64KiB` or `1MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u32);

impl Size {
    /// The number of bytes; at most 2³¹.
    pub fn bytes(self) -> usize {
        // Lossless: pointers have at least 32 bits on every platform of wasmtime.
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = text
            .parse::<ByteSize>()
            .map_err(|_| "a size is written like `65536`, `64KiB` or `1MiB`".to_owned())?
            .as_u64();
        match u32::try_from(size) {
            Ok(size) if (1..=1 << 31).contains(&size) => Ok(Self(size)),
            _ => Err("a size must be from 1 byte to 2 GiB".to_owned()),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ByteSize::b(u64::from(self.0)).display().iec().fmt(f)
    }
}

/// A request that a component must answer before it serves, written `GET /path` or `GET /path 200`. It has no body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmokeRequest {
    /// The request method: GET or HEAD, because a smoke request must not write.
    pub method: Method,
    /// The path, with an optional query.
    pub target: Uri,
    /// The status that the response must have. Without it, any status below 400 is right.
    pub status: Option<StatusCode>,
}

/// How a smoke request is written.
const SMOKE_FORM: &str =
    "a smoke request is written like `GET /path`, or `GET /path 200` with the status of the response";

impl SmokeRequest {
    /// Whether the response to the request may have this status.
    pub fn accepts(&self, status: StatusCode) -> bool {
        self.status.map_or(status.as_u16() < 400, |expected| expected == status)
    }
}

impl FromStr for SmokeRequest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_ascii_whitespace();
        let (Some(method), Some(target), status, None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(SMOKE_FORM.to_owned());
        };
        let target = request_target(target).map_err(|_| SMOKE_FORM.to_owned())?;
        let method = method.parse().map_err(|_| SMOKE_FORM.to_owned())?;
        if !matches!(method, Method::GET | Method::HEAD) {
            return Err(format!(
                "the method of a smoke request is GET or HEAD, because it must not write; {SMOKE_FORM}"
            ));
        }
        // An interim response (1xx) is not the response to a request.
        let status =
            status.map(|status| status.parse().ok().filter(|status: &StatusCode| status.as_u16() >= 200));
        match status {
            Some(None) => Err(format!("a status is a number from 200 to 999; {SMOKE_FORM}")),
            status => Ok(Self { method, target, status: status.flatten() }),
        }
    }
}

impl fmt::Display for SmokeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target)?;
        self.status.map_or(Ok(()), |status| write!(f, " {}", status.as_u16()))
    }
}

/// Parses a path with an optional query, the origin form of a request target (RFC 9112, section 3.2).
pub(super) fn request_target(text: &str) -> Result<Uri, String> {
    let target = text.starts_with('/').then(|| text.parse().ok()).flatten();
    target.ok_or_else(|| "a path begins with `/`, such as `/health`".to_owned())
}

/// How the address of a listener is written.
const LISTEN_FORM: &str =
    "an address with a port, such as `127.0.0.1:8080`, or `0.0.0.0:8080` for all addresses";

/// Parses the address of a listener: numbers, because a name may stand for several addresses.
pub(super) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
        let has_letters = host.bytes().any(|byte| byte.is_ascii_alphabetic());
        if host.is_empty() {
            format!("the address before the port is missing; expected {LISTEN_FORM}")
        } else if has_letters && !host.contains(':') {
            format!("`{host}` is a name; expected {LISTEN_FORM}")
        } else {
            format!("expected {LISTEN_FORM}")
        }
    })
}

/// Parses a period that must be longer than zero.
pub(super) fn nonzero_period(text: &str) -> Result<Period, String> {
    let period: Period = text.parse()?;
    if period.0.is_zero() { Err("the time must be longer than zero".to_owned()) } else { Ok(period) }
}

/// The values in one text of an option that may be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T>(Vec<T>);

impl<T: Clone> List<T> {
    /// The values of all texts.
    pub fn concat(lists: &[Self]) -> Vec<T> {
        lists.iter().flat_map(|list| &list.0).cloned().collect()
    }
}

/// Parses values between separators, with white space around them. An empty text holds none: a compose file makes one of
/// `${X:-}`.
pub(super) fn list<T>(
    text: &str,
    separator: char,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<List<T>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(List(Vec::new()));
    }
    text.split(separator).map(|part| parse(part.trim())).collect::<Result<_, _>>().map(List)
}

/// How similar a word must be to be suggested, from 0 to 1: as clap does for the names of options.
const SIMILAR: f64 = 0.7;

/// The known word that is most similar to this one, if any is similar enough.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let similarity = |known: &str| strsim::jaro(&word.to_lowercase(), &known.to_lowercase());
    let similar =
        known.map(|known| (similarity(known), known)).filter(|(similarity, _)| *similarity > SIMILAR);
    similar.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_may_have_spaces_and_may_be_empty() {
        let parsed =
            |text: &str| list(text, ',', |part| part.parse::<u8>().map_err(|error| error.to_string()));
        for (text, values) in [("", &[][..]), ("  ", &[]), ("1", &[1]), (" 1 ,2,\t3\n", &[1, 2, 3])] {
            assert_eq!(parsed(text), Ok(List(values.to_vec())), "{text:?}");
        }
        for text in [",", "1,", "1,,2", "1 2"] {
            assert!(parsed(text).is_err(), "{text:?}");
        }
        assert_eq!(List::concat(&[List(vec![1, 2]), List(Vec::new()), List(vec![3])]), [1, 2, 3]);
    }
}
