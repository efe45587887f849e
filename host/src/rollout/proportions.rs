//! The exact test of two proportions (Fisher's), over one or more periods.

use statrs::distribution::{Discrete, Hypergeometric};

/// Counts beyond this are scaled down: the result is less sharp, and takes a bounded time.
const MAX_HITS: u64 = 10_000;
/// Probabilities below this do not change a sum noticeably.
const NEGLIGIBLE: f64 = 1e-15;

/// Requests of two modules in the same period, and how many of them were hits: failures, for example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Proportions {
    pub(super) candidate_hits: u64,
    pub(super) candidate: u64,
    pub(super) control_hits: u64,
    pub(super) control: u64,
}

impl Proportions {
    /// The same with the roles of both modules exchanged.
    pub(super) fn exchanged(self) -> Self {
        let Self { candidate_hits, candidate, control_hits, control } = self;
        Self {
            candidate_hits: control_hits,
            candidate: control,
            control_hits: candidate_hits,
            control: candidate,
        }
    }

    /// The candidate's rate of hits minus the control's. 0 if one of them had no requests.
    pub(super) fn excess(self) -> f64 {
        if self.candidate == 0 || self.control == 0 {
            return 0.0;
        }
        ratio(self.candidate_hits, self.candidate) - ratio(self.control_hits, self.control)
    }

    /// The probability of each number of hits of the candidate, if chance alone decided which requests it received: the
    /// hypergeometric distribution. The first number is returned beside the probabilities.
    fn distribution(self) -> (u64, Vec<f64>) {
        let hits = self.candidate_hits + self.control_hits;
        let (least, most) = (hits.saturating_sub(self.control), hits.min(self.candidate));
        if least == most {
            return (least, vec![1.0]);
        }
        let Ok(distribution) = Hypergeometric::new(self.candidate + self.control, hits, self.candidate)
        else {
            // Never: there are no more hits than requests.
            return (self.candidate_hits, vec![1.0]);
        };
        // The distribution has one peak: what is not negligible is in one piece.
        let probabilities = (least..=most).map(|hits| (hits, distribution.ln_pmf(hits).exp()));
        let mut peak = probabilities
            .skip_while(|(_, probability)| *probability < NEGLIGIBLE)
            .take_while(|(_, probability)| *probability >= NEGLIGIBLE)
            .peekable();
        let first = peak.peek().map_or(most, |(hits, _)| *hits);
        (first, peak.map(|(_, probability)| probability).collect())
    }

    fn scaled(self) -> Self {
        let divisor = (self.candidate_hits + self.control_hits).div_ceil(MAX_HITS).max(1);
        // Rounded in the candidate's favour.
        Self {
            candidate_hits: self.candidate_hits / divisor,
            candidate: self.candidate.div_ceil(divisor),
            control_hits: self.control_hits.div_ceil(divisor),
            control: self.control.div_ceil(divisor),
        }
    }
}

/// The probability that chance alone gives the candidate at least as many hits as it had, in all periods together. Within
/// each period, chance decides which of all requests the candidate receives.
pub(super) fn probability(periods: &[Proportions]) -> f64 {
    let mut hits = 0;
    let mut least = 0;
    let mut distribution = vec![1.0];
    for period in periods {
        let period = period.scaled();
        hits += period.candidate_hits;
        let (first, probabilities) = period.distribution();
        least += first;
        distribution = convolve(&distribution, &probabilities);
    }
    let tail = usize::try_from(hits.saturating_sub(least)).unwrap_or(usize::MAX);
    distribution.iter().skip(tail).sum::<f64>().min(1.0)
}

/// The distribution of the sum of two numbers.
fn convolve(one: &[f64], other: &[f64]) -> Vec<f64> {
    if let [certain] = other {
        return one.iter().map(|probability| probability * certain).collect();
    }
    let mut sum = vec![0.0; one.len() + other.len() - 1];
    for (index, first) in one.iter().enumerate() {
        for (target, second) in sum.iter_mut().skip(index).zip(other) {
            *target += first * second;
        }
    }
    sum
}

/// A ratio of two counts. 0 if there are none.
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    // Beyond four billion, the exact number does not matter.
    let float = |count| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    float(part) / float(whole).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proportions(candidate_hits: u64, candidate: u64, control_hits: u64, control: u64) -> Proportions {
        Proportions { candidate_hits, candidate, control_hits, control }
    }

    /// The expected values were computed exactly, with fractions.
    #[test]
    fn the_probability_is_that_of_fishers_exact_test() {
        for (counts, expected) in [
            (proportions(4, 20, 0, 180), 7.489e-5),
            (proportions(3, 30, 0, 270), 9.114e-4),
            (proportions(1, 1, 0, 9), 0.1),
            (proportions(5, 10, 5, 10), 0.6719),
            (proportions(50, 600, 200, 5400), 9.071e-7),
        ] {
            let probability = probability(&[counts]);
            assert!((probability / expected - 1.0).abs() < 0.01, "{counts:?}: {probability:e}");
        }
        for nothing in [proportions(0, 10, 0, 90), proportions(5, 10, 0, 0), proportions(0, 0, 3, 9)] {
            assert!((probability(&[nothing]) - 1.0).abs() < 1e-9, "{nothing:?}");
        }
    }

    #[test]
    fn periods_add_up() {
        // Too little alone, enough together.
        let (trial, watch) = (proportions(2, 60, 0, 540), proportions(40, 1000, 0, 50));
        assert!(probability(&[trial]) > 1e-3);
        assert!(probability(&[watch]) > 1e-2);
        assert!(probability(&[trial, watch]) < probability(&[trial]));
        // In each period the control did as badly. Added up without periods, the candidate would look worse: it had most of
        // the requests while both failed.
        let (calm, outage) = (proportions(0, 100, 0, 900), proportions(450, 900, 50, 100));
        assert!(probability(&[calm, outage]) > 0.4);
        assert!(probability(&[proportions(450, 1000, 50, 1000)]) < 1e-6);
    }

    #[test]
    fn large_counts_are_scaled_down_in_favour_of_the_candidate() {
        let large = proportions(52_000, 1_000_000, 450_000, 9_000_000);
        assert!(large.scaled().candidate_hits + large.scaled().control_hits <= MAX_HITS + 1);
        assert!(probability(&[large]) > 1e-3);
        assert!(probability(&[proportions(100_000, 1_000_000, 450_000, 9_000_000)]) < 1e-4);
    }
}
