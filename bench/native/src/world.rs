//! The clock and randomness.

use std::{
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use orders_guest::platform::{Clock, Random, WallTime};

/// The system clock, and random numbers.
pub(crate) struct World;

impl Clock for World {
    fn now(&self) -> WallTime {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        WallTime::new(now.as_secs(), now.subsec_nanos())
    }

    fn monotonic_ns(&self) -> u64 {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        u64::try_from(BEGAN.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn wait(&self, ns: u64) {
        std::thread::park_timeout(Duration::from_nanos(ns));
    }
}

impl Random for World {
    fn bytes16(&self) -> [u8; 16] {
        // A generator per thread, cryptographically secure and seeded by the operating system.
        rand::random()
    }
}
