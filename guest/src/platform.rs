//! The two things the rules need from the world besides a store. Traits, so that tests are exact.

/// The wall clock.
pub trait Clock {
    /// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
    fn now_ms(&self) -> u64;
}

/// A cryptographically secure source of random bytes.
pub trait Random {
    /// 16 fresh bytes: what one UUID takes.
    fn bytes16(&self) -> [u8; 16];
}
