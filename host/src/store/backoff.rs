//! Growing, randomised delays between attempts.

use std::time::Duration;

use tokio::time::Instant;

/// Maximum delay before the next attempt after the first failure.
const FIRST_DELAY: Duration = Duration::from_millis(50);
/// Maximum delay before the next attempt after many failures. A recovered server is reconnected within this time.
const LONGEST_DELAY: Duration = Duration::from_secs(1);

/// When the next attempt may be made.
#[derive(Debug)]
pub struct Backoff {
    delay: Duration,
    /// The earliest moment of the next attempt.
    pub not_before: Instant,
    /// Consecutive failed attempts.
    pub(super) failures: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { delay: FIRST_DELAY, not_before: Instant::now(), failures: 0 }
    }
}

impl Backoff {
    /// Delays the next attempt by at least half of the delay; the other half is random.
    pub fn delay_next(&mut self) {
        // Without randomness, the delay is the full one.
        let random = getrandom::u32().unwrap_or(u32::MAX) >> 16;
        let half = self.delay / 2;
        self.not_before = Instant::now() + half + half * random / (u32::MAX >> 16);
        self.delay = (self.delay * 2).min(LONGEST_DELAY);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, Instant};

    use super::{Backoff, FIRST_DELAY, LONGEST_DELAY};

    #[test]
    fn delays_grow_and_are_randomised() {
        let mut waits = Vec::new();
        let mut backoff = Backoff::default();
        for round in 0..40_u32 {
            let before = Instant::now();
            backoff.delay_next();
            let wait = backoff.not_before - before;
            let full = FIRST_DELAY.saturating_mul(1 << round.min(8)).min(LONGEST_DELAY);
            assert!(
                full / 2 <= wait && wait <= full + Duration::from_secs(1),
                "{round}: {wait:?} of {full:?}"
            );
            waits.push(wait);
        }
        let late = &waits[10..];
        assert!(late.iter().any(|wait| wait.abs_diff(late[0]) > LONGEST_DELAY / 20), "{late:?}");
    }
}
