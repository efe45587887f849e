//! Which requests a module with a share of them receives.
//!
//! Chance decides for each request alone. A verdict compares what two modules did with requests that chance assigned: a fixed
//! order could follow a pattern in the requests, and a client could predict which module gets its next request.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::config::Share;

/// Chooses requests at random, with the probability of a share.
#[derive(Debug)]
pub(super) struct Sampler {
    share: Share,
    /// Nobody outside knows it.
    seed: u64,
    requests: AtomicU64,
}

impl Sampler {
    /// A sampler that chooses this share.
    pub(super) fn new(share: Share) -> Self {
        Self { share, seed: RandomState::new().hash_one(share.percent()), requests: AtomicU64::default() }
    }

    /// The share that it chooses.
    pub(super) fn share(&self) -> Share {
        self.share
    }

    /// Whether the next request is chosen.
    pub(super) fn chooses_next(&self) -> bool {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        mix(self.seed ^ number) % 100 < u64::from(self.share.percent())
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
    use super::*;

    /// How far a number of hits is from what is expected, in standard deviations.
    fn deviation(hits: usize, expected: f64) -> f64 {
        (f64::from(u32::try_from(hits).unwrap()) - expected).abs() / expected.sqrt()
    }

    #[test]
    fn the_share_of_the_requests_is_chosen() {
        for percent in [1, 5, 10, 50, 99] {
            let sampler = Sampler::new(Share::from_percent(percent));
            let chosen = (0..100_000).filter(|_| sampler.chooses_next()).count();
            assert!(deviation(chosen, f64::from(percent) * 1000.0) < 6.0, "{percent} %: {chosen}");
        }
        let none = Sampler::new(Share::NONE);
        assert!((0..1000).all(|_| !none.chooses_next()));
    }

    /// Every fifth request differs from the others, as when a client repeats the same five requests.
    #[test]
    fn the_choice_does_not_follow_a_pattern_in_the_requests() {
        for period in [2, 5, 10, 20, 50, 100] {
            let sampler = Sampler::new(Share::from_percent(5));
            let requests = 100_000;
            let matching =
                (0..requests).filter(|number| sampler.chooses_next() && number % period == 0).count();
            let expected = f64::from(requests) * 0.05 / f64::from(period);
            assert!(deviation(matching, expected) < 6.0, "period {period}: {matching} instead of {expected}");
        }
    }
}
