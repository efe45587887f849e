//! The clock and the randomness of this process.

use std::time::{SystemTime, UNIX_EPOCH};

use orders_guest::platform::{Clock, Random};

/// What the handlers see of the world.
pub(crate) struct World;

impl Clock for World {
    fn now_ms(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Random for World {
    fn bytes16(&self) -> [u8; 16] {
        // Of this thread, cryptographically secure and seeded by the operating system.
        rand::random()
    }
}
