//! One request, from its beginning until it is judged.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::StatusCode;

use super::{
    counters::{Shard, Tally, WAITING},
    counts::{Fault, StatusClass, bucket},
};
use crate::{
    sandbox::{cpu::nanos, failure::Failure},
    store::StoreError,
};

/// The place of a request that has been judged, or will not be.
const ENDED: usize = usize::MAX;

/// A request of a module: under way, later judged.
///
/// Its call and its response may run on two threads. A request that is dropped without a judgement is not
/// counted: its client has left.
#[derive(Debug)]
pub struct CountedRequest {
    tally: Arc<Tally>,
    /// The counters of the thread on which it began. Those of its place are changed there, whichever thread changes them.
    shard: usize,
    began: Instant,
    /// Its slot in the tally, [`WAITING`] or [`ENDED`].
    place: AtomicUsize,
    /// How long it has waited for the store, in ns, without the present wait.
    waited: AtomicU64,
    /// When the present wait for the store began, in ns since the request began; 0 without one.
    waits_since: AtomicU64,
    /// Whether it is no evidence: the store was unavailable to it, or its client is to blame for what comes of it.
    excluded: AtomicBool,
}

impl Tally {
    /// Begins a request.
    pub fn begin(self: &Arc<Self>) -> CountedRequest {
        self.begin_at(Instant::now())
    }

    fn begin_at(self: &Arc<Self>, began: Instant) -> CountedRequest {
        let shard = Self::own_shard();
        let slot = self.slot_at(began);
        if let Some(shard) = self.shard(shard) {
            shard.enter(slot);
        }
        CountedRequest {
            tally: Arc::clone(self),
            shard,
            began,
            place: AtomicUsize::new(slot),
            waited: AtomicU64::new(0),
            waits_since: AtomicU64::new(0),
            excluded: AtomicBool::new(false),
        }
    }
}

impl CountedRequest {
    /// When the request began.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Waits for a call of the store on behalf of the request.
    ///
    /// # Errors
    ///
    /// Those of the call.
    pub async fn wait_for_store<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mut call = pin!(call);
        let mut waits = false;
        let result = poll_fn(|context| {
            let polled = call.as_mut().poll(context);
            // Most calls of the memory store never wait.
            if polled.is_pending() && !waits {
                waits = true;
                self.begin_wait();
            }
            polled
        })
        .await;
        if waits {
            self.end_wait();
        }
        if let Err(StoreError::Unavailable(_)) = &result {
            self.exclude();
        }
        result
    }

    /// Makes the request no evidence for or against its module.
    pub fn exclude(&self) {
        self.excluded.store(true, Ordering::Relaxed);
    }

    /// Judges the request by the status of its response.
    pub fn judge_response(&self, status: StatusCode) {
        self.judge(|shard| match StatusClass::of(status) {
            Some(class) => shard.count_status(class),
            None => shard.count_fault(Fault::ServerError),
        });
    }

    /// Judges the request by the failure with which it ended instead of a response.
    pub fn judge_failure(&self, failure: &Failure) {
        match self.fault(failure) {
            Some(fault) => self.judge(|shard| shard.count_fault(fault)),
            None => self.end(),
        }
    }

    /// Counts a failure after the head of the response.
    pub fn fail_after_head(&self, failure: &Failure) {
        if let (Some(fault), Some(shard)) = (self.fault(failure), self.tally.shard(Tally::own_shard())) {
            shard.count_fault(fault);
        }
    }

    /// The kind of a failure; `None` if the module may not be to blame for it.
    fn fault(&self, failure: &Failure) -> Option<Fault> {
        let waits_for_store = self.waits_since.load(Ordering::Relaxed) > 0;
        let excluded = self.excluded.load(Ordering::Relaxed)
            || (matches!(failure, Failure::TimedOut) && waits_for_store);
        if excluded { None } else { Fault::of(failure) }
    }

    fn judge(&self, count_outcome: impl FnOnce(&Shard)) {
        let judged = !self.excluded.load(Ordering::Relaxed);
        if judged && let Some(shard) = self.tally.shard(Tally::own_shard()) {
            count_outcome(shard);
            shard.count_latency(bucket(self.own_time()));
        }
        self.end();
    }

    /// The time since the request began, without that in which it waited for the store.
    fn own_time(&self) -> Duration {
        let elapsed = self.began.elapsed();
        let waited = self.waited.load(Ordering::Relaxed);
        let waiting = match self.waits_since.load(Ordering::Relaxed) {
            0 => 0,
            since => nanos(elapsed).saturating_sub(since),
        };
        elapsed.saturating_sub(Duration::from_nanos(waited.saturating_add(waiting)))
    }

    fn begin_wait(&self) {
        self.waits_since.store(nanos(self.began.elapsed()).max(1), Ordering::Relaxed);
        self.move_to(WAITING);
    }

    fn end_wait(&self) {
        let now = self.began.elapsed();
        let wait = nanos(now).saturating_sub(self.waits_since.swap(0, Ordering::Relaxed));
        let waited = self.waited.fetch_add(wait, Ordering::Relaxed).saturating_add(wait);
        self.move_to(self.tally.slot_at(self.began + Duration::from_nanos(waited)));
    }

    /// Moves the request to another place, unless it has ended: a call may go on after the head of its response.
    fn move_to(&self, place: usize) {
        let Some(shard) = self.tally.shard(self.shard) else { return };
        shard.enter(place);
        let moved = self
            .place
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| (before != ENDED).then_some(place));
        shard.leave(moved.unwrap_or(place));
    }

    fn end(&self) {
        let place = self.place.swap(ENDED, Ordering::Relaxed);
        if place != ENDED
            && let Some(shard) = self.tally.shard(self.shard)
        {
            shard.leave(place);
        }
    }
}

impl Drop for CountedRequest {
    /// A client that has left after a while shows that there was no response until then.
    fn drop(&mut self) {
        let place = self.place.load(Ordering::Relaxed);
        let excluded = place == WAITING || self.excluded.load(Ordering::Relaxed);
        if place != ENDED
            && !excluded
            && let Some(shard) = self.tally.shard(Tally::own_shard())
        {
            shard.count_abandoned(bucket(self.own_time()));
        }
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;
    use crate::sandbox::tally::Counts;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn tally() -> Arc<Tally> {
        Arc::new(Tally::new(TIMEOUT))
    }

    fn unavailable<T>() -> Result<T, StoreError> {
        Err(StoreError::unavailable("it restarts"))
    }

    /// A tally that is older than any request.
    fn tally_of_the_past() -> Arc<Tally> {
        Arc::new(Tally::with_origin(Instant::now().checked_sub(3 * TIMEOUT).unwrap(), TIMEOUT))
    }

    /// Polls the future once: it must be pending.
    async fn pending(mut future: impl Future + Unpin) {
        poll_fn(|context| {
            assert!(pin!(&mut future).poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
    }

    #[test]
    fn counts_include_every_thread_and_subtract_an_earlier_reading() {
        let tally = tally();
        let none = tally.counts();
        assert_eq!((none.requests(), none.failures(), none.quantile(990)), (0, 0, None));
        let requests = [tally.begin(), tally.begin(), tally.begin()];
        assert_eq!((tally.counts().in_flight(), tally.counts().requests()), (3, 0));
        requests[0].judge_response(StatusCode::OK);
        requests[1].judge_response(StatusCode::SERVICE_UNAVAILABLE);
        requests[2].judge_failure(&Failure::OutOfMemory);
        let earlier = tally.counts();
        assert_eq!((earlier.requests(), earlier.failures(), earlier.in_flight()), (3, 2, 0));
        assert_eq!((earlier.faults(Fault::ServerError), earlier.faults(Fault::Trap)), (1, 1));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| tally.begin().judge_response(StatusCode::NOT_FOUND)));
            }
        });
        tally.begin().judge_failure(&Failure::OutOfCpu);
        let since = tally.counts().since(&earlier);
        assert_eq!((since.requests(), since.faults(Fault::Trap), since.faults(Fault::Cpu)), (4001, 0, 1));
        assert_eq!(
            (since.statuses(StatusClass::ClientError), since.statuses(StatusClass::Success)),
            (4000, 0)
        );
    }

    #[tokio::test]
    async fn a_request_without_a_judgement_is_not_counted() {
        let tally = tally();
        tally.begin().judge_failure(&Failure::Withdrawn);
        // The store was unavailable to it, whatever the component made of that.
        let request = tally.begin();
        assert!(request.wait_for_store(async { unavailable::<()>() }).await.is_err());
        request.judge_response(StatusCode::SERVICE_UNAVAILABLE);
        let request = tally.begin();
        assert!(request.wait_for_store(async { unavailable::<()>() }).await.is_err());
        request.wait_for_store(async { Ok(()) }).await.unwrap();
        request.judge_failure(&Failure::Trapped("because of that".to_owned()));
        request.fail_after_head(&Failure::IncompleteResponse);
        // Its deadline passed while it waited for the store.
        let request = tally.begin();
        let never = std::future::pending::<Result<(), StoreError>>();
        let mut call = Box::pin(request.wait_for_store(never));
        pending(&mut call).await;
        request.judge_failure(&Failure::TimedOut);
        drop(call);
        assert_eq!(tally.counts(), Counts::default());

        // Its client left: that shows only that there was no response until then.
        drop(tally.begin());
        let left = tally.counts();
        assert_eq!((left.requests(), left.failures(), left.quantile(500)), (0, 0, None));
        assert_eq!(left.abandoned_after(TIMEOUT), 0);

        // It failed by itself, after the store had answered.
        let request = tally.begin();
        request.wait_for_store(async { Ok(()) }).await.unwrap();
        request.judge_failure(&Failure::TimedOut);
        assert_eq!((tally.counts().requests(), tally.counts().faults(Fault::Timeout)), (1, 1));
    }

    #[tokio::test]
    async fn the_time_that_a_request_waits_for_the_store_is_not_its_own() {
        let tally = tally_of_the_past();
        let request = tally.begin_at(Instant::now().checked_sub(TIMEOUT / 2).unwrap());
        let (commit, committed) = tokio::sync::oneshot::channel();
        let mut call = pin!(request.wait_for_store(async { committed.await.unwrap() }));
        pending(&mut call).await;
        assert_eq!((tally.counts().in_flight(), tally.counts().under_way().count()), (1, 0));
        // As if it had waited nearly since it began.
        request.waits_since.store(1, Ordering::Relaxed);
        commit.send(Ok(())).unwrap();
        call.await.unwrap();
        let own_time = TIMEOUT / 4;
        let under_way: Vec<_> = tally.counts().under_way().collect();
        assert!(matches!(under_way[..], [(age, 1)] if age < own_time), "{under_way:?}");
        request.judge_response(StatusCode::OK);
        let counts = tally.counts();
        assert_eq!((counts.requests(), counts.in_flight(), counts.longer_than(own_time)), (1, 0, 0));
    }

    #[test]
    fn requests_under_way_have_their_age_until_they_end() {
        let slot = TIMEOUT / 64;
        let tally = tally_of_the_past();
        let ages = [Duration::ZERO, TIMEOUT / 4, TIMEOUT];
        let requests = ages.map(|age| (Instant::now().checked_sub(age).unwrap(), age));
        let requests = requests.map(|(began, age)| (tally.begin_at(began), age));
        let counts = tally.counts();
        let under_way: Vec<_> = counts.under_way().collect();
        assert_eq!(under_way.len(), 3, "{under_way:?}");
        for ((seen, count), (request, age)) in under_way.into_iter().zip(&requests) {
            assert_eq!(count, 1);
            assert!(seen <= request.began().elapsed() && seen + slot >= *age, "{seen:?} for {age:?}");
        }
        // The head of a response, or the client, ends it; on any thread.
        std::thread::scope(|scope| {
            scope.spawn(|| requests[0].0.judge_response(StatusCode::OK));
        });
        assert_eq!(tally.counts().in_flight(), 2);
        drop(requests);
        assert_eq!(tally.counts().in_flight(), 0);
    }
}
