//! All measurements of a run: medians, minima, maxima and ratios.

use std::{collections::BTreeMap, fmt};

use super::{measure::Figures, workload::Workload};
use crate::contender::{Contender, Start};

/// All measurements, one per round. A void measurement is `None`.
#[derive(Default)]
pub(crate) struct Results {
    workloads: BTreeMap<(Workload, Contender), Vec<Option<Figures>>>,
    starts: BTreeMap<Start, Vec<f64>>,
}

impl Results {
    /// Adds the measurement of a round.
    pub(crate) fn add(&mut self, workload: Workload, contender: Contender, figures: Option<Figures>) {
        self.workloads.entry((workload, contender)).or_default().push(figures);
    }

    /// Adds the cold start of a round.
    pub(crate) fn add_start(&mut self, start: Start, milliseconds: f64) {
        self.starts.entry(start).or_default().push(milliseconds);
    }

    /// Whether a workload was measured.
    pub(crate) fn has(&self, workload: Workload) -> bool {
        self.workloads.keys().any(|(measured, _)| *measured == workload)
    }

    /// The number of void measurements.
    pub(crate) fn void(&self) -> usize {
        self.workloads.values().flatten().filter(|figures| figures.is_none()).count()
    }

    /// One figure over all rounds that have it.
    pub(crate) fn figure<F: Into<Option<f64>>>(
        &self,
        workload: Workload,
        contender: Contender,
        figure: impl Fn(&Figures) -> F,
    ) -> Option<Spread> {
        let rounds = self.workloads.get(&(workload, contender))?;
        Spread::over(rounds.iter().flatten().filter_map(|figures| figure(figures).into()))
    }

    /// The throughput of one contender relative to that of another, round by round.
    pub(crate) fn ratio(&self, workload: Workload, of: Contender, to: Contender) -> Option<Spread> {
        let [of, to] = [of, to].map(|contender| self.workloads.get(&(workload, contender)));
        let pairs = of?.iter().zip(to?).filter_map(|(of, to)| Some(of.as_ref()?.rate / to.as_ref()?.rate));
        Spread::over(pairs)
    }

    /// The duration of a cold start in milliseconds.
    pub(crate) fn start(&self, start: Start) -> Option<Spread> {
        Spread::over(self.starts.get(&start)?.iter().copied())
    }

    /// The duration of one cold start relative to that of another, round by round.
    pub(crate) fn start_ratio(&self, of: Start, to: Start) -> Option<Spread> {
        Spread::over(self.starts.get(&of)?.iter().zip(self.starts.get(&to)?).map(|(of, to)| of / to))
    }
}

/// A median with its minimum and maximum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` without figures.
    pub(crate) fn over(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.collect();
        sorted.sort_by(f64::total_cmp);
        let upper = sorted.get(sorted.len() / 2)?;
        let lower = sorted.get(sorted.len().saturating_sub(1) / 2)?;
        Some(Self { min: *sorted.first()?, median: lower.midpoint(*upper), max: *sorted.last()? })
    }
}

impl fmt::Display for Spread {
    /// `12 (10…13)`, with the requested precision.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let precision = f.precision().unwrap_or(0);
        let Self { min, median, max } = self;
        write!(f, "{median:.precision$} ({min:.precision$}…{max:.precision$})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_in_the_middle() {
        let spread = |figures: &[f64]| Spread::over(figures.iter().copied());
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some(Spread { min: 1.0, median: 2.0, max: 3.0 }));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]).map(|spread| spread.median), Some(2.5));
        assert_eq!(format!("{:.1}", spread(&[2.0]).unwrap()), "2.0 (2.0…2.0)");
    }

    #[test]
    fn a_ratio_leaves_out_void_measurements() {
        let figures = |rate| Some(Figures { rate, ..Figures::default() });
        let mut results = Results::default();
        for (ours, theirs) in [(Some(2.0), Some(1.0)), (Some(9.0), None), (None, Some(1.0))] {
            results.add(Workload::Create, Contender::Host, ours.and_then(figures));
            results.add(Workload::Create, Contender::Gin, theirs.and_then(figures));
        }
        let ratio = results.ratio(Workload::Create, Contender::Host, Contender::Gin);
        assert_eq!(ratio, Some(Spread { min: 2.0, median: 2.0, max: 2.0 }));
        assert_eq!(results.void(), 2);
    }
}
