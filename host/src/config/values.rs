//! The types of what options say: each is read from its text, and one that exists is a good one.

use std::{fmt, num::NonZeroU16, str::FromStr, thread, time::Duration};

use bytesize::ByteSize;
use http::{Method, Uri};

/// A number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads(NonZeroU16);

/// More are of no use.
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
        count.map(Self).ok_or_else(|| format!("a number from 1 to {MAX_THREADS} is expected, or `auto`"))
    }
}

/// A length of time, written `500ms`, `10s` or `2m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

/// No wait is longer than this: beyond it a typing error is more likely than a wish.
const LONGEST_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let period = humantime::parse_duration(text)
            .map_err(|error| format!("{error}: a time is written like `500ms`, `10s` or `2m`"))?;
        if period > LONGEST_PERIOD {
            return Err("at most 24h are allowed".to_owned());
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
        // Lossless: a pointer has at least 32 bits wherever wasmtime runs.
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
            _ => Err("a size is 1 byte to 2 GiB".to_owned()),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ByteSize::b(u64::from(self.0)).display().iec().fmt(f)
    }
}

/// A request that a component has to answer before it serves, written `GET /path`. It has no body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmokeRequest {
    /// What is asked.
    pub method: Method,
    /// A path, with a query if there is one.
    pub target: Uri,
}

impl FromStr for SmokeRequest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once(' ').and_then(|(method, target)| {
            let target = target.trim();
            // Anything else would be another form of target (RFC 9112, section 3.2).
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

/// A period that something must end in: it cannot be zero.
pub(super) fn timeout(text: &str) -> Result<Period, String> {
    let period: Period = text.parse()?;
    if period.0.is_zero() { Err("it must be longer than zero".to_owned()) } else { Ok(period) }
}
