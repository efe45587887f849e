//! Counts of a module's requests: how many there were, how many of them failed and how, and their latencies. Rollouts
//! compare two modules by these counts ([`verdict`](crate::rollout::verdict)).
//!
//! Counting must be cheap because every request is counted: each thread has its own counters, which are added up when
//! they are read.

use std::{
    array,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use crate::sandbox::failure::Failure;

/// The number of counter sets. If there are more threads, some share one.
const SHARDS: usize = 16;
/// Buckets distinguish latencies by their highest bit and this many bits below it: to 6 %, which is precise enough
/// for a comparison.
const PRECISION: u32 = 4;
const STEPS: usize = 1 << PRECISION;
/// The highest bit of a latency in µs that is distinguished: all latencies above 4 minutes share a bucket.
const HIGHEST: u32 = 27;
const BUCKETS: usize = STEPS * (HIGHEST - PRECISION + 2) as usize;

/// The kind of a failed request, as shown to operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The module responded with status 500 or above.
    ServerError,
    /// The module trapped or exceeded its memory limit.
    Trap,
    /// The module did not finish before the deadline.
    Timeout,
    /// The module returned no response, or one that cannot be sent.
    InvalidResponse,
}

const FAULTS: usize = 4;

impl From<&Failure> for Fault {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Trapped(_) | Failure::OutOfMemory => Self::Trap,
            Failure::TimedOut => Self::Timeout,
            Failure::NoResponse
            | Failure::IncompleteResponse
            | Failure::InvalidResponse(_)
            | Failure::ReturnedError(_) => Self::InvalidResponse,
        }
    }
}

/// The counts of a module since it was loaded.
#[derive(Debug)]
pub struct Tally(Box<[Shard]>);

/// One thread's counters, aligned so that they share no cache line with others.
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    started: AtomicU64,
    faults: [AtomicU64; FAULTS],
    latencies: [AtomicU64; BUCKETS],
}

thread_local! {
    /// The shard of this thread.
    static SHARD: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS
    };
}

impl Default for Tally {
    fn default() -> Self {
        let zero = |_| AtomicU64::new(0);
        let shard = |_| Shard {
            started: AtomicU64::default(),
            faults: array::from_fn(zero),
            latencies: array::from_fn(zero),
        };
        Self((0..SHARDS).map(shard).collect())
    }
}

impl Tally {
    /// Starts a request. Dropping the guard counts it with the elapsed time, whether the request succeeded, failed or
    /// was abandoned by its client.
    pub fn begin(&self) -> Counted<'_> {
        self.count(|shard| Some(&shard.started));
        Counted { tally: self, started: Instant::now() }
    }

    /// Records the failure of a request that is or will be counted.
    pub fn record_failure(&self, fault: Fault) {
        self.count(|shard| shard.faults.get(fault as usize));
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for shard in &self.0 {
            for (sum, count) in counts.faults.iter_mut().zip(&shard.faults) {
                *sum = sum.saturating_add(count.load(Ordering::Relaxed));
            }
            for (sum, count) in counts.latencies.iter_mut().zip(&shard.latencies) {
                *sum = sum.saturating_add(count.load(Ordering::Relaxed));
            }
        }
        // Read last, so that the counts never show more ended than started requests.
        for shard in &self.0 {
            counts.started = counts.started.saturating_add(shard.started.load(Ordering::Relaxed));
        }
        counts
    }

    fn count(&self, which: impl Fn(&Shard) -> Option<&AtomicU64>) {
        if let Some(count) = self.0.get(SHARD.with(|shard| *shard)).and_then(which) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A request in flight.
#[derive(Debug)]
pub struct Counted<'a> {
    tally: &'a Tally,
    started: Instant,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let bucket = bucket(self.started.elapsed());
        self.tally.count(|shard| shard.latencies.get(bucket));
    }
}

/// The counts up to a point in time, or between two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    started: u64,
    faults: [u64; FAULTS],
    latencies: Box<[u64]>,
}

impl Default for Counts {
    fn default() -> Self {
        Self { started: 0, faults: [0; FAULTS], latencies: vec![0; BUCKETS].into() }
    }
}

impl Counts {
    /// The difference to an earlier reading.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        since.started = since.started.saturating_sub(earlier.started);
        let all = since.faults.iter_mut().chain(&mut since.latencies);
        for (count, before) in all.zip(earlier.faults.iter().chain(&earlier.latencies)) {
            *count = count.saturating_sub(*before);
        }
        since
    }

    /// The number of requests that have started and not ended.
    pub fn in_flight(&self) -> u64 {
        self.started.saturating_sub(self.requests())
    }

    /// The number of requests that have ended.
    pub fn requests(&self) -> u64 {
        self.latencies.iter().sum()
    }

    /// The number of requests that failed in this way.
    pub fn faults(&self, fault: Fault) -> u64 {
        self.faults.get(fault as usize).copied().unwrap_or_default()
    }

    /// The number of failed requests that have ended. A request may be known to have failed while it is still in
    /// flight.
    pub fn failures(&self) -> u64 {
        self.faults.iter().sum::<u64>().min(self.requests())
    }

    /// The latency that `per_mille` of 1000 requests did not exceed; at most 6 % above the exact value. `None`
    /// without requests.
    pub fn quantile(&self, per_mille: u64) -> Option<Duration> {
        let requests = self.requests();
        if requests == 0 {
            return None;
        }
        let wanted = requests.saturating_mul(per_mille).div_ceil(1000);
        let mut counted = 0;
        let bucket = self.latencies.iter().position(|count| {
            counted += count;
            counted >= wanted
        });
        bucket.map(upper_bound)
    }

    /// The number of requests that certainly took longer than `time`.
    pub fn longer_than(&self, time: Duration) -> u64 {
        self.latencies.iter().skip(bucket(time).saturating_add(1)).sum()
    }
}

#[cfg(test)]
impl Counts {
    /// Adds requests with this latency.
    pub(crate) fn add_for_test(&mut self, requests: u64, time: Duration) {
        self.latencies[bucket(time)] += requests;
    }
}

/// The bucket of a latency.
fn bucket(time: Duration) -> usize {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).min((2 << HIGHEST) - 1);
    let shift = micros.checked_ilog2().unwrap_or_default().saturating_sub(PRECISION);
    // Below the first power of two with bits to spare, each µs has its own bucket.
    let within = usize::try_from(micros >> shift).unwrap_or_default();
    usize::try_from(shift).unwrap_or_default() * STEPS + within
}

/// The longest latency that a bucket counts.
fn upper_bound(bucket: usize) -> Duration {
    let shift = (bucket / STEPS).saturating_sub(1);
    let within = u64::try_from(bucket - shift * STEPS).unwrap_or_default();
    Duration::from_micros(((within + 1) << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_of_a_latency_is_within_6_percent_of_it() {
        for micros in (0..5_000_u64).chain((0..=28).flat_map(|bit| [(1 << bit) - 1, 1 << bit])) {
            let time = Duration::from_micros(micros);
            let bucket = bucket(time);
            assert!(bucket < BUCKETS, "{micros}");
            let upper_bound = upper_bound(bucket).as_micros();
            if micros < 2 << HIGHEST {
                assert!(upper_bound >= u128::from(micros), "{micros}: {upper_bound}");
                assert!(upper_bound <= u128::from(micros + micros / 16), "{micros}: {upper_bound}");
            }
            assert!(super::bucket(Duration::from_micros(micros + 1)) >= bucket);
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn counts_include_every_thread_and_subtract_an_earlier_reading() {
        let tally = Tally::default();
        let none = tally.counts();
        assert_eq!((none.requests(), none.failures(), none.quantile(990)), (0, 0, None));
        let counted = [tally.begin(), tally.begin(), tally.begin()];
        assert_eq!((tally.counts().in_flight(), tally.counts().requests()), (3, 0));
        drop(counted);
        tally.record_failure(Fault::Trap);
        let earlier = tally.counts();
        assert_eq!((earlier.requests(), earlier.failures(), earlier.faults(Fault::Trap)), (3, 1, 1));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| drop(tally.begin())));
            }
        });
        tally.record_failure(Fault::Timeout);
        let since = tally.counts().since(&earlier);
        assert_eq!((since.requests(), since.faults(Fault::Trap), since.faults(Fault::Timeout)), (4000, 0, 1));
    }

    #[test]
    fn quantiles_are_within_6_percent_of_the_exact_value() {
        let mut counts = Counts::default();
        for micros in 1..=1000 {
            counts.add_for_test(1, Duration::from_micros(micros));
        }
        for (per_mille, exact) in [(500, 500), (990, 990), (1000, 1000), (1, 1)] {
            let quantile = counts.quantile(per_mille).unwrap().as_micros();
            assert!((exact..=exact + exact / 16).contains(&quantile), "{per_mille}: {quantile}");
        }
        let longer = counts.longer_than(Duration::from_micros(500));
        assert!((468..=500).contains(&longer), "{longer}");
    }
}
