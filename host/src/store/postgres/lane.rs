//! A connection that is kept up, shared by all who call on one thread.
//!
//! What moves a connection's bytes is a task on the runtime of the thread that used it first; a thread keeps to its lane,
//! so that a call wakes no other thread. Calls do not take turns: they are sent one behind the other, and answered so.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

use super::{
    gate::Gate,
    session::{Driver, Session},
    words,
};
use crate::store::contract::StoreError;

/// A connection that does not last this long must not be made anew at once.
const SHORT_LIFE: Duration = Duration::from_secs(1);
/// How long what keeps a connection up may take to end.
const GOODBYE: Duration = Duration::from_secs(1);

/// One connection, or the attempt to have one.
pub(super) struct Lane {
    gate: Arc<Gate>,
    state: watch::Sender<State>,
    begun: AtomicBool,
    closing: watch::Sender<bool>,
    /// What keeps the connection up, once it has begun.
    keeper: Mutex<Option<JoinHandle<()>>>,
}

enum State {
    /// There is none yet, or not again.
    Connecting,
    Up(Arc<Session>),
    /// There will be none any more.
    Closed,
}

impl Lane {
    pub(super) fn new(gate: &Arc<Gate>) -> Arc<Self> {
        Arc::new(Self {
            gate: Arc::clone(gate),
            state: watch::Sender::new(State::Connecting),
            begun: AtomicBool::new(false),
            closing: watch::Sender::new(false),
            keeper: Mutex::default(),
        })
    }

    /// Reads something. If the connection ends meanwhile, it is read once more over the next one: that changes nothing.
    pub(super) async fn read<T, F: Future<Output = Result<T, StoreError>>>(
        self: &Arc<Self>,
        deadline: Instant,
        what: impl Fn(Arc<Session>) -> F,
    ) -> Result<T, StoreError> {
        let session = self.session(deadline).await?;
        let read = self.within(deadline, &session, what(Arc::clone(&session))).await;
        if read.is_err() && session.client.is_closed() && Instant::now() < deadline {
            let session = self.session(deadline).await?;
            return self.within(deadline, &session, what(Arc::clone(&session))).await;
        }
        read
    }

    /// Does something with the connection; one that does not answer in time is given up.
    pub(super) async fn within<T>(
        &self,
        deadline: Instant,
        session: &Session,
        what: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        timeout_at(deadline, what).await.unwrap_or_else(|_| {
            session.give_up();
            Err(self.late())
        })
    }

    /// The connection, once there is one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] at once if the last attempts to connect have failed, else at the deadline.
    pub(super) async fn session(self: &Arc<Self>, deadline: Instant) -> Result<Arc<Session>, StoreError> {
        self.begin();
        if let State::Up(session) = &*self.state.borrow()
            && !session.client.is_closed()
        {
            return Ok(Arc::clone(session));
        }
        let (mut state, mut trouble) = (self.state.subscribe(), self.gate.trouble());
        loop {
            match &*state.borrow_and_update() {
                State::Up(session) if !session.client.is_closed() => return Ok(Arc::clone(session)),
                State::Closed => return Err(StoreError::closed()),
                State::Up(_) | State::Connecting => {}
            }
            if let Some(why) = &*trouble.borrow_and_update() {
                return Err(StoreError::Unavailable(why.clone()));
            }
            tokio::select! {
                _ = state.changed() => {}
                _ = trouble.changed() => {}
                () = tokio::time::sleep_until(deadline) => return Err(self.late()),
            }
        }
    }

    /// Whether there is a connection now.
    pub(super) fn is_up(&self) -> bool {
        matches!(&*self.state.borrow(), State::Up(session) if !session.client.is_closed())
    }

    /// Has the connection kept up from now on, by this thread's runtime.
    pub(super) fn begin(self: &Arc<Self>) {
        if self.begun.load(Ordering::Relaxed) || self.begun.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if !*self.closing.borrow() {
            *keeper = Some(tokio::spawn(Arc::clone(self).keep_up()));
        }
    }

    /// Lets the connection go. Whoever still waits for an answer has none.
    pub(super) async fn close(&self) {
        self.closing.send_replace(true);
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.state.send_replace(State::Closed);
        if let Some(mut keeper) = keeper
            && timeout(GOODBYE, &mut keeper).await.is_err()
        {
            keeper.abort();
        }
    }

    fn late(&self) -> StoreError {
        StoreError::Unavailable(format!("the server did not answer within {:?}", self.gate.timeout()))
    }

    async fn keep_up(self: Arc<Self>) {
        // However this ends, nobody is to wait for a connection that does not come.
        let _closed = Ending(&self.state);
        let mut closing = self.closing.subscribe();
        let mut closing = std::pin::pin!(async move {
            // The sender lives as long as this lane.
            let _ = closing.wait_for(|closing| *closing).await;
        });
        loop {
            let (session, driver) = tokio::select! {
                connected = self.gate.connect() => connected,
                () = &mut closing => return,
            };
            let began = Instant::now();
            tokio::select! {
                () = self.serve(Arc::new(session), driver) => {}
                () = &mut closing => return,
            }
            if began.elapsed() < SHORT_LIFE {
                self.gate.hold_off().await;
            }
        }
    }

    /// Moves the bytes of a connection until it ends.
    async fn serve(&self, session: Arc<Session>, mut driver: Driver) {
        self.state.send_replace(State::Up(Arc::clone(&session)));
        let why = tokio::select! {
            ended = &mut driver => match ended {
                Ok(()) => "it was closed".to_owned(),
                Err(error) => words::explain(&error),
            },
            () = session.given_up() => "it was given up".to_owned(),
        };
        self.state.send_replace(State::Connecting);
        tracing::warn!(store = %self.gate.url(), %why, "a connection to the store has ended");
    }
}

/// Closes a lane when it is dropped.
struct Ending<'a>(&'a watch::Sender<State>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.send_replace(State::Closed);
    }
}
