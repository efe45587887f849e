//! The counters of a module. Counting must be cheap because every request is counted: each thread has its own counters,
//! which are added up when they are read.

use std::{
    array,
    sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use super::counts::{BUCKETS, Counts, FAULTS, Fault, STATUSES, StatusClass, UnderWay};
use crate::sandbox::cpu::nanos;

/// The number of counter sets. If there are more threads, some share one.
const SHARDS: usize = 16;
/// Requests under way are counted in slots by the time of their beginning. A slot is this fraction of the request timeout.
const SLOTS_PER_TIMEOUT: u32 = 64;
/// The number of slots. A request ends long before its slot is used again, because all slots together are twice the request
/// timeout.
const SLOTS: usize = 2 * SLOTS_PER_TIMEOUT as usize;
/// The place after the slots, for requests that wait for the store.
pub(super) const WAITING: usize = SLOTS;
const PLACES: usize = SLOTS + 1;

/// The counters of a module since it was loaded.
#[derive(Debug)]
pub struct Tally {
    shards: Box<[Shard]>,
    /// When the first slot began.
    origin: Instant,
    /// The width of a slot, in ns.
    width: u64,
}

/// One thread's counters, aligned so that they share no cache line with others.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Shard {
    faults: [AtomicU64; FAULTS],
    statuses: [AtomicU64; STATUSES],
    latencies: [AtomicU64; BUCKETS],
    abandoned: [AtomicU64; BUCKETS],
    under_way: [AtomicU32; PLACES],
}

thread_local! {
    /// The shard of this thread.
    static SHARD: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS
    };
}

impl Tally {
    /// Creates the counters of a module whose requests end within `request_timeout`.
    pub fn new(request_timeout: Duration) -> Self {
        Self::with_origin(Instant::now(), request_timeout)
    }

    /// Like [`Tally::new`]. No request begins before `origin`.
    pub(super) fn with_origin(origin: Instant, request_timeout: Duration) -> Self {
        let zero = |_| AtomicU64::new(0);
        let shard = |_| Shard {
            faults: array::from_fn(zero),
            statuses: array::from_fn(zero),
            latencies: array::from_fn(zero),
            abandoned: array::from_fn(zero),
            under_way: array::from_fn(|_| AtomicU32::new(0)),
        };
        let width = nanos(request_timeout / SLOTS_PER_TIMEOUT).max(1);
        Self { shards: (0..SHARDS).map(shard).collect(), origin, width }
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        // Read first: a request is counted before it is no longer under way, so that it is missing in neither.
        let under_way = self.under_way();
        let mut counts = Counts { under_way, ..Counts::default() };
        for shard in &self.shards {
            let cells =
                shard.faults.iter().chain(&shard.statuses).chain(&shard.latencies).chain(&shard.abandoned);
            for (sum, count) in counts.cells_mut().zip(cells) {
                *sum = sum.saturating_add(count.load(Ordering::Relaxed));
            }
        }
        counts
    }

    fn under_way(&self) -> UnderWay {
        let mut places = [0_u64; PLACES];
        for shard in &self.shards {
            for (sum, count) in places.iter_mut().zip(&shard.under_way) {
                *sum = sum.saturating_add(count.load(Ordering::Acquire).into());
            }
        }
        // Read last: every request that was seen has begun by now.
        let now = nanos(self.origin.elapsed());
        let in_slot = now % self.width;
        let ages = (0..SLOTS).filter_map(|age| {
            let age = u64::try_from(age).ok()?;
            let requests =
                places.get(slot((now / self.width).wrapping_sub(age))).copied().unwrap_or_default();
            // A request may have begun at the end of its slot.
            let age = age.checked_sub(1).map_or(0, |slots| slots * self.width + in_slot);
            (requests > 0).then_some((Duration::from_nanos(age), requests))
        });
        UnderWay { by_age: ages.collect(), waiting: places.get(WAITING).copied().unwrap_or_default() }
    }

    /// The slot of a request that began at this time.
    pub(super) fn slot_at(&self, began: Instant) -> usize {
        slot(nanos(began.saturating_duration_since(self.origin)) / self.width)
    }

    /// The index of this thread's counters.
    pub(super) fn own_shard() -> usize {
        SHARD.with(|shard| *shard)
    }

    /// The counters with this index.
    pub(super) fn shard(&self, index: usize) -> Option<&Shard> {
        self.shards.get(index)
    }
}

impl Shard {
    /// Adds a request to this slot, or to those that wait.
    pub(super) fn enter(&self, place: usize) {
        if let Some(count) = self.under_way.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Removes a request from the place where it was added.
    pub(super) fn leave(&self, place: usize) {
        if let Some(count) = self.under_way.get(place) {
            // Release: whoever sees that it is gone also sees that it was counted.
            count.fetch_sub(1, Ordering::Release);
        }
    }

    pub(super) fn count_latency(&self, bucket: usize) {
        increment(self.latencies.get(bucket));
    }

    pub(super) fn count_abandoned(&self, bucket: usize) {
        increment(self.abandoned.get(bucket));
    }

    pub(super) fn count_status(&self, class: StatusClass) {
        increment(self.statuses.get(class as usize));
    }

    pub(super) fn count_fault(&self, fault: Fault) {
        increment(self.faults.get(fault as usize));
    }
}

fn increment(count: Option<&AtomicU64>) {
    if let Some(count) = count {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// The slot with this number, counted from the origin.
fn slot(number: u64) -> usize {
    usize::try_from(number % SLOTS as u64).unwrap_or_default()
}
