//! What a connection is doing, since when, and how long it may go on with that.
//!
//! hyper's own header timeout cannot tell a silent connection from a slow request. Here one timer watches
//! the connection through its phases: idle, receiving a head, busy, flushing.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use tokio::time::{Duration, Instant};

use crate::{config::LimitsConfig, http::service::Admission, lifecycle::shutdown::Phase};

/// How long a busy connection may outlast the time of its request, to write an answer to a slow reader.
const GRACE: Duration = Duration::from_secs(2);
/// How long a silent connection is kept once no more are accepted: a client that has just connected, or has
/// just read an answer, may be about to ask.
const LINGER: Duration = Duration::from_secs(1);
/// How long a connection beyond the limit is listened to: long enough to be told so, or for a health probe.
const SPARE_PATIENCE: Duration = Duration::from_secs(2);

/// How long a connection may stay in each of its phases.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    idle: Duration,
    head: Duration,
    busy: Duration,
}

impl From<&LimitsConfig> for Patience {
    fn from(config: &LimitsConfig) -> Self {
        Self {
            idle: config.idle_timeout.0,
            head: config.header_timeout.0,
            busy: config.request_timeout.0.saturating_add(GRACE),
        }
    }
}

impl Patience {
    /// What is left of it for a connection that is one too many.
    pub fn with(self, admission: Admission) -> Self {
        match admission {
            Admission::Full => self,
            Admission::HealthOnly => Self { idle: SPARE_PATIENCE, head: SPARE_PATIENCE, busy: self.busy },
        }
    }
}

/// How many requests are under way on all connections: from their heads to the last bytes of their answers.
#[derive(Clone, Debug, Default)]
pub struct BusyCount(Arc<AtomicUsize>);

impl BusyCount {
    /// The present count.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Nothing: all that was asked is answered, and the last byte of that is with the operating system.
    Idle,
    /// The first bytes of a request have arrived.
    Head,
    /// A request is being answered.
    Busy,
    /// The last byte of an answer has been handed to hyper, which has not written all of it yet.
    Flushing,
    /// The socket is to be reset.
    Cut,
}

impl Doing {
    /// Whether the connection is between two answers: nothing is under way on it that could be written.
    pub fn is_between_answers(self) -> bool {
        matches!(self, Self::Idle | Self::Head)
    }
}

/// What a connection is doing, and since when. Shared by its socket, its request and its timer, which all
/// live in one task: the lock is never waited for.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    doing: Doing,
    since: Instant,
    /// A request has begun, and nobody has asked for that yet.
    begun: bool,
    count: BusyCount,
    /// Counts the request under way until it is flushed, or the connection is gone.
    counted: Option<Counted>,
}

impl Clock {
    /// Begins idle. `count` is told of its requests.
    pub fn new(count: BusyCount) -> Self {
        let (doing, since) = (Doing::Idle, Instant::now());
        Self(Arc::new(Mutex::new(State { doing, since, begun: false, count, counted: None })))
    }

    /// What the connection is doing.
    pub fn doing(&self) -> Doing {
        self.state().doing
    }

    /// It does this from now on.
    pub fn set(&self, doing: Doing) {
        let mut state = self.state();
        (state.doing, state.since) = (doing, Instant::now());
        if doing.is_between_answers() {
            state.counted = None;
        }
    }

    /// A request is being answered, until the guard is dropped.
    pub fn enter(&self) -> Busy {
        self.set(Doing::Busy);
        let mut state = self.state();
        state.begun = true;
        state.counted = Some(Counted::begin(&state.count));
        drop(state);
        Busy(self.clone())
    }

    /// Whether a request has begun since this was last asked, and is still being answered.
    pub fn take_begun(&self) -> bool {
        let mut state = self.state();
        std::mem::take(&mut state.begun) && state.doing == Doing::Busy
    }

    /// When this has gone on for too long.
    pub fn due(&self, patience: Patience, phase: Phase) -> Instant {
        let State { doing, since, .. } = *self.state();
        match (doing, phase) {
            (Doing::Idle, Phase::Stopping(stopped)) => stopped.max(since + LINGER),
            (Doing::Idle, _) => since + patience.idle,
            (Doing::Head, _) => since + patience.head,
            (Doing::Busy | Doing::Flushing | Doing::Cut, _) => since + patience.busy,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request being answered: from its head until the last byte of its answer has been handed to hyper.
#[derive(Debug)]
pub struct Busy(Clock);

impl Drop for Busy {
    fn drop(&mut self) {
        // Unless the connection is being cut under it.
        if self.0.doing() == Doing::Busy {
            self.0.set(Doing::Flushing);
        }
    }
}

#[derive(Debug)]
struct Counted(BusyCount);

impl Counted {
    fn begin(count: &BusyCount) -> Self {
        count.0.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
