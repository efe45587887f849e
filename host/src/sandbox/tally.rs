//! What a module has done: how many requests it was given, how many of them failed and how, and how long its answers
//! took. Two modules are compared by it ([`verdict`](crate::rollout::verdict)).
//!
//! Every request is counted, so counting is cheap: each thread has numbers of its own, which are added up when someone
//! looks.

use std::{
    array,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use crate::sandbox::failure::Failure;

/// Threads that count apart from each other; more of them share.
const SHARDS: usize = 16;
/// Times are told apart by their highest bit and this many below it: to 6 %, which is plenty for a comparison.
const PRECISION: u32 = 4;
const STEPS: usize = 1 << PRECISION;
/// The highest bit of a time in µs that is told apart: all beyond 4 minutes is the same.
const HIGHEST: u32 = 27;
const BUCKETS: usize = STEPS * (HIGHEST - PRECISION + 2) as usize;

/// How a request failed, as operators count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It was answered with 500 or above by the module itself.
    ServerError,
    /// The module trapped, or needed more memory than it may have.
    Trap,
    /// The module did not end in time.
    Timeout,
    /// What the module gave was no answer, or none that can be sent.
    BadAnswer,
}

const FAULTS: usize = 4;

impl From<&Failure> for Fault {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Trapped(_) | Failure::OutOfMemory => Self::Trap,
            Failure::OutOfTime => Self::Timeout,
            Failure::NoAnswer | Failure::Unfinished | Failure::BadAnswer(_) | Failure::GaveUp(_) => {
                Self::BadAnswer
            }
        }
    }
}

/// What a module has done since it was made ready.
#[derive(Debug)]
pub struct Tally(Box<[Shard]>);

/// On cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    begun: AtomicU64,
    faults: [AtomicU64; FAULTS],
    times: [AtomicU64; BUCKETS],
}

thread_local! {
    /// Where this thread counts.
    static SHARD: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS
    };
}

impl Default for Tally {
    fn default() -> Self {
        let zero = |_| AtomicU64::new(0);
        let shard = |_| Shard {
            begun: AtomicU64::default(),
            faults: array::from_fn(zero),
            times: array::from_fn(zero),
        };
        Self((0..SHARDS).map(shard).collect())
    }
}

impl Tally {
    /// A request begins. It counts when this is dropped, with the time until then: be it answered, failed, or left by
    /// its client.
    pub fn begin(&self) -> Counted<'_> {
        self.count(|shard| Some(&shard.begun));
        Counted { tally: self, began: Instant::now() }
    }

    /// A request that is or will be counted has failed.
    pub fn failed(&self, fault: Fault) {
        self.count(|shard| shard.faults.get(fault as usize));
    }

    /// All of it so far.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for shard in &self.0 {
            for (sum, count) in counts.faults.iter_mut().zip(&shard.faults) {
                *sum = sum.saturating_add(count.load(Ordering::Relaxed));
            }
            for (sum, count) in counts.times.iter_mut().zip(&shard.times) {
                *sum = sum.saturating_add(count.load(Ordering::Relaxed));
            }
        }
        // Only now, so that no request has ended that has not begun.
        for shard in &self.0 {
            counts.begun = counts.begun.saturating_add(shard.begun.load(Ordering::Relaxed));
        }
        counts
    }

    fn count(&self, which: impl Fn(&Shard) -> Option<&AtomicU64>) {
        if let Some(count) = self.0.get(SHARD.with(|shard| *shard)).and_then(which) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A request on its way.
#[derive(Debug)]
pub struct Counted<'a> {
    tally: &'a Tally,
    began: Instant,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let bucket = bucket(self.began.elapsed());
        self.tally.count(|shard| shard.times.get(bucket));
    }
}

/// What was counted up to a moment, or between two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    begun: u64,
    faults: [u64; FAULTS],
    times: Box<[u64]>,
}

impl Default for Counts {
    fn default() -> Self {
        Self { begun: 0, faults: [0; FAULTS], times: vec![0; BUCKETS].into() }
    }
}

impl Counts {
    /// What has been counted since `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        since.begun = since.begun.saturating_sub(earlier.begun);
        let all = since.faults.iter_mut().chain(&mut since.times);
        for (count, before) in all.zip(earlier.faults.iter().chain(&earlier.times)) {
            *count = count.saturating_sub(*before);
        }
        since
    }

    /// How many requests have begun and not ended.
    pub fn under_way(&self) -> u64 {
        self.begun.saturating_sub(self.requests())
    }

    /// How many requests there were.
    pub fn requests(&self) -> u64 {
        self.times.iter().sum()
    }

    /// How many of them failed in this way.
    pub fn faults(&self, fault: Fault) -> u64 {
        self.faults.get(fault as usize).copied().unwrap_or_default()
    }

    /// How many of them failed. A request whose failure is known already may still be on its way.
    pub fn failures(&self) -> u64 {
        self.faults.iter().sum::<u64>().min(self.requests())
    }

    /// The time within which this part of the requests was answered, of 1000; at most 6 % above the true one. None if
    /// there were no requests.
    pub fn within(&self, part: u64) -> Option<Duration> {
        let requests = self.requests();
        if requests == 0 {
            return None;
        }
        let wanted = requests.saturating_mul(part).div_ceil(1000);
        let mut so_far = 0;
        let bucket = self.times.iter().position(|count| {
            so_far += count;
            so_far >= wanted
        });
        bucket.map(longest)
    }

    /// How many requests took certainly longer than this.
    pub fn longer_than(&self, time: Duration) -> u64 {
        self.times.iter().skip(bucket(time).saturating_add(1)).sum()
    }
}

#[cfg(test)]
impl Counts {
    /// Requests that took as long as this.
    pub(crate) fn add_for_test(&mut self, requests: u64, time: Duration) {
        self.times[bucket(time)] += requests;
    }
}

/// Where a time is counted.
fn bucket(time: Duration) -> usize {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).min((2 << HIGHEST) - 1);
    let shift = micros.checked_ilog2().unwrap_or_default().saturating_sub(PRECISION);
    // Below the first power of two that has bits to spare, each µs has a bucket of its own.
    let within = usize::try_from(micros >> shift).unwrap_or_default();
    usize::try_from(shift).unwrap_or_default() * STEPS + within
}

/// The longest time that is counted here.
fn longest(bucket: usize) -> Duration {
    let shift = (bucket / STEPS).saturating_sub(1);
    let within = u64::try_from(bucket - shift * STEPS).unwrap_or_default();
    Duration::from_micros(((within + 1) << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_a_bucket_near_it() {
        for micros in (0..5_000_u64).chain((0..=28).flat_map(|bit| [(1 << bit) - 1, 1 << bit])) {
            let time = Duration::from_micros(micros);
            let bucket = bucket(time);
            assert!(bucket < BUCKETS, "{micros}");
            let longest = longest(bucket).as_micros();
            if micros < 2 << HIGHEST {
                assert!(longest >= u128::from(micros), "{micros}: {longest}");
                assert!(longest <= u128::from(micros + micros / 16), "{micros}: {longest}");
            }
            assert!(super::bucket(Duration::from_micros(micros + 1)) >= bucket);
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn what_was_counted_is_told() {
        let tally = Tally::default();
        let none = tally.counts();
        assert_eq!((none.requests(), none.failures(), none.within(990)), (0, 0, None));
        let counted = [tally.begin(), tally.begin(), tally.begin()];
        assert_eq!((tally.counts().under_way(), tally.counts().requests()), (3, 0));
        drop(counted);
        tally.failed(Fault::Trap);
        let earlier = tally.counts();
        assert_eq!((earlier.requests(), earlier.failures(), earlier.faults(Fault::Trap)), (3, 1, 1));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| drop(tally.begin())));
            }
        });
        tally.failed(Fault::Timeout);
        let since = tally.counts().since(&earlier);
        assert_eq!((since.requests(), since.faults(Fault::Trap), since.faults(Fault::Timeout)), (4000, 0, 1));
    }

    #[test]
    fn quantiles_are_near_the_truth() {
        let mut counts = Counts::default();
        for micros in 1..=1000 {
            counts.add_for_test(1, Duration::from_micros(micros));
        }
        for (part, truth) in [(500, 500), (990, 990), (1000, 1000), (1, 1)] {
            let within = counts.within(part).unwrap().as_micros();
            assert!((truth..=truth + truth / 16).contains(&within), "{part}: {within}");
        }
        let longer = counts.longer_than(Duration::from_micros(500));
        assert!((468..=500).contains(&longer), "{longer}");
    }
}
