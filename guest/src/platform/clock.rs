//! Time and randomness. Both are traits so that tests can control them exactly.

/// The wall clock.
pub trait Clock {
    /// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
    fn now_ms(&self) -> u64;
}

/// A cryptographically secure source of random bytes.
pub trait Random {
    /// 16 new random bytes, enough for one UUID.
    fn bytes16(&self) -> [u8; 16];
}
