//! Which requests a module with a share of them receives: exactly its share of each hundred, chosen at random.
//!
//! Random, because a verdict compares what two modules did with requests that chance assigned: any fixed order could follow
//! a pattern in the requests. Exact, because the share is a promise about how many requests a candidate affects.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::Share;

/// The number of requests among which the share is exact.
const BLOCK: u64 = 100;

/// Chooses requests at random, exactly a share of each hundred.
#[derive(Debug)]
pub(super) struct Sampler {
    share: Share,
    /// Makes each sampler choose differently.
    seed: u64,
    /// The number of requests so far, and how many of the present block were chosen: `requests << 8 | chosen`.
    state: AtomicU64,
}

impl Sampler {
    /// A sampler whose choices depend on the seed.
    pub(super) fn new(share: Share, seed: u64) -> Self {
        Self { share, seed, state: AtomicU64::default() }
    }

    /// The share that it chooses.
    pub(super) fn share(&self) -> Share {
        self.share
    }

    /// Whether the next request is chosen. Selection sampling: of the requests that are left in the block, each has the
    /// same chance to be one of those that are still to be chosen.
    pub(super) fn chooses_next(&self) -> bool {
        let share = u64::from(self.share.percent());
        let decide = |state: u64| {
            let requests = state >> 8;
            let position = requests % BLOCK;
            let chosen = if position == 0 { 0 } else { state & 0xff };
            let choose = mix(self.seed ^ requests) % (BLOCK - position) < share - chosen;
            ((requests + 1) << 8 | (chosen + u64::from(choose)), choose)
        };
        let before =
            self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| Some(decide(state).0));
        decide(before.unwrap_or_else(|state| state)).1
    }
}

/// Spreads a number over all 64 bits (the finalizer of SplitMix64).
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_hundred_has_exactly_the_share(percent in 0_u8..=99, seed: u64) {
            let sampler = Sampler::new(Share::from_percent(percent), seed);
            for _ in 0..20 {
                let chosen = (0..BLOCK).filter(|_| sampler.chooses_next()).count();
                prop_assert_eq!(chosen, usize::from(percent));
            }
        }
    }

    /// Every fifth request differs from the others, as when a client repeats the same five requests. A fixed order of 5 %
    /// could choose five of them, or none, in each hundred.
    #[test]
    fn the_choice_does_not_follow_a_pattern_in_the_requests() {
        for period in [2, 5, 10, 20, 50, 100] {
            let sampler = Sampler::new(Share::from_percent(5), 7);
            let requests = 100_000;
            let matching =
                (0..requests).filter(|number| sampler.chooses_next() && number % period == 0).count();
            let expected = f64::from(requests) * 0.05 / f64::from(period);
            let deviation = (f64::from(u32::try_from(matching).unwrap()) - expected).abs() / expected.sqrt();
            assert!(deviation < 4.0, "period {period}: {matching} instead of {expected}");
        }
    }
}
