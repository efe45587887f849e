//! Reports failures that do not pass by themselves, without a line for each call that meets them.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::contract::{Reason, StoreError};

/// The same failure is reported this often while calls meet it.
const REPEAT: Duration = Duration::from_secs(60);
/// Different failures are reported this often.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// The last failure that was reported.
#[derive(Default)]
pub(super) struct Complaints(Mutex<Option<(Instant, Reason)>>);

impl Complaints {
    /// Reports the failure of a call, if it does not pass by itself and has not been reported lately.
    pub(super) fn note<T>(&self, store: &dyn fmt::Display, result: &Result<T, StoreError>) {
        let Err(StoreError::Unavailable(why)) = result else { return };
        if why.persists() && self.is_new(why) {
            tracing::error!(
                event = "store.failed",
                %store,
                %why,
                "the store has failed, and an operator has to act"
            );
        }
    }

    fn is_new(&self, why: &Reason) -> bool {
        let now = Instant::now();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = last.as_ref().is_none_or(|(at, reported)| {
            now.duration_since(*at) >= if reported == why { REPEAT } else { MIN_INTERVAL }
        });
        if is_new {
            *last = Some((now, why.clone()));
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::{Complaints, Reason};

    #[test]
    fn a_failure_is_reported_once_and_not_for_each_call() {
        let complaints = Complaints::default();
        let why = Reason::persisting("its file is damaged");
        let reports = [why.clone(), why.clone(), why].map(|why| complaints.is_new(&why));
        assert_eq!(reports, [true, false, false]);
    }
}
