//! The verdict: whether a candidate is worse than its control, judged by failed requests and response times.
//!
//! Both are counts, and counts of a few requests prove little. So while a trial lasts, a candidate is rejected only if its
//! counts would be next to impossible for a module as good as the control. At the end of a trial, doubt counts against the
//! candidate.

use std::{fmt::Write, time::Duration};

use crate::sandbox::tally::{Counts, Fault};

/// The probability below which counts end a trial early, if they came from a module as good as the control. It is this low
/// because the test is repeated ten times a second, with counts that depend on each other.
const EARLY_PROBABILITY: f64 = 1e-4;
/// The same probability at the end of a trial, for response times, which also vary with the load of the machine.
const FINAL_PROBABILITY: f64 = 0.01;
/// The number of failures in 1000 requests by which a candidate may exceed its control at the end of a trial.
const MAX_EXCESS_FAILURES: f64 = 10.0;
/// The number of requests that the control is assumed to have had before the first one was counted; one of them failed.
const PRIOR_REQUESTS: f64 = 100.0;
/// The share of requests, of 1000, that p99 covers, and the probability of a request beyond it.
const P99: u64 = 990;
const BEYOND_P99: f64 = 0.01;
/// Added to the limit that is derived from p99: a difference this small never makes a response slow.
const NEGLIGIBLE_DIFFERENCE: Duration = Duration::from_millis(1);
/// Minimum number of requests for a meaningful p99; with fewer, a single response makes up more than 1 %.
const MIN_P99_REQUESTS: u64 = 100;

/// How a candidate is compared with its control.
#[derive(Clone, Copy, Debug)]
pub struct Criteria {
    /// A response is slow if it takes longer than this many times the control's p99.
    pub slowdown: u32,
}

/// For two modules that serve at the same time.
pub const SIDE_BY_SIDE: Criteria = Criteria { slowdown: 2 };
/// For a module and its predecessor, which served at another time and perhaps under another load.
pub const IN_SUCCESSION: Criteria = Criteria { slowdown: 4 };

impl Criteria {
    /// The verdict while a trial lasts: why `candidate` is so clearly worse than `control` that the trial can end now.
    pub fn early_verdict(self, candidate: &Counts, control: &Counts) -> Option<String> {
        let (failures, requests) = (count(candidate.failures()), count(candidate.requests()));
        // A failure counts at once, while the outcome of some requests of the control may not be known yet.
        if tail(failures, requests, expected_failure_rate(control)) < EARLY_PROBABILITY {
            return Some(failure_reason(candidate, control));
        }
        self.slow_responses(candidate, control, EARLY_PROBABILITY)
    }

    /// The verdict at the end of a trial: why `candidate` is worse than `control`, as far as the counts show.
    pub fn final_verdict(self, candidate: &Counts, control: &Counts) -> Option<String> {
        let excess = failure_rate(candidate) - failure_rate(control);
        if excess * 1000.0 > MAX_EXCESS_FAILURES {
            return Some(failure_reason(candidate, control));
        }
        self.slow_responses(candidate, control, FINAL_PROBABILITY)
    }

    /// Why the candidate's p99 is too long: too many of its responses exceed the limit that is derived from the control's
    /// p99 for it to be only 1 % of them.
    fn slow_responses(self, candidate: &Counts, control: &Counts, probability: f64) -> Option<String> {
        if control.requests() < MIN_P99_REQUESTS {
            return None;
        }
        let control_p99 = control.quantile(P99)?;
        let limit = control_p99.saturating_mul(self.slowdown).saturating_add(NEGLIGIBLE_DIFFERENCE);
        let slow = candidate.longer_than(limit);
        let requests = candidate.requests();
        (tail(count(slow), count(requests), BEYOND_P99) < probability).then(|| {
            let p99 = humantime::format_duration(rounded(candidate.quantile(P99).unwrap_or_default()));
            let (control_p99, limit) = (rounded(control_p99), rounded(limit));
            format!(
                "{slow} of its {requests} responses took longer than {} (its p99 is {p99}), against a p99 of {} for the \
                 control",
                humantime::format_duration(limit),
                humantime::format_duration(control_p99),
            )
        })
    }
}

fn failure_reason(candidate: &Counts, control: &Counts) -> String {
    let mut text = format!("{} of its {} requests failed", candidate.failures(), candidate.requests());
    let faults = [
        (Fault::ServerError, "answered with 5xx"),
        (Fault::Trap, "trapped"),
        (Fault::Timeout, "timed out"),
        (Fault::InvalidResponse, "without a valid response"),
        (Fault::Cpu, "used too much processor time"),
    ];
    let mut separator = " (";
    for (fault, name) in faults {
        let faults = candidate.faults(fault);
        if faults > 0 {
            let _ = write!(text, "{separator}{faults} {name}");
            separator = ", ";
        }
    }
    let _ = write!(text, "), against {} of {} for the control", control.failures(), control.requests());
    text
}

/// Rounds a time down to three digits.
fn rounded(time: Duration) -> Duration {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let unit = 10_u64.saturating_pow(micros.checked_ilog10().unwrap_or_default().saturating_sub(2));
    Duration::from_micros(micros / unit * unit)
}

fn count(count: u64) -> f64 {
    // Beyond four billion, the exact number does not matter.
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn failure_rate(counts: &Counts) -> f64 {
    count(counts.failures()) / count(counts.requests()).max(1.0)
}

/// The failure rate to expect of a module that is as good as the control.
fn expected_failure_rate(control: &Counts) -> f64 {
    let with_prior = (count(control.failures()) + 1.0) / (count(control.requests()) + PRIOR_REQUESTS);
    failure_rate(control).max(with_prior)
}

/// The probability of `hits` or more in `tries`, if each try hits with probability `chance`: the tail of the binomial
/// distribution.
fn tail(hits: f64, tries: f64, chance: f64) -> f64 {
    /// Smaller terms do not change the sum noticeably.
    const NEGLIGIBLE: f64 = 1e-9;
    if hits <= tries * chance || chance >= 1.0 {
        return 1.0;
    }
    // The first term by its logarithm, then each term from the one before it: from here on they decrease.
    let mut logarithm = (tries - hits) * (-chance).ln_1p() + hits * chance.ln();
    let mut number = 1.0;
    while number <= hits {
        logarithm += ((tries - hits + number) / number).ln();
        number += 1.0;
    }
    let mut term = logarithm.exp();
    let mut sum = 0.0;
    let mut hits = hits;
    while hits <= tries && term > NEGLIGIBLE {
        sum += term;
        term *= (tries - hits) / (hits + 1.0) * chance / (1.0 - chance);
        hits += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    /// The counts of requests that all ran at once, some of which failed.
    fn counts(requests: u64, failures: u64) -> Counts {
        let mut counts = Counts::default();
        counts.add_for_test(requests, Duration::ZERO);
        counts.add_faults_for_test(Fault::Trap, failures);
        counts
    }

    /// The counts of requests, some of which took this long.
    fn slow(requests: u64, slow: u64, time: Duration) -> Counts {
        let mut counts = counts(requests - slow, 0);
        counts.add_for_test(slow, time);
        counts
    }

    #[test]
    fn the_tail_is_that_of_the_binomial_distribution() {
        // The expected values were computed exactly, with fractions.
        for (hits, tries, chance, expected) in [
            (4.0, 20.0, 0.01, 4.262e-5),
            (1.0, 1.0, 0.01, 0.01),
            (3.0, 3.0, 0.01, 1e-6),
            (30.0, 1000.0, 0.01, 2.060e-7),
            (11.0, 1000.0, 0.01, 0.4170),
            (600.0, 10_000.0, 0.05, 4.509e-6),
        ] {
            let tail = tail(hits, tries, chance);
            assert!((tail / expected - 1.0).abs() < 0.01, "{hits} of {tries}: {tail}, not {expected}");
        }
        assert!((tail(0.0, 100.0, 0.1) - 1.0).abs() < f64::EPSILON);
        assert!((tail(5.0, 100.0, 0.1) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_failing_candidate_is_rejected_early() {
        let good = counts(180, 0);
        assert_eq!(SIDE_BY_SIDE.early_verdict(&counts(20, 1), &good), None);
        let why = SIDE_BY_SIDE.early_verdict(&counts(20, 4), &good).unwrap();
        assert_eq!(why, "4 of its 20 requests failed (4 trapped), against 0 of 180 for the control");
        // Nothing is known of the control, for example because it receives no requests.
        assert_eq!(SIDE_BY_SIDE.early_verdict(&counts(20, 2), &Counts::default()), None);
        assert!(SIDE_BY_SIDE.early_verdict(&counts(20, 4), &Counts::default()).is_some());
    }

    #[test]
    fn a_candidate_that_fails_as_often_as_its_control_is_not_worse() {
        let control = counts(9_000, 900);
        for failures in [80, 100, 109] {
            assert_eq!(SIDE_BY_SIDE.early_verdict(&counts(1_000, failures), &control), None);
            assert_eq!(SIDE_BY_SIDE.final_verdict(&counts(1_000, failures), &control), None);
        }
        assert!(SIDE_BY_SIDE.early_verdict(&counts(1_000, 150), &control).is_some());
        assert!(SIDE_BY_SIDE.final_verdict(&counts(1_000, 120), &control).is_some());
    }

    #[test]
    fn at_the_end_one_failure_in_few_requests_is_enough() {
        assert!(SIDE_BY_SIDE.final_verdict(&counts(20, 1), &counts(180, 0)).is_some());
        assert_eq!(SIDE_BY_SIDE.final_verdict(&counts(1_000, 1), &counts(9_000, 0)), None);
        assert_eq!(SIDE_BY_SIDE.final_verdict(&Counts::default(), &counts(9_000, 0)), None);
    }

    #[test]
    fn a_slow_candidate_is_rejected_early() {
        let quick = slow(1_000, 50, Duration::from_millis(5));
        let why = SIDE_BY_SIDE.early_verdict(&slow(10, 10, Duration::from_millis(50)), &quick).unwrap();
        assert!(why.starts_with("10 of its 10 responses took longer than "), "{why}");
        // A single slow response proves nothing, and the control has 1 % of them too.
        assert_eq!(SIDE_BY_SIDE.early_verdict(&slow(10, 1, Duration::from_millis(50)), &quick), None);
        assert_eq!(SIDE_BY_SIDE.final_verdict(&slow(1_000, 10, Duration::from_millis(50)), &quick), None);
        assert!(SIDE_BY_SIDE.final_verdict(&slow(1_000, 30, Duration::from_millis(50)), &quick).is_some());
        assert_eq!(SIDE_BY_SIDE.final_verdict(&slow(1_000, 1_000, Duration::from_millis(9)), &quick), None);
        assert_eq!(IN_SUCCESSION.final_verdict(&slow(1_000, 1_000, Duration::from_millis(18)), &quick), None);
        // A p99 within 1 ms is never too slow, even at a hundred times the control's.
        assert_eq!(
            SIDE_BY_SIDE.final_verdict(&slow(1_000, 1_000, Duration::from_micros(500)), &counts(1_000, 0)),
            None
        );
        // The p99 of a few requests is no measure.
        assert_eq!(
            SIDE_BY_SIDE.final_verdict(&slow(1_000, 1_000, Duration::from_secs(1)), &counts(99, 0)),
            None
        );
    }
}
