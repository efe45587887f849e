//! The counts up to a point in time, or between two.

use std::time::Duration;

use http::StatusCode;

use crate::sandbox::failure::Failure;

/// Buckets distinguish latencies by their highest bit and this many bits below it: to 6 %, which is precise enough
/// for a comparison.
const PRECISION: u32 = 4;
const STEPS: usize = 1 << PRECISION;
/// The highest bit of a latency in µs that is distinguished: all latencies above 4 minutes share a bucket.
const HIGHEST: u32 = 27;
pub(super) const BUCKETS: usize = STEPS * (HIGHEST - PRECISION + 2) as usize;

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
    /// The module exceeded its limit of processor time.
    Cpu,
}

pub(super) const FAULTS: usize = 5;

impl Fault {
    /// The kind of a failure; `None` if it was not the module that failed.
    pub fn of(failure: &Failure) -> Option<Self> {
        match failure {
            Failure::Trapped(_) | Failure::OutOfMemory => Some(Self::Trap),
            Failure::TimedOut => Some(Self::Timeout),
            Failure::OutOfCpu => Some(Self::Cpu),
            Failure::NoResponse
            | Failure::IncompleteResponse
            | Failure::InvalidResponse(_)
            | Failure::ReturnedError(_) => Some(Self::InvalidResponse),
            Failure::Withdrawn
            | Failure::NoInstance
            | Failure::StoreFailed
            | Failure::BodyTooLarge(_)
            | Failure::LateRequest
            | Failure::NotRead
            | Failure::TooManyStreams
            | Failure::StreamEnded => None,
        }
    }
}

/// The class of a response that is not a server error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusClass {
    /// Below 300.
    Success,
    /// 300 to 399.
    Redirection,
    /// 400 to 499.
    ClientError,
}

pub(super) const STATUSES: usize = 3;

impl StatusClass {
    /// The class of a status; `None` from 500 on.
    pub fn of(status: StatusCode) -> Option<Self> {
        match status.as_u16() {
            0..300 => Some(Self::Success),
            300..400 => Some(Self::Redirection),
            400..500 => Some(Self::ClientError),
            500.. => None,
        }
    }
}

/// The counts up to a point in time, or between two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    pub(super) faults: [u64; FAULTS],
    pub(super) statuses: [u64; STATUSES],
    pub(super) latencies: Box<[u64]>,
    /// Requests whose client left before the head, by the time until then.
    pub(super) abandoned: Box<[u64]>,
    pub(super) under_way: UnderWay,
}

/// The requests under way when the counts were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UnderWay {
    /// Minimum age, and number of requests; the youngest first.
    pub(super) by_age: Vec<(Duration, u64)>,
    /// Requests that were waiting for the store. They have no age, because that time is not the module's.
    pub(super) waiting: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            faults: [0; FAULTS],
            statuses: [0; STATUSES],
            latencies: vec![0; BUCKETS].into(),
            abandoned: vec![0; BUCKETS].into(),
            under_way: UnderWay::default(),
        }
    }
}

impl Counts {
    /// The difference to an earlier reading. The requests under way are those of this reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        for (count, before) in since.cells_mut().zip(earlier.cells()) {
            *count = count.saturating_sub(*before);
        }
        since
    }

    /// Adds the counts of a later period. The requests under way are then those of that period.
    pub fn add(&mut self, later: &Self) {
        for (sum, count) in self.cells_mut().zip(later.cells()) {
            *sum = sum.saturating_add(*count);
        }
        self.under_way.clone_from(&later.under_way);
    }

    fn cells(&self) -> impl Iterator<Item = &u64> {
        self.faults.iter().chain(&self.statuses).chain(&self.latencies).chain(&self.abandoned)
    }

    pub(super) fn cells_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        self.faults.iter_mut().chain(&mut self.statuses).chain(&mut self.latencies).chain(&mut self.abandoned)
    }

    /// The number of requests that were judged.
    pub fn requests(&self) -> u64 {
        self.latencies.iter().sum()
    }

    /// The number of judged requests that failed. A failure after the head of a response also counts.
    pub fn failures(&self) -> u64 {
        self.faults.iter().sum::<u64>().min(self.requests())
    }

    /// The number of requests that failed in this way.
    pub fn faults(&self, fault: Fault) -> u64 {
        self.faults.get(fault as usize).copied().unwrap_or_default()
    }

    /// The number of responses of this class.
    pub fn statuses(&self, class: StatusClass) -> u64 {
        self.statuses.get(class as usize).copied().unwrap_or_default()
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

    /// The number of requests whose client left before the head, after it had certainly waited for longer than `time`. They
    /// are not judged: they only show that no response came in that time.
    pub fn abandoned_after(&self, time: Duration) -> u64 {
        self.abandoned.iter().skip(bucket(time).saturating_add(1)).sum()
    }

    /// The number of requests under way when the counts were read: begun, and without the head of a response.
    pub fn in_flight(&self) -> u64 {
        self.under_way
            .by_age
            .iter()
            .map(|(_, count)| count)
            .sum::<u64>()
            .saturating_add(self.under_way.waiting)
    }

    /// The requests under way when the counts were read, by age, the youngest first; without those that were waiting for
    /// the store. Each is at least this old, without the time that it has waited for the store, and at most 1/64 of the
    /// request timeout older.
    pub fn under_way(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.under_way.by_age.iter().copied()
    }
}

/// Counts of requests that did not happen, for tests and simulations of verdicts.
impl Counts {
    /// Adds judged requests with this latency.
    pub fn add_requests(&mut self, requests: u64, time: Duration) {
        if let Some(count) = self.latencies.get_mut(bucket(time)) {
            *count = count.saturating_add(requests);
        }
    }

    /// Adds requests whose client left after this time.
    pub fn add_abandoned(&mut self, requests: u64, time: Duration) {
        if let Some(count) = self.abandoned.get_mut(bucket(time)) {
            *count = count.saturating_add(requests);
        }
    }

    /// Marks judged requests as failed.
    pub fn add_faults(&mut self, fault: Fault, requests: u64) {
        if let Some(count) = self.faults.get_mut(fault as usize) {
            *count = count.saturating_add(requests);
        }
    }

    /// Gives judged requests a status.
    pub fn add_statuses(&mut self, class: StatusClass, requests: u64) {
        if let Some(count) = self.statuses.get_mut(class as usize) {
            *count = count.saturating_add(requests);
        }
    }

    /// Adds requests under way. Must be called with rising ages.
    pub fn add_under_way(&mut self, age: Duration, requests: u64) {
        self.under_way.by_age.push((age, requests));
    }
}

/// The bucket of a latency.
pub(super) fn bucket(time: Duration) -> usize {
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
    fn quantiles_are_within_6_percent_of_the_exact_value() {
        let mut counts = Counts::default();
        for micros in 1..=1000 {
            counts.add_requests(1, Duration::from_micros(micros));
        }
        for (per_mille, exact) in [(500, 500), (990, 990), (1000, 1000), (1, 1)] {
            let quantile = counts.quantile(per_mille).unwrap().as_micros();
            assert!((exact..=exact + exact / 16).contains(&quantile), "{per_mille}: {quantile}");
        }
        let longer = counts.longer_than(Duration::from_micros(500));
        assert!((468..=500).contains(&longer), "{longer}");
    }

    #[test]
    fn adding_what_came_since_an_earlier_reading_gives_the_later_one() {
        let mut earlier = Counts::default();
        earlier.add_requests(3, Duration::from_millis(1));
        earlier.add_statuses(StatusClass::Success, 3);
        earlier.add_under_way(Duration::from_millis(500), 2);
        let mut later = earlier.clone();
        later.add_requests(2, Duration::from_millis(9));
        later.add_statuses(StatusClass::ClientError, 1);
        later.add_faults(Fault::Cpu, 1);
        later.under_way = UnderWay { by_age: vec![(Duration::ZERO, 7)], waiting: 1 };

        let since = later.since(&earlier);
        assert_eq!((since.requests(), since.failures(), since.in_flight()), (2, 1, 8));
        assert_eq!((since.statuses(StatusClass::Success), since.statuses(StatusClass::ClientError)), (0, 1));
        earlier.add(&since);
        assert_eq!(earlier, later);
    }

    #[test]
    fn each_status_has_one_class_or_is_a_server_error() {
        let class = |status| StatusClass::of(StatusCode::from_u16(status).unwrap());
        assert_eq!([200, 299].map(class), [Some(StatusClass::Success); 2]);
        assert_eq!([300, 399].map(class), [Some(StatusClass::Redirection); 2]);
        assert_eq!([400, 499].map(class), [Some(StatusClass::ClientError); 2]);
        assert_eq!([500, 999].map(class), [None; 2]);
    }
}
