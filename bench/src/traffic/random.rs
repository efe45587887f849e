//! Pseudo-random numbers, the same in every run: SplitMix64.

use std::time::Duration;

/// A sequence of numbers, which its seed determines.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A time from `low` to below `high`, in whole milliseconds.
    pub(crate) fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let range = u64::try_from(high.saturating_sub(low).as_millis()).unwrap_or(u64::MAX).max(1);
        low + Duration::from_millis(self.next() % range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_within_its_bounds_and_varies() {
        let (low, high) = (Duration::from_millis(100), Duration::from_millis(200));
        let mut random = Random(1);
        let mut times: Vec<_> = (0..1_000).map(|_| random.between(low, high)).collect();
        assert!(times.iter().all(|time| (low..high).contains(time)));
        times.sort_unstable();
        times.dedup();
        assert!(times.len() > 90, "{}", times.len());
        assert_eq!(random.between(low, low), low);
    }
}
