//! Whether a module is worse than another one: by the requests it fails, and by the time its answers take.
//!
//! Both are counts, and counts of a few requests say little. So while requests still come, a module is worse only if
//! what was seen would be next to impossible were it as good as the other one. At the end of a trial the customer has the
//! benefit of the doubt instead of the module.

use std::{fmt::Write, time::Duration};

use crate::sandbox::tally::{Counts, Fault};

/// How unlikely it has to be that a module as good as the other one does this, for a trial to end at once. It is asked
/// ten times a second, of numbers that depend on each other.
const EVIDENT: f64 = 1e-4;
/// The same at the end, for the time that answers take: it varies for reasons of the machine's own.
const LIKELY: f64 = 0.01;
/// Requests that may fail beyond what fails in the other module, of 1000, at the end of a trial.
const MORE_FAILURES: f64 = 10.0;
/// Requests that are taken for granted before any has been seen, one of which failed.
const PRIOR: f64 = 100.0;
/// The part of requests, of 1000, that is answered within p99; and the rest of it.
const P99: u64 = 990;
const BEYOND_P99: f64 = 0.01;
/// No answer is called slow for less than this.
const UNNOTICED: Duration = Duration::from_millis(1);
/// The fewest requests whose p99 is taken for the true one: each of their times counts for 1 % then.
const ENOUGH: u64 = 100;

/// How a module is compared with another one.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// How many times the other one's p99 is too slow.
    pub slowdown: u32,
}

/// Of two modules that serve at the same time.
pub const SIDE_BY_SIDE: Measure = Measure { slowdown: 2 };
/// Of a module and the one before it, at another time and maybe under another load.
pub const IN_SUCCESSION: Measure = Measure { slowdown: 4 };

impl Measure {
    /// Why `module` is so clearly worse than `other` that nothing more needs to be seen.
    pub fn evidently_worse(self, module: &Counts, other: &Counts) -> Option<String> {
        let (failures, requests) = (count(module.failures()), count(module.requests()));
        // What has failed has begun, and some of what has begun may not be known yet of the other one.
        if tail(failures, requests, usual_failures(other)) < EVIDENT {
            return Some(failing(module, other));
        }
        self.slower(module, other, EVIDENT)
    }

    /// Why `module` is worse than `other`, as far as can be seen.
    pub fn worse(self, module: &Counts, other: &Counts) -> Option<String> {
        let more = rate(module) - rate(other);
        if more * 1000.0 > MORE_FAILURES {
            return Some(failing(module, other));
        }
        self.slower(module, other, LIKELY)
    }

    /// More than 1 % of the answers took longer than the other one's p99 allows: then the p99 is longer.
    fn slower(self, module: &Counts, other: &Counts, unlikely: f64) -> Option<String> {
        if other.requests() < ENOUGH {
            return None;
        }
        let usual = other.within(P99)?;
        let limit = usual.saturating_mul(self.slowdown).saturating_add(UNNOTICED);
        let slow = module.longer_than(limit);
        let requests = module.requests();
        (tail(count(slow), count(requests), BEYOND_P99) < unlikely).then(|| {
            let p99 = humantime::format_duration(rounded(module.within(P99).unwrap_or_default()));
            let (usual, limit) = (rounded(usual), rounded(limit));
            format!(
                "{slow} of its {requests} answers took longer than {} (its p99 is {p99}), against a p99 of {} of the module \
                 before it",
                humantime::format_duration(limit),
                humantime::format_duration(usual),
            )
        })
    }
}

fn failing(module: &Counts, other: &Counts) -> String {
    let mut text = format!("{} of its {} requests failed", module.failures(), module.requests());
    let faults = [
        (Fault::ServerError, "answered with 5xx"),
        (Fault::Trap, "trapped"),
        (Fault::Timeout, "timed out"),
        (Fault::BadAnswer, "without an answer that can be sent"),
    ];
    let mut mark = " (";
    for (fault, name) in faults {
        let faults = module.faults(fault);
        if faults > 0 {
            let _ = write!(text, "{mark}{faults} {name}");
            mark = ", ";
        }
    }
    let _ = write!(text, "), against {} of {} of the module before it", other.failures(), other.requests());
    text
}

/// Three digits are enough for anyone.
fn rounded(time: Duration) -> Duration {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let unit = 10_u64.saturating_pow(micros.checked_ilog10().unwrap_or_default().saturating_sub(2));
    Duration::from_micros(micros / unit * unit)
}

fn count(count: u64) -> f64 {
    // Beyond four thousand million, the rest does not matter.
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn rate(counts: &Counts) -> f64 {
    count(counts.failures()) / count(counts.requests()).max(1.0)
}

/// The part of requests that a module may be expected to fail if it is like this one.
fn usual_failures(other: &Counts) -> f64 {
    let careful = (count(other.failures()) + 1.0) / (count(other.requests()) + PRIOR);
    rate(other).max(careful)
}

/// How likely it is to see `hits` or more among `tries`, if each hits with `chance`: the tail of the binomial
/// distribution.
fn tail(hits: f64, tries: f64, chance: f64) -> f64 {
    /// Terms this small add nothing that matters.
    const NEGLIGIBLE: f64 = 1e-9;
    if hits <= tries * chance || chance >= 1.0 {
        return 1.0;
    }
    // The logarithm of the first term, and then each by the one before it: they fall from here on.
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
    use crate::sandbox::tally::Tally;

    /// So many requests at once, of which some failed.
    fn counts(requests: u64, failures: u64) -> Counts {
        let tally = Tally::default();
        (0..requests).for_each(|_| drop(tally.begin()));
        (0..failures).for_each(|_| tally.failed(Fault::Trap));
        tally.counts()
    }

    /// So many requests, of which some took as long as this.
    fn slow(requests: u64, slow: u64, time: Duration) -> Counts {
        let mut counts = counts(requests - slow, 0);
        counts.add_for_test(slow, time);
        counts
    }

    #[test]
    fn the_tail_is_that_of_the_binomial_distribution() {
        // Computed exactly, with fractions.
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
    fn a_module_that_fails_is_found_soon() {
        let good = counts(180, 0);
        assert_eq!(SIDE_BY_SIDE.evidently_worse(&counts(20, 1), &good), None);
        let why = SIDE_BY_SIDE.evidently_worse(&counts(20, 4), &good).unwrap();
        assert_eq!(why, "4 of its 20 requests failed (4 trapped), against 0 of 180 of the module before it");
        // Where nothing is known of the other one, as where it gets no requests.
        assert_eq!(SIDE_BY_SIDE.evidently_worse(&counts(20, 2), &Counts::default()), None);
        assert!(SIDE_BY_SIDE.evidently_worse(&counts(20, 4), &Counts::default()).is_some());
    }

    #[test]
    fn a_module_that_fails_as_the_other_one_does_is_no_worse() {
        let other = counts(9_000, 900);
        for failures in [80, 100, 109] {
            assert_eq!(SIDE_BY_SIDE.evidently_worse(&counts(1_000, failures), &other), None);
            assert_eq!(SIDE_BY_SIDE.worse(&counts(1_000, failures), &other), None);
        }
        assert!(SIDE_BY_SIDE.evidently_worse(&counts(1_000, 150), &other).is_some());
        assert!(SIDE_BY_SIDE.worse(&counts(1_000, 120), &other).is_some());
    }

    #[test]
    fn at_the_end_one_failure_of_few_is_enough() {
        assert!(SIDE_BY_SIDE.worse(&counts(20, 1), &counts(180, 0)).is_some());
        assert_eq!(SIDE_BY_SIDE.worse(&counts(1_000, 1), &counts(9_000, 0)), None);
        assert_eq!(SIDE_BY_SIDE.worse(&Counts::default(), &counts(9_000, 0)), None);
    }

    #[test]
    fn a_module_that_is_slow_is_found_soon() {
        let quick = slow(1_000, 50, Duration::from_millis(5));
        let why = SIDE_BY_SIDE.evidently_worse(&slow(10, 10, Duration::from_millis(50)), &quick).unwrap();
        assert!(why.starts_with("10 of its 10 answers took longer than "), "{why}");
        // One can always be slow, and so can the other one's slowest.
        assert_eq!(SIDE_BY_SIDE.evidently_worse(&slow(10, 1, Duration::from_millis(50)), &quick), None);
        assert_eq!(SIDE_BY_SIDE.worse(&slow(1_000, 10, Duration::from_millis(50)), &quick), None);
        assert!(SIDE_BY_SIDE.worse(&slow(1_000, 30, Duration::from_millis(50)), &quick).is_some());
        assert_eq!(SIDE_BY_SIDE.worse(&slow(1_000, 1_000, Duration::from_millis(9)), &quick), None);
        assert_eq!(IN_SUCCESSION.worse(&slow(1_000, 1_000, Duration::from_millis(18)), &quick), None);
        // Nothing is said against a hundred times a microsecond.
        assert_eq!(
            SIDE_BY_SIDE.worse(&slow(1_000, 1_000, Duration::from_micros(500)), &counts(1_000, 0)),
            None
        );
        // Nor is a few requests' p99 a measure.
        assert_eq!(SIDE_BY_SIDE.worse(&slow(1_000, 1_000, Duration::from_secs(1)), &counts(99, 0)), None);
    }
}
