//! What a connection is doing. That decides how long it may last, and which place it occupies.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::{
    sync::Notify,
    time::{Duration, Instant},
};

use super::{endpoint::Client, newcomers::Newcomer, places::Place};
use crate::http::reading::{MIN_RATE, MIN_WAIT, time_at_rate};

/// How long the head of a request, some hundred bytes, may take to arrive and be authenticated, and a client that is rejected
/// to take its response.
const NEWCOMER_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a request may be handled: as long as the commands of this program wait for the response to a push.
const HANDLING_TIMEOUT: Duration = Duration::from_secs(90);
/// How long a client may follow events. After that, it must reconnect.
const FOLLOWING_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// A connection's stage. The connection, its socket and the handler of its request share it.
#[derive(Debug)]
pub(super) struct Stage {
    /// The client, unless it has disconnected already.
    pub(super) client: Option<Client>,
    state: Mutex<State>,
    /// The deadline may be earlier than before.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    holds: Holds,
    deadline: Instant,
    /// Since when the socket takes nothing, because the client reads nothing.
    blocked_since: Option<Instant>,
}

/// What a connection holds for its drop.
#[derive(Debug)]
enum Holds {
    Newcomer(#[allow(dead_code, reason = "held for its drop")] Newcomer),
    Place(#[allow(dead_code, reason = "held for its drop")] Place),
    Nothing,
}

impl Stage {
    pub(super) fn new(client: Option<Client>, newcomer: Newcomer) -> Self {
        let deadline = Instant::now() + NEWCOMER_TIMEOUT;
        let state = State { holds: Holds::Newcomer(newcomer), deadline, blocked_since: None };
        Self { client, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Whether no request was authenticated yet, or there was no place for it.
    pub(super) fn is_newcomer(&self) -> bool {
        matches!(self.state().holds, Holds::Newcomer(_))
    }

    /// A request was authenticated and has a place.
    pub(super) fn start_handling(&self, place: Place) {
        let mut state = self.state();
        state.holds = Holds::Place(place);
        state.deadline = Instant::now() + HANDLING_TIMEOUT;
    }

    /// The request was handled; its response has `size` bytes, or no end. The client has to read it as fast as on the public side. A client without a place has no more time than before.
    pub(super) fn start_response(&self, size: Option<u64>) {
        let mut state = self.state();
        if !matches!(state.holds, Holds::Place(_)) {
            return;
        }
        let time = size.map_or(FOLLOWING_TIMEOUT, |size| MIN_WAIT.max(time_at_rate(size, MIN_RATE)));
        state.deadline = Instant::now() + time;
        self.changed.notify_one();
    }

    /// The response was sent: the request occupies no place any more.
    pub(super) fn release_place(&self) {
        self.state().holds = Holds::Nothing;
    }

    /// The socket has taken bytes, or takes none because the client reads none.
    pub(super) fn note_write(&self, is_blocked: bool) {
        let mut state = self.state();
        if !is_blocked {
            state.blocked_since = None;
        } else if state.blocked_since.is_none() {
            state.blocked_since = Some(Instant::now());
            self.changed.notify_one();
        }
    }

    /// When the connection has to end, unless its stage changes.
    pub(super) fn deadline(&self) -> Instant {
        let state = self.state();
        state.blocked_since.map_or(state.deadline, |since| state.deadline.min(since + MIN_WAIT))
    }

    /// Waits until the deadline has passed.
    pub(super) async fn ended(&self) {
        loop {
            let deadline = self.deadline();
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => {
                    if self.deadline() <= deadline {
                        return;
                    }
                }
                () = self.changed.notified() => {}
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
