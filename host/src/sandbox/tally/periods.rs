//! The counters of a module over its life, and those of the present period: a comparison counts only requests that began in
//! it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;

use super::{counters::Tally, counts::Counts, request::CountedRequest};

/// The counters of a module since it was loaded.
#[derive(Debug)]
pub struct Tallies {
    request_timeout: Duration,
    present: ArcSwap<Tally>,
    earlier: Mutex<Earlier>,
}

/// Periods that are over.
#[derive(Debug, Default)]
struct Earlier {
    /// Those in which no request is under way.
    ended: Counts,
    /// Those whose last requests are still under way.
    ending: Vec<Arc<Tally>>,
}

impl Tallies {
    /// The counters of a module whose requests end within `request_timeout`. The first period begins.
    pub fn new(request_timeout: Duration) -> Self {
        let present = ArcSwap::from_pointee(Tally::new(request_timeout));
        Self { request_timeout, present, earlier: Mutex::default() }
    }

    /// Begins a request, which counts in the present period whenever it ends.
    pub fn begin_request(&self) -> CountedRequest {
        self.present.load().begin()
    }

    /// Begins a period, and returns its counters. Requests that are under way count in the period before.
    pub fn begin_period(&self) -> Arc<Tally> {
        let counters = Arc::new(Tally::new(self.request_timeout));
        let before = self.present.swap(Arc::clone(&counters));
        let mut earlier = self.earlier();
        earlier.ending.push(before);
        earlier.fold();
        counters
    }

    /// The counts of all periods so far.
    pub fn total(&self) -> Counts {
        let mut earlier = self.earlier();
        earlier.fold();
        let mut total = earlier.ended.clone();
        earlier.ending.iter().for_each(|tally| total.add(&tally.counts()));
        total.add(&self.present.load().counts());
        total
    }

    fn earlier(&self) -> MutexGuard<'_, Earlier> {
        self.earlier.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Earlier {
    /// Adds up the periods that nothing can change any more.
    fn fold(&mut self) {
        let (ending, ended) = (std::mem::take(&mut self.ending), &mut self.ended);
        self.ending = ending
            .into_iter()
            .filter_map(|tally| {
                // Each request that is under way has a reference.
                Arc::try_unwrap(tally).map(|tally| ended.add(&tally.counts())).err()
            })
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn a_request_counts_in_the_period_in_which_it_began() {
        let tallies = Tallies::new(Duration::from_secs(10));
        let (early, other) = (tallies.begin_request(), tallies.begin_request());
        other.judge_response(StatusCode::OK);
        drop(other);
        let period = tallies.begin_period();
        assert_eq!((period.counts().requests(), tallies.total().requests()), (0, 1));
        tallies.begin_request().judge_response(StatusCode::INTERNAL_SERVER_ERROR);
        early.judge_response(StatusCode::OK);
        drop(early);
        assert_eq!((period.counts().requests(), period.counts().failures()), (1, 1));
        let period = tallies.begin_period();
        let late = tallies.begin_request();
        assert_eq!((period.counts().in_flight(), period.counts().requests()), (1, 0));
        assert_eq!((tallies.total().requests(), tallies.total().failures()), (3, 1));
        drop(late);
        assert_eq!(tallies.total().requests(), 3);
    }
}
