//! What two modules did with the requests of the same time: the evidence for a verdict.

use crate::sandbox::tally::Counts;

/// Maximum number of slices. Beyond it, neighbouring slices are merged, and each then covers twice the time.
const MAX_SLICES: usize = 64;

/// The counts of a candidate and of its control over the same time.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    /// The counts of the candidate.
    pub candidate: Counts,
    /// The counts of the control.
    pub control: Counts,
}

impl Slice {
    fn add(&mut self, later: &Self) {
        self.candidate.add(&later.candidate);
        self.control.add(&later.control);
    }
}

/// The evidence about a candidate, from the start of its trial on.
///
/// A period is a time in which neither module's share of the requests changed: within it, chance alone decided which module
/// received a request. The last period is kept by the second, because a stall of the machine is one event, however many
/// requests it delays.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The totals of earlier periods.
    earlier: Vec<Slice>,
    /// The present period: slices of a second or more, oldest first.
    slices: Vec<Slice>,
    /// The number of seconds that each slice but the last covers.
    seconds_per_slice: usize,
    /// The number of seconds in the last slice.
    seconds_in_last: usize,
    /// The second that has not ended.
    unfinished: Slice,
}

impl Evidence {
    /// Replaces the counts of the second that has not ended.
    pub fn update(&mut self, unfinished: Slice) {
        self.unfinished = unfinished;
    }

    /// Ends a second.
    pub fn end_second(&mut self) {
        let second = std::mem::take(&mut self.unfinished);
        self.seconds_per_slice = self.seconds_per_slice.max(1);
        match self.slices.last_mut() {
            Some(last) if self.seconds_in_last < self.seconds_per_slice => {
                last.add(&second);
                self.seconds_in_last += 1;
            }
            _ => {
                self.slices.push(second);
                self.seconds_in_last = 1;
            }
        }
        if self.slices.len() > MAX_SLICES {
            self.merge_neighbours();
        }
    }

    /// Begins a period: from now on, the modules have other shares of the requests.
    pub fn begin_period(&mut self) {
        self.end_second();
        let total = self.period();
        self.earlier.push(total);
        self.slices.clear();
        self.unfinished = Slice::default();
        self.seconds_per_slice = 1;
    }

    /// The totals of all periods, the present one last.
    pub fn periods(&self) -> Vec<Slice> {
        self.earlier.iter().cloned().chain([self.period()]).collect()
    }

    /// The totals of the present period.
    pub fn period(&self) -> Slice {
        let mut total = Slice::default();
        self.slices().for_each(|slice| total.add(slice));
        total
    }

    /// The slices of the present period, oldest first.
    pub fn slices(&self) -> impl Iterator<Item = &Slice> {
        self.slices.iter().chain([&self.unfinished])
    }

    /// The latest counts, with the requests under way.
    pub fn latest(&self) -> &Slice {
        &self.unfinished
    }

    fn merge_neighbours(&mut self) {
        let odd = self.slices.len() % 2 == 1;
        self.seconds_in_last =
            if odd { self.seconds_in_last } else { self.seconds_per_slice + self.seconds_in_last };
        let mut slices = std::mem::take(&mut self.slices).into_iter();
        while let Some(mut slice) = slices.next() {
            if let Some(next) = slices.next() {
                slice.add(&next);
            }
            self.slices.push(slice);
        }
        self.seconds_per_slice *= 2;
    }
}
