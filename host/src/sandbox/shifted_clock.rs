//! A wall clock that is wrong by a fixed time, for tests of several hosts whose clocks differ.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wasmtime_wasi::HostWallClock;

/// The machine's clock, shifted by this many milliseconds.
pub(super) struct ShiftedClock(pub(super) i64);

impl HostWallClock for ShiftedClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let shift = Duration::from_millis(self.0.unsigned_abs());
        if self.0 < 0 { now.saturating_sub(shift) } else { now.saturating_add(shift) }
    }
}
