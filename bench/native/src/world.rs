//! The clock and randomness.

use std::time::{SystemTime, UNIX_EPOCH};

use orders_guest::platform::{Clock, Random};

/// The system clock, and random numbers.
pub(crate) struct World;

impl Clock for World {
    fn now_ms(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Random for World {
    fn bytes16(&self) -> [u8; 16] {
        // A generator per thread, cryptographically secure and seeded by the operating system.
        rand::random()
    }
}
