//! The activity of a connection, with its start and its timeout.
//!
//! hyper's own header timeout cannot tell a silent connection from a slow request. Here one timer watches the
//! connection through its activities: idle, receiving a head, busy, flushing.

use std::{
    any::Any,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Context,
};

use http::Version;
use tokio::time::{Duration, Instant};

use crate::{
    config::LimitsConfig,
    http::{
        departure::{Sign, Watch},
        reading::Reading,
        response::ResponseGuard,
        service::Admission,
    },
    lifecycle::shutdown::Phase,
    sandbox::response_body::Unread,
};

/// How long a busy connection without a response may outlast the timeout of its request, which should end it.
const GRACE: Duration = Duration::from_secs(2);
/// How long an idle connection stays open after the listener has closed: a client that has just connected, or
/// has just read a response, may be about to send a request.
const LINGER: Duration = Duration::from_secs(1);
/// How long a connection waits for the component to continue its response. The limits of the call end it earlier.
const RESPONDING: Duration = Duration::from_secs(24 * 60 * 60);
/// The idle and head timeouts of a connection beyond the limit: long enough for a health probe, or for the
/// response that reports the limit.
const SPARE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection may stay in each activity.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    idle: Duration,
    head: Duration,
    busy: Duration,
}

impl From<&LimitsConfig> for Timeouts {
    fn from(config: &LimitsConfig) -> Self {
        Self {
            idle: config.idle_timeout.0,
            head: config.header_timeout.0,
            busy: config.request_timeout.0.saturating_add(GRACE),
        }
    }
}

impl Timeouts {
    /// The timeouts of a connection with this admission.
    pub fn for_admission(self, admission: Admission) -> Self {
        match admission {
            Admission::Full => self,
            Admission::HealthOnly => Self { idle: SPARE_TIMEOUT, head: SPARE_TIMEOUT, busy: self.busy },
        }
    }
}

/// The number of requests in flight on all connections, each from its head to the last byte of its response and the end of its
/// call. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct InFlightCount(Arc<AtomicUsize>);

impl InFlightCount {
    /// The present count.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// The activity of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// None: every request has its response, whose last byte is with the operating system.
    Idle,
    /// The first bytes of a request have arrived.
    ReadingHead,
    /// A request is in flight.
    Busy,
    /// The last byte of a response has been handed to hyper, which has not written all of it yet.
    Flushing,
    /// The socket is to be reset.
    Cut,
}

impl Activity {
    /// Whether the connection is between two responses, so that there is nothing to write.
    pub fn is_between_responses(self) -> bool {
        matches!(self, Self::Idle | Self::ReadingHead)
    }
}

/// The activity of a connection, and its start. Its socket, its request and its timer share it. All of them live
/// in one task, so the lock is never contended.
#[derive(Clone, Debug)]
pub struct ActivityTracker(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    activity: Activity,
    since: Instant,
    /// How its client reads the present response.
    reading: Reading,
    /// What the client has not read yet of the present response, if a component writes it.
    unread: Option<Arc<Unread>>,
    /// Whether its client is watched.
    watch: Watch,
    /// A request has started, and [`ActivityTracker::take_started`] has not reported it yet.
    started: bool,
    in_flight: InFlightCount,
    /// Counts the present request until its response is flushed, or the connection is gone. Its call holds it, too.
    counted: Option<Arc<Counted>>,
}

impl ActivityTracker {
    /// Starts idle, and adds the connection's requests to `in_flight`.
    pub fn new(in_flight: InFlightCount) -> Self {
        let (activity, since) = (Activity::Idle, Instant::now());
        Self(Arc::new(Mutex::new(State {
            activity,
            since,
            reading: Reading::default(),
            unread: None,
            watch: Watch::default(),
            started: false,
            in_flight,
            counted: None,
        })))
    }

    /// The present activity.
    pub fn get(&self) -> Activity {
        self.state().activity
    }

    /// Sets the activity, and restarts its time.
    pub fn set(&self, activity: Activity) {
        let mut state = self.state();
        (state.activity, state.since) = (activity, Instant::now());
        if activity.is_between_responses() {
            (state.counted, state.unread) = (None, None);
        }
    }

    /// Marks the connection as busy with a request until the guard is dropped.
    pub fn start_request(&self, version: Version) -> BusyGuard {
        self.set(Activity::Busy);
        let mut state = self.state();
        state.started = true;
        (state.reading, state.unread, state.watch) = (Reading::default(), None, Watch::new(version));
        state.counted = Some(Arc::new(Counted::new(&state.in_flight)));
        drop(state);
        BusyGuard(self.clone())
    }

    /// What shows that the client of the present request has left; `None` if it is not watched.
    pub fn watch(&self) -> Option<Sign> {
        let state = self.state();
        if state.activity == Activity::Busy { state.watch.sign(state.call_goes_on()) } else { None }
    }

    /// When the client is to be watched from, unless it is already.
    pub fn watch_starts_at(&self) -> Option<Instant> {
        let state = self.state();
        if state.activity == Activity::Busy { state.watch.starts_at() } else { None }
    }

    /// The client is watched from now on.
    pub fn start_watch(&self) {
        self.state().watch.start();
    }

    /// The client holds up the present response.
    pub fn wait_for_reader(&self) {
        self.state().reading.wait(Instant::now());
    }

    /// The operating system has accepted bytes of the present response.
    pub fn add_sent(&self, bytes: usize) {
        self.state().reading.add_sent(bytes, Instant::now);
    }

    /// Whether the present response has failed while its client holds it up: hyper does not look at it then.
    pub fn poll_failed(&self, context: &Context<'_>) -> bool {
        let state = self.state();
        state.reading.is_held_up() && state.unread.as_ref().is_some_and(|unread| unread.poll_failed(context))
    }

    /// Whether a request has started since the last call, and is still in flight.
    pub fn take_started(&self) -> bool {
        let mut state = self.state();
        std::mem::take(&mut state.started) && state.activity == Activity::Busy
    }

    /// When the present activity times out.
    pub fn deadline(&self, timeouts: Timeouts, phase: Phase) -> Instant {
        let (activity, since, reading) = {
            let state = self.state();
            (state.activity, state.since, state.reading)
        };
        match (activity, phase) {
            (Activity::Idle, Phase::Stopping(stopped)) => stopped.max(since + LINGER),
            (Activity::Idle, _) => since + timeouts.idle,
            (Activity::ReadingHead, _) => since + timeouts.head,
            (Activity::Busy | Activity::Flushing | Activity::Cut, phase) => {
                match reading_deadline(reading, phase) {
                    Some(deadline) => deadline,
                    None if reading.has_begun() => since + RESPONDING,
                    None => since + timeouts.busy,
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn call_goes_on(&self) -> bool {
        self.counted.as_ref().is_some_and(|counted| Arc::strong_count(counted) > 1)
    }
}

/// Held from the head of a request until the last byte of its response has been handed to hyper.
#[derive(Debug)]
pub struct BusyGuard(ActivityTracker);

impl ResponseGuard for BusyGuard {
    fn begin_call(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        let mut state = self.0.state();
        state.watch.begin_call(Instant::now());
        Some(state.counted.clone()?)
    }

    fn begin_response(&self, unread: Option<Arc<Unread>>, is_open_ended: bool) {
        let mut state = self.0.state();
        state.unread = unread;
        state.watch.begin_response(is_open_ended);
    }

    fn is_cut_for_reading(&self) -> bool {
        let state = self.0.state();
        state.activity == Activity::Cut && state.reading.is_held_up()
    }
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        // The connection may be about to be cut already.
        if self.0.get() == Activity::Busy {
            self.0.set(Activity::Flushing);
        }
    }
}

fn reading_deadline(reading: Reading, phase: Phase) -> Option<Instant> {
    match phase {
        Phase::Stopping(stopped) => reading.deadline_at_stop(stopped),
        _ => reading.deadline(),
    }
}

/// Counts one request as long as its connection or its call holds it.
#[derive(Debug)]
struct Counted(InFlightCount);

impl Counted {
    fn new(count: &InFlightCount) -> Self {
        count.0.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
