//! The processor time of a call: how much it has used, how much it may use, and where it computes.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    task::Poll,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use wasmtime::UpdateDeadline;

/// How often a computing guest is interrupted, to measure its time, while some call computes for long.
pub const TICK: Duration = Duration::from_millis(2);
/// The same while none does. An interval this long costs an idle host a fifth of the processor time of the shorter one.
pub const IDLE_TICK: Duration = Duration::from_millis(10);
/// How long a call may compute on the thread of its connection. A call that needs longer continues in the background, and
/// then yields to others at every tick. Hardly any request that is not meant to compute takes this long.
const FOREGROUND: Duration = Duration::from_millis(2);

/// Measures the processor time of one call. The thread that polls the call and the guest's interruptions share it.
#[derive(Debug)]
pub struct CpuMeter {
    /// The most that the call may use, in ns.
    max: u64,
    /// What it has used, in ns.
    used: AtomicU64,
    /// What it had used when its limit began anew, in ns.
    used_before: AtomicU64,
    /// The time up to which that is, in ns, by the present clock. By the passing time, 0 is the beginning of the call.
    measured_to: AtomicU64,
    /// Whether the present clock is that of the thread.
    by_thread: AtomicBool,
    /// Whether the call is about to do what takes long and cannot be interrupted.
    is_expected_long: AtomicBool,
    /// When the call began.
    began: Instant,
}

/// How the time of a call is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// By the time that passes, at most [`TICK`] between two measurements, so that a call is not blamed when the system suspends
    /// its thread. That is cheap, and precise enough for the beginning of a call.
    Passing,
    /// By the processor time of the thread, which the system must be asked for.
    Thread,
}

/// The call has exceeded its limit of processor time.
#[derive(Clone, Copy, Debug)]
struct LimitExceeded;

impl std::fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("limit of processor time exceeded")
    }
}

impl std::error::Error for LimitExceeded {}

impl CpuMeter {
    /// For a call that began at this time and may use `max`.
    pub fn new(began: Instant, max: Duration) -> Self {
        let (max, zero) = (nanos(max), AtomicU64::default);
        Self {
            max,
            used: zero(),
            used_before: zero(),
            measured_to: zero(),
            by_thread: AtomicBool::new(false),
            is_expected_long: AtomicBool::new(false),
            began,
        }
    }

    /// Polls the call, and measures the time that it takes unless the call ends. A call that never waits costs no look at a
    /// clock: its time begins with the call.
    pub fn measure<T>(&self, clock: Clock, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        self.by_thread.store(clock == Clock::Thread, Ordering::Relaxed);
        if clock == Clock::Thread || self.measured_to.load(Ordering::Relaxed) > 0 {
            self.measured_to.store(self.now(clock), Ordering::Relaxed);
        }
        let polled = poll();
        if polled.is_pending() {
            self.charge();
        }
        polled
    }

    /// Interrupts the guest at a tick: it continues, or yields first.
    ///
    /// # Errors
    ///
    /// If the call has exceeded its limit. The guest cannot handle this error.
    pub fn interrupt(&self) -> wasmtime::Result<UpdateDeadline> {
        self.charge();
        if self.is_exceeded() {
            return Err(LimitExceeded.into());
        }
        Ok(match self.is_long() {
            false => UpdateDeadline::Continue(1),
            true => UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())),
        })
    }

    /// Begins its limit anew: a stream has the limit for each chunk.
    pub fn renew_limit(&self) {
        self.used_before.store(self.used.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Whether the call has used more than its limit.
    pub fn is_exceeded(&self) -> bool {
        let used = self.used.load(Ordering::Relaxed);
        used.saturating_sub(self.used_before.load(Ordering::Relaxed)) > self.max
    }

    /// Whether the call has used so much that it should continue in the background.
    pub fn is_long(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= nanos(FOREGROUND)
            || self.is_expected_long.load(Ordering::Relaxed)
    }

    /// Has the call continue in the background when it next yields, because it is about to do what takes long and cannot be
    /// interrupted.
    pub fn expect_long(&self) {
        self.is_expected_long.store(true, Ordering::Relaxed);
    }

    fn charge(&self) {
        let clock = if self.by_thread.load(Ordering::Relaxed) { Clock::Thread } else { Clock::Passing };
        let now = self.now(clock);
        let time = now.saturating_sub(self.measured_to.swap(now, Ordering::Relaxed));
        let time = if clock == Clock::Passing { time.min(nanos(TICK)) } else { time };
        self.used.fetch_add(time, Ordering::Relaxed);
    }

    fn now(&self, clock: Clock) -> u64 {
        match clock {
            Clock::Passing => nanos(self.began.elapsed()),
            Clock::Thread => {
                let time = clock_gettime(ClockId::ThreadCPUTime);
                nanos(Duration::try_from(time).unwrap_or_default())
            }
        }
    }
}

/// A time in ns.
pub fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computes until this thread has used this much processor time.
    fn compute(time: Duration) {
        let meter = CpuMeter::new(Instant::now(), Duration::MAX);
        let end = meter.now(Clock::Thread) + nanos(time);
        while meter.now(Clock::Thread) < end {}
    }

    #[test]
    fn computing_is_measured_and_waiting_is_not() {
        const LIMIT: Duration = Duration::from_millis(20);
        let meter = CpuMeter::new(Instant::now(), LIMIT);
        // Between two polls, the thread works for others.
        compute(2 * LIMIT);
        let waited = meter.measure(Clock::Thread, || {
            std::thread::scope(|scope| scope.spawn(|| compute(2 * LIMIT)).join().unwrap());
            Poll::<()>::Pending
        });
        assert!(waited.is_pending() && !meter.is_exceeded());
        let computed = meter.measure(Clock::Thread, || {
            compute(LIMIT);
            Poll::Ready(meter.interrupt())
        });
        assert!(matches!(computed, Poll::Ready(Err(_))));
        assert!(meter.is_exceeded());
    }

    #[test]
    fn a_call_whose_limit_begins_anew_stays_long() {
        let meter = CpuMeter::new(Instant::now(), 2 * FOREGROUND);
        for _ in 0..4 {
            let _ = meter.measure(Clock::Thread, || {
                compute(FOREGROUND);
                Poll::<()>::Pending
            });
            assert!(meter.is_long() && !meter.is_exceeded());
            meter.renew_limit();
        }
    }

    #[test]
    fn a_suspended_thread_costs_a_tick_at_most() {
        let meter = CpuMeter::new(Instant::now(), 4 * TICK);
        // Twice, the last measurement was long ago.
        for _ in 0..2 {
            let _ = meter.measure(Clock::Passing, || {
                let began = Instant::now();
                while began.elapsed() < 2 * TICK {}
                assert!(meter.interrupt().is_ok());
                Poll::<()>::Pending
            });
        }
        let used = Duration::from_nanos(meter.used.load(Ordering::Relaxed));
        assert!((2 * TICK..=4 * TICK).contains(&used), "{used:?}");
        assert!(meter.is_long());
    }
}
