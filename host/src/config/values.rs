//! Types of option values. Each is parsed once from its text, and a value that exists is valid.

use std::{fmt, num::NonZeroU16, str::FromStr, thread, time::Duration};

use bytesize::ByteSize;
use http::{Method, Uri};

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

/// A request that a component must answer before it serves, written `GET /path`. It has no body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmokeRequest {
    /// The request method.
    pub method: Method,
    /// The path, with an optional query.
    pub target: Uri,
}

impl FromStr for SmokeRequest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once(' ').and_then(|(method, target)| {
            let target = target.trim();
            // Only the origin form of a request target is accepted (RFC 9112, section 3.2).
            let target = target.starts_with('/').then(|| target.parse().ok())??;
            Some(Self { method: method.parse().ok()?, target })
        });
        parsed.ok_or_else(|| "a request is written like `GET /path`".to_owned())
    }
}

impl fmt::Display for SmokeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target)
    }
}

/// Parses a period that must be longer than zero.
pub(super) fn nonzero_period(text: &str) -> Result<Period, String> {
    let period: Period = text.parse()?;
    if period.0.is_zero() { Err("the time must be longer than zero".to_owned()) } else { Ok(period) }
}
