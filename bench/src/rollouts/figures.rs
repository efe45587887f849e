//! What a rollout of the power test did to the requests, as clients saw it.

use std::time::{Duration, Instant};

use orders_bench::load::Latencies;

use super::service::Rollout;
use crate::traffic::Sample;

/// The version of the module that serves before the rollout.
pub(super) const CONTROL: char = '1';
/// The aftermath of a rollout is over once no request was hurt for this time.
const CALM: Duration = Duration::from_secs(1);
/// The time from the beginning of the trial over which p99 is computed, at least: for a rollout of half a second it would
/// be the p99 of half a second.
const DURING: Duration = Duration::from_secs(10);
/// A response is slow if it takes longer than this multiple of the p99 before the rollout and this time.
const SLOW_FACTOR: f64 = 1.5;
pub(super) const SLOW_MARGIN: Duration = Duration::from_millis(2);

/// What a rollout did to the requests.
pub(super) struct Figures {
    /// Requests that failed, from the beginning of the trial until no more are hurt.
    pub(super) failed: usize,
    /// Requests that were slow, less those that would have been slow without the rollout.
    pub(super) slow: usize,
    /// Requests until the module was gone, or had settled.
    pub(super) requests: usize,
    /// The time until the module was gone.
    pub(super) gone: Option<Duration>,
    pub(super) promoted: bool,
    /// Responses of the module that served before, before and during the rollout.
    pub(super) before: Vec<Sample>,
    pub(super) during: Vec<Sample>,
}

impl Figures {
    pub(super) fn of(samples: &[Sample], observed: Instant, pushed: Instant, rollout: &Rollout) -> Self {
        let Rollout { began, ended, promoted, ref end, .. } = *rollout;
        let of_control = |from: Instant, to: Instant| -> Vec<_> {
            let due = samples.iter().filter(|sample| from <= sample.due && sample.due < to);
            let is_own = |sample: &&Sample| sample.version.map(char::from) == Some(CONTROL);
            due.filter(|sample| sample.status == Some(200)).filter(is_own).copied().collect()
        };
        let before = of_control(observed, pushed);
        let limit = p99(&before).mul_f64(SLOW_FACTOR) + SLOW_MARGIN;
        let failed = |sample: &Sample| sample.status != Some(200);
        let slow = |sample: &Sample| !failed(sample) && sample.latency > limit;
        let calm = aftermath(samples, ended, |sample| failed(sample) || slow(sample));
        let affected = || samples.iter().filter(|sample| began <= sample.due && sample.due <= calm);
        let slow_before = before.iter().filter(|sample| slow(sample)).count();
        let expected = slow_before * affected().count() / before.len().max(1);
        Self {
            failed: affected().filter(|sample| failed(sample)).count(),
            slow: affected().filter(|sample| slow(sample)).count().saturating_sub(expected),
            requests: affected().filter(|sample| sample.due < ended).count(),
            gone: end.reason().map(|_| ended - began),
            promoted,
            during: of_control(began, ended.max(began + DURING)),
            before,
        }
    }

    /// One line for people.
    pub(super) fn line(&self) -> String {
        let Self { failed, slow, requests, gone, promoted, .. } = self;
        format!("{failed} failed, {slow} slow, of {requests}; gone after {gone:?}, promoted: {promoted}")
    }
}

/// The 99th percentile of the latencies.
pub(super) fn p99(samples: &[Sample]) -> Duration {
    let latencies: Vec<_> = samples.iter().map(|sample| sample.latency).collect();
    Latencies::from(latencies).percentile(990)
}

/// When requests are no longer hurt after the end of a rollout.
fn aftermath(samples: &[Sample], ended: Instant, hurt: impl Fn(&Sample) -> bool) -> Instant {
    let mut last = ended;
    for sample in samples.iter().filter(|sample| sample.due >= ended) {
        if sample.due > last + CALM {
            break;
        }
        if hurt(sample) {
            last = sample.due;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollouts::service::End;

    #[test]
    fn a_request_is_hurt_if_it_fails_or_is_slower_than_before() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let sample = |due, latency, status, version| Sample {
            due: at(due),
            latency: Duration::from_millis(latency),
            status,
            version,
        };
        let mut samples: Vec<_> = (0..100).map(|due| sample(due, 10, Some(200), Some(b'1'))).collect();
        samples.extend([
            sample(150, 99, Some(500), None),
            sample(201, 17, Some(200), Some(b'2')),
            sample(202, 18, Some(200), Some(b'2')),
            sample(203, 10, Some(404), Some(b'2')),
            sample(204, 0, None, None),
            sample(205, 20, Some(200), Some(b'1')),
            sample(500, 30, Some(200), Some(b'1')),
            sample(1400, 30, Some(200), Some(b'1')),
            sample(2401, 30, Some(200), Some(b'1')),
        ]);
        let end = End::RolledBack("slow".to_owned());
        let rollout = Rollout { began: at(200), ended: at(400), promoted: false, unproven: false, end };
        let figures = Figures::of(&samples, at(0), at(100), &rollout);
        // The limit is 10 ms × 1.5 + 2 ms.
        assert_eq!((figures.failed, figures.slow, figures.requests), (2, 4, 5));
        assert_eq!(figures.gone, Some(Duration::from_millis(200)));
        assert_eq!((figures.before.len(), figures.during.len()), (100, 4));
    }
}
