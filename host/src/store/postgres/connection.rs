//! A connection that reconnects automatically, shared by all callers of one thread.
//!
//! A connection's bytes are moved by a task on the runtime of the thread that used it first. A thread always uses the
//! same connection, so a call wakes no other thread. Calls are pipelined: they are sent without waiting for earlier
//! replies, and the replies arrive in the same order.

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
    connector::Connector,
    errors,
    session::{Driver, Purpose, Session, drive},
};
use crate::{lifecycle::essential::Essential, store::contract::StoreError};

/// After a connection that lasted less than this, the next attempt to connect is delayed.
const MIN_LIFETIME: Duration = Duration::from_secs(1);
/// How long a connection that may be dead has for a reply before it is used again.
const TRY_TIMEOUT: Duration = Duration::from_millis(500);
/// How long closing waits for the task that maintains the connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection to the server that is opened again whenever it ends.
pub(super) struct ManagedConnection {
    connector: Arc<Connector>,
    purpose: Purpose,
    state: watch::Sender<State>,
    started: AtomicBool,
    closing: watch::Sender<bool>,
    /// The task that maintains the connection, once started.
    task: Mutex<Option<JoinHandle<()>>>,
}

enum State {
    /// Not connected at present.
    Connecting,
    Up(Arc<Session>),
    /// Closed for good.
    Closed,
}

impl ManagedConnection {
    pub(super) fn new(connector: &Arc<Connector>, purpose: Purpose) -> Arc<Self> {
        Arc::new(Self {
            connector: Arc::clone(connector),
            purpose,
            state: watch::Sender::new(State::Connecting),
            started: AtomicBool::new(false),
            closing: watch::Sender::new(false),
            task: Mutex::default(),
        })
    }

    /// Runs a read. If the connection ends meanwhile, runs it once more on the next connection, which is safe for a
    /// read.
    pub(super) async fn read<T, F: Future<Output = Result<T, StoreError>>>(
        self: &Arc<Self>,
        deadline: Instant,
        read: impl Fn(Arc<Session>) -> F,
    ) -> Result<T, StoreError> {
        let session = self.session(deadline).await?;
        let result = self.within(deadline, &session, read(Arc::clone(&session))).await;
        if result.is_err() && session.client.is_closed() && Instant::now() < deadline {
            let session = self.session(deadline).await?;
            return self.within(deadline, &session, read(Arc::clone(&session))).await;
        }
        result
    }

    /// Runs a call on the session. Abandons the session if it does not respond before the deadline.
    pub(super) async fn within<T>(
        &self,
        deadline: Instant,
        session: &Session,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let sent = Instant::now();
        let waiting = session.send();
        let replied = timeout_at(deadline, call).await;
        drop(waiting);
        if let Ok(result) = replied {
            session.hear();
            return result;
        }
        session.abandon();
        self.connector.report_silence(sent);
        Err(self.timed_out())
    }

    /// Waits for the session.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: immediately during an outage, otherwise at the deadline.
    pub(super) async fn session(self: &Arc<Self>, deadline: Instant) -> Result<Arc<Session>, StoreError> {
        self.start();
        if let State::Up(session) = &*self.state.borrow()
            && self.is_usable(session)
        {
            return Ok(Arc::clone(session));
        }
        let (mut state, mut outage) = (self.state.subscribe(), self.connector.outage());
        loop {
            match &*state.borrow_and_update() {
                State::Up(session) if self.is_usable(session) => return Ok(Arc::clone(session)),
                State::Closed => return Err(StoreError::closed()),
                State::Up(_) | State::Connecting => {}
            }
            if let Some(why) = &*outage.borrow_and_update() {
                return Err(StoreError::Unavailable(why.clone()));
            }
            tokio::select! {
                _ = state.changed() => {}
                _ = outage.changed() => {}
                () = tokio::time::sleep_until(deadline) => return Err(self.timed_out()),
            }
        }
    }

    /// Whether the connection is up now.
    pub(super) fn is_up(&self) -> bool {
        matches!(&*self.state.borrow(), State::Up(session) if self.is_usable(session))
    }

    fn is_usable(&self, session: &Session) -> bool {
        !session.client.is_closed() && !self.connector.is_suspect(session)
    }

    /// Starts the task that maintains the connection, on this thread's runtime, unless it has been started already.
    pub(super) fn start(self: &Arc<Self>) {
        if self.started.load(Ordering::Relaxed) || self.started.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if !*self.closing.borrow() {
            *task = Some(tokio::spawn(Arc::clone(self).maintain()));
        }
    }

    /// Closes the connection. Calls that still wait for a reply fail.
    pub(super) async fn close(&self) {
        self.closing.send_replace(true);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.state.send_replace(State::Closed);
        if let Some(mut task) = task
            && timeout(CLOSE_TIMEOUT, &mut task).await.is_err()
        {
            task.abort();
        }
    }

    fn timed_out(&self) -> StoreError {
        StoreError::timed_out("the server did not respond in time", self.connector.timeout())
    }

    async fn maintain(self: Arc<Self>) {
        let _essential = Essential("the task that connects to the store");
        // However this ends, no caller may wait for a connection that does not come.
        let _close = CloseOnDrop(&self.state);
        let mut closing = self.closing.subscribe();
        let mut closing = std::pin::pin!(async move {
            // The sender lives as long as `self`.
            let _ = closing.wait_for(|closing| *closing).await;
        });
        loop {
            let (session, driver) = tokio::select! {
                connected = self.connector.connect(self.purpose) => connected,
                () = &mut closing => return,
            };
            let connected_at = Instant::now();
            tokio::select! {
                () = self.drive(Arc::new(session), driver) => {}
                () = &mut closing => return,
            }
            if connected_at.elapsed() < MIN_LIFETIME {
                self.connector.delay_next().await;
            }
        }
    }

    /// Moves the bytes of a session until it ends.
    async fn drive(&self, session: Arc<Session>, mut driver: Driver) {
        let mut silence = self.connector.silence();
        let why = loop {
            self.state.send_replace(State::Up(Arc::clone(&session)));
            let silent_since = tokio::select! {
                ended = &mut driver => match ended {
                    Ok(()) => break "the connection was closed".to_owned(),
                    Err(error) => break errors::describe(&error),
                },
                () = session.abandoned() => break "the connection was abandoned".to_owned(),
                // The connector, which sends it, outlives this.
                _ = silence.changed() => *silence.borrow_and_update(),
            };
            if silent_since.is_some_and(|sent| session.is_idle_since(sent)) {
                // Nobody uses it meanwhile. An empty query takes no lock, so a locked table does not look like a dead connection.
                self.state.send_replace(State::Connecting);
                let tried = drive(&mut driver, session.client.batch_execute(""));
                match timeout(TRY_TIMEOUT, tried).await {
                    Ok(Ok(())) => session.hear(),
                    Ok(Err(error)) => break errors::describe(&error),
                    Err(_) => break "it was silent, as another connection was".to_owned(),
                }
            }
        };
        self.state.send_replace(State::Connecting);
        tracing::warn!(
            event = "store.connection_lost",
            store = %self.connector.url(),
            %why,
            "connection to the store lost"
        );
    }
}

/// Sets the state to `Closed` when dropped.
struct CloseOnDrop<'a>(&'a watch::Sender<State>);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.send_replace(State::Closed);
    }
}
