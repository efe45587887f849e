//! All measurements of a run; medians, spreads and ratios.

use std::{collections::BTreeMap, fmt};

use super::measure::{Figures, Workload};
use crate::contender::{Contender, Start};

/// All measurements: one a round, none where it was void.
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

    /// Whether a workload was measured at all.
    pub(crate) fn has(&self, workload: Workload) -> bool {
        self.workloads.keys().any(|(measured, _)| *measured == workload)
    }

    /// How many measurements were void.
    pub(crate) fn void(&self) -> usize {
        self.workloads.values().flatten().filter(|figures| figures.is_none()).count()
    }

    /// One figure over all rounds.
    pub(crate) fn of(
        &self,
        workload: Workload,
        contender: Contender,
        figure: impl Fn(&Figures) -> f64,
    ) -> Option<Spread> {
        Spread::over(self.workloads.get(&(workload, contender))?.iter().flatten().map(figure))
    }

    /// Round trips to the database server for a request, if there was one.
    pub(crate) fn round_trips(&self, workload: Workload, contender: Contender) -> Option<Spread> {
        let rounds = self.workloads.get(&(workload, contender))?;
        Spread::over(rounds.iter().flatten().filter_map(|figures| figures.round_trips))
    }

    /// The rate of one contender over that of another one, round by round.
    pub(crate) fn ratio(&self, workload: Workload, of: Contender, to: Contender) -> Option<Spread> {
        let [of, to] = [of, to].map(|contender| self.workloads.get(&(workload, contender)));
        let pairs = of?.iter().zip(to?).filter_map(|(of, to)| Some(of.as_ref()?.rate / to.as_ref()?.rate));
        Spread::over(pairs)
    }

    /// The time of a cold start, in milliseconds.
    pub(crate) fn start(&self, start: Start) -> Option<Spread> {
        Spread::over(self.starts.get(&start)?.iter().copied())
    }

    /// The time of one cold start over that of another one, round by round.
    pub(crate) fn start_ratio(&self, of: Start, to: Start) -> Option<Spread> {
        Spread::over(self.starts.get(&of)?.iter().zip(self.starts.get(&to)?).map(|(of, to)| of / to))
    }
}

/// A median with what it stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Over some figures; none if there are none.
    pub(crate) fn over(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.collect();
        sorted.sort_by(f64::total_cmp);
        let upper = sorted.get(sorted.len() / 2)?;
        let lower = sorted.get(sorted.len().saturating_sub(1) / 2)?;
        Some(Self { least: *sorted.first()?, median: lower.midpoint(*upper), most: *sorted.last()? })
    }
}

impl fmt::Display for Spread {
    /// `12 (10…13)`, with the precision that is asked for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let precision = f.precision().unwrap_or(0);
        let Self { least, median, most } = self;
        write!(f, "{median:.precision$} ({least:.precision$}…{most:.precision$})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_in_the_middle() {
        let spread = |figures: &[f64]| Spread::over(figures.iter().copied());
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some(Spread { least: 1.0, median: 2.0, most: 3.0 }));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]).map(|spread| spread.median), Some(2.5));
        assert_eq!(format!("{:.1}", spread(&[2.0]).unwrap()), "2.0 (2.0…2.0)");
    }

    #[test]
    fn a_void_measurement_has_no_part_in_a_ratio() {
        let (p50, p99, processor, idle, peak) = (0.0, 0.0, 0.0, 0.0, 0.0);
        let figures = |rate| Some(Figures { rate, p50, p99, processor, idle, peak, round_trips: None });
        let mut results = Results::default();
        for (ours, theirs) in [(Some(2.0), Some(1.0)), (Some(9.0), None), (None, Some(1.0))] {
            results.add(Workload::Create, Contender::Host, ours.and_then(figures));
            results.add(Workload::Create, Contender::Gin, theirs.and_then(figures));
        }
        let ratio = results.ratio(Workload::Create, Contender::Host, Contender::Gin);
        assert_eq!(ratio, Some(Spread { least: 2.0, median: 2.0, most: 2.0 }));
        assert_eq!(results.void(), 2);
    }
}
