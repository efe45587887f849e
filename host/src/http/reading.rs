//! How fast a client reads a response.

use tokio::time::{Duration, Instant};

/// Maximum number of bytes that the operating system holds of a response and has not sent. The rest waits in the host, where it
/// is limited.
pub const MAX_UNSENT: u32 = 64 * 1024;
/// The slowest average rate at which a client may read, in bytes per second.
pub const MIN_RATE: u64 = 16 * 1024;
/// How long the host waits for a client in any case.
pub const MIN_WAIT: Duration = Duration::from_secs(5);
/// The longest that the host waits for a client to read anything, however much it has read before.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The progress of a client that reads a response. Only the time counts in which the client holds up the host: a component may
/// pause for long.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Bytes that the operating system has accepted.
    sent: u64,
    /// How long the host has waited for the client, without the present wait.
    waited: Duration,
    waits_since: Option<Instant>,
}

impl Reading {
    /// The client holds up the host.
    pub fn wait(&mut self, now: Instant) {
        self.waits_since.get_or_insert(now);
    }

    /// The operating system has accepted some bytes.
    pub fn add_sent(&mut self, bytes: usize, now: impl FnOnce() -> Instant) {
        self.sent = self.sent.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if let Some(since) = self.waits_since.take() {
            self.waited = self.waited.saturating_add(now().saturating_duration_since(since));
        }
    }

    /// Whether anything has been sent.
    pub fn has_begun(&self) -> bool {
        self.sent > 0
    }

    /// Whether the client holds up the host now.
    pub fn is_held_up(&self) -> bool {
        self.waits_since.is_some()
    }

    /// When the client is too slow if the service stops at this time: then the host waits only for the shortest time.
    pub fn deadline_at_stop(&self, stopped: Instant) -> Option<Instant> {
        let shortest = self.waits_since?.max(stopped) + MIN_WAIT;
        self.deadline().map(|deadline| deadline.min(shortest))
    }

    /// When the client is too slow, if it holds up the host now.
    pub fn deadline(&self) -> Option<Instant> {
        let since = self.waits_since?;
        // The operating system lets the host wait until it has sent all but half of what it may hold.
        let read = self.sent.saturating_sub(u64::from(MAX_UNSENT / 2));
        let allowed = time_at_rate(read, MIN_RATE).max(MIN_WAIT);
        Some(since + allowed.saturating_sub(self.waited).min(MAX_PAUSE))
    }
}

/// How long so many bytes take at a rate in bytes per second.
pub fn time_at_rate(bytes: u64, rate: u64) -> Duration {
    Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: usize = 64 * 1024;

    /// How long a client lasts that takes a chunk after each of the given times, and then nothing.
    fn lasts(times: impl IntoIterator<Item = Duration>) -> Duration {
        let began = Instant::now();
        let (mut reading, mut now) = (Reading::default(), began);
        reading.add_sent(CHUNK, || now);
        for time in times {
            reading.wait(now);
            let deadline = reading.deadline().unwrap();
            if now + time >= deadline {
                return deadline - began;
            }
            now += time;
            reading.add_sent(CHUNK, || now);
        }
        reading.wait(now);
        reading.deadline().unwrap() - began
    }

    #[test]
    fn a_client_that_reads_nothing_lasts_for_the_shortest_wait() {
        assert_eq!(lasts([]), MIN_WAIT);
    }

    #[test]
    fn a_client_lasts_while_its_average_rate_suffices() {
        let at_rate = |kib_per_second: u64| Duration::from_millis(64 * 1000 / kib_per_second);
        // It stops after it has read all of them, and may pause then.
        assert_eq!(lasts([at_rate(30); 100]), 100 * at_rate(30) + MAX_PAUSE);
        assert!(lasts([at_rate(15); 100]) < Duration::from_secs(10));
        // It pauses after it has read much.
        let read_much = || (0..100).map(|_| at_rate(1000));
        assert!(lasts(read_much().chain([Duration::from_secs(20)])) > Duration::from_secs(20));
        // It does not come back.
        assert!(lasts(read_much().chain([Duration::from_secs(3600)])) < 2 * MAX_PAUSE);
    }

    #[test]
    fn time_in_which_the_component_pauses_does_not_count() {
        let began = Instant::now();
        let mut reading = Reading::default();
        reading.add_sent(CHUNK, || began);
        assert_eq!(reading.deadline(), None);
        let later = began + Duration::from_secs(3600);
        reading.wait(later);
        assert_eq!(reading.deadline(), Some(later + MIN_WAIT));
    }

    #[test]
    fn a_client_that_has_read_much_delays_a_shutdown_for_the_shortest_wait() {
        let began = Instant::now();
        let mut reading = Reading::default();
        reading.add_sent(100 * CHUNK, || began);
        assert_eq!(reading.deadline_at_stop(began), None);
        reading.wait(began);
        let stopped = began + Duration::from_secs(1);
        assert_eq!(reading.deadline_at_stop(stopped), Some(stopped + MIN_WAIT));
        assert_eq!(reading.deadline(), Some(began + MAX_PAUSE));
    }
}
