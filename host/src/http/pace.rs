//! How fast a client sends the body of a request.

use tokio::time::{Duration, Instant};

use crate::http::reading::time_at_rate;

/// The slowest rate at which a body may arrive, in bytes per second.
pub const MIN_BODY_RATE: u64 = 32 * 1024;
/// How long a body may take in any case, and how long it may pause.
pub const MAX_BODY_PAUSE: Duration = Duration::from_secs(2);

/// The progress of a body that arrives. Its client earns time with every byte, but never more than [`MAX_BODY_PAUSE`] ahead: an
/// average over the whole body would let a client that has sent most of it keep that memory until the deadline of the request.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    deadline: Instant,
}

impl Pace {
    /// The host starts to read.
    pub fn begin(now: Instant) -> Self {
        Self { deadline: now + MAX_BODY_PAUSE }
    }

    /// Some bytes have arrived. A host that looks for them late does not hold that against the client.
    pub fn add(&mut self, bytes: usize, now: Instant) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let earned = self.deadline.max(now) + time_at_rate(bytes, MIN_BODY_RATE);
        self.deadline = earned.min(now + MAX_BODY_PAUSE);
    }

    /// When the body is too slow, unless more bytes arrive before.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long a client lasts that sends so many bytes after each of the given times, and then nothing.
    fn lasts(parts: impl IntoIterator<Item = (Duration, usize)>) -> Duration {
        let began = Instant::now();
        let (mut pace, mut now) = (Pace::begin(began), began);
        for (time, bytes) in parts {
            if now + time >= pace.deadline() {
                break;
            }
            now += time;
            pace.add(bytes, now);
        }
        pace.deadline() - began
    }

    const TENTH: Duration = Duration::from_millis(100);

    #[test]
    fn a_client_that_sends_nothing_lasts_for_the_longest_pause() {
        assert_eq!(lasts([]), MAX_BODY_PAUSE);
    }

    #[test]
    fn a_client_lasts_while_its_rate_suffices() {
        assert_eq!(lasts([(TENTH, 4096); 600]), 600 * TENTH + MAX_BODY_PAUSE);
        let slow = lasts([(TENTH, 2048); 600]);
        assert!((5..6).contains(&slow.as_secs()), "{slow:?}");
        // Byte by byte, at 40 KB/s.
        let each = Duration::from_micros(25);
        assert_eq!(lasts(std::iter::repeat_n((each, 1), 100_000)), 100_000 * each + MAX_BODY_PAUSE);
    }

    #[test]
    fn a_fast_start_does_not_allow_a_longer_pause() {
        assert_eq!(lasts([(TENTH, 1 << 20)]), TENTH + MAX_BODY_PAUSE);
    }

    #[test]
    fn a_host_that_looks_late_does_not_blame_the_client() {
        let began = Instant::now();
        let mut pace = Pace::begin(began);
        let late = began + 5 * MAX_BODY_PAUSE;
        pace.add(64 * 1024, late);
        assert_eq!(pace.deadline(), late + MAX_BODY_PAUSE);
    }
}
