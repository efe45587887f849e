//! Trying a change again that another request has overtaken.

use super::services::Services;
use crate::platform::Request;

const NS_PER_MS: u64 = 1_000_000;

/// How long a change is tried.
const PATIENCE_NS: u64 = 5_000 * NS_PER_MS;
/// The longest first wait, and the longest of all. Each may be twice as long as the one before.
const FIRST_WAIT_NS: u64 = 2 * NS_PER_MS;
const LONGEST_WAIT_NS: u64 = 100 * NS_PER_MS;

/// The waits between the attempts of a change.
pub(super) struct Retry<'services> {
    services: Services<'services>,
    /// When to give up, by the monotonic clock.
    end_ns: u64,
    longest_ns: u64,
}

impl<'services> Retry<'services> {
    /// The host says with `x-deadline-ms` how long the request may take. The other half of that is for the last attempt, whose calls
    /// the store may hold up. Another host may not say it.
    pub(super) fn new(request: &dyn Request, services: &Services<'services>) -> Self {
        let left = request.header("x-deadline-ms").into_iter().next();
        let left = left.and_then(|left| std::str::from_utf8(left).ok()?.parse::<u64>().ok());
        let half_ns = left.map(|left| left.saturating_mul(NS_PER_MS) / 2);
        let patience_ns = half_ns.map_or(PATIENCE_NS, |half| half.min(PATIENCE_NS));
        Self {
            services: *services,
            end_ns: services.clock.monotonic_ns().saturating_add(patience_ns),
            longest_ns: FIRST_WAIT_NS,
        }
    }

    /// Waits before the next attempt, for a random time, so that those that have conflicted do not meet again. Returns false if there
    /// is no time left.
    pub(super) fn wait(&mut self) -> bool {
        let [a, b, c, d, ..] = self.services.random.bytes16();
        let wait_ns = u64::from(u32::from_be_bytes([a, b, c, d])) % self.longest_ns;
        self.longest_ns = (self.longest_ns * 2).min(LONGEST_WAIT_NS);
        let has_time = self.services.clock.monotonic_ns().saturating_add(wait_ns) < self.end_ns;
        if has_time {
            self.services.clock.wait(wait_ns);
        }
        has_time
    }
}
