//! Time and randomness. Both are traits so that tests can control them exactly.

/// The clocks of the host.
pub trait Clock {
    /// The time of day.
    fn now(&self) -> WallTime;

    /// Nanoseconds since some moment. Never decreases, and does not follow corrections of the time of day.
    fn monotonic_ns(&self) -> u64;

    /// Waits for this many nanoseconds.
    fn wait(&self, ns: u64);
}

/// A time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallTime {
    /// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
    pub unix_ms: u64,
    /// Nanoseconds since that millisecond, less than 1 000 000.
    pub sub_ms_ns: u32,
}

impl WallTime {
    /// The time this long after 1970-01-01T00:00:00Z. `nanoseconds` are less than a second.
    #[must_use]
    pub fn new(seconds: u64, nanoseconds: u32) -> Self {
        let unix_ms = seconds.saturating_mul(1000).saturating_add(u64::from(nanoseconds / 1_000_000));
        Self { unix_ms, sub_ms_ns: nanoseconds % 1_000_000 }
    }
}

/// A cryptographically secure source of random bytes.
pub trait Random {
    /// 16 new random bytes, enough for one UUID.
    fn bytes16(&self) -> [u8; 16];
}
