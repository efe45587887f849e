//! One connection with its prepared statements.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tokio_postgres::{
    AsyncMessage, Client, Connection, Error, Socket,
    error::{DbError, Severity},
    tls::MakeTlsConnect,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{address::Address, statements::Statements};

/// The most kinds of warning that one session logs.
const MAX_LOGGED_WARNINGS: usize = 8;
/// The routines of the server whose warnings say nothing about a commit: RAISE in a function, such as a trigger of the
/// database's owner, and the reminders to vacuum, long before transaction ids run out.
const HARMLESS: [&str; 3] = ["exec_stmt_raise", "GetNewTransactionId", "GetNewMultiXactId"];

/// What a session is for. It decides which waits the server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Reads: the server cancels a statement that takes too long.
    Reads,
    /// Commits: the server ends the wait for a lock, and nothing else. If it cancelled a statement during its commit,
    /// it would only stop waiting for its standbys, and report success for what a failover may lose.
    Commits,
    /// Creates the schema. Its commit is one like those above.
    Schema,
}

/// How often the server has warned that it might not have done what it reports as done.
#[derive(Clone, Debug, Default)]
pub(super) struct Doubts(Arc<AtomicU64>);

impl Doubts {
    /// The number of warnings so far. If it is the same before a call is sent and after its reply has arrived, the
    /// server did not warn about that call: a warning precedes the reply.
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// The half of a connection that moves its bytes; nothing happens unless it is polled. Ends with the connection.
pub(super) struct Driver {
    connection: Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>,
    doubts: Doubts,
    /// The routines of the server whose warnings have been logged.
    logged: Vec<String>,
}

impl Driver {
    /// How often the server has warned on this connection.
    pub(super) fn doubts(&self) -> u64 {
        self.doubts.count()
    }

    fn warned(&mut self, warning: &DbError) {
        let is_warning = match warning.parsed_severity() {
            Some(severity) => severity == Severity::Warning,
            // The other text is localised, and means a warning unless it is known to mean less.
            None => !matches!(warning.severity(), "NOTICE" | "INFO" | "LOG" | "DEBUG"),
        };
        if !is_warning {
            return;
        }
        let routine = warning.routine().unwrap_or("unknown");
        if !HARMLESS.contains(&routine) {
            self.doubts.0.fetch_add(1, Ordering::Release);
        }
        if self.logged.len() < MAX_LOGGED_WARNINGS && !self.logged.iter().any(|known| known == routine) {
            self.logged.push(routine.to_owned());
            // Without the message, which may contain names and values.
            tracing::warn!(
                event = "store.server_warning",
                routine,
                code = warning.code().code(),
                "PostgreSQL warned about a call"
            );
        }
    }
}

impl Future for Driver {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        while let Some(message) = ready!(self.connection.poll_message(context)?) {
            if let AsyncMessage::Notice(notice) = message {
                self.warned(&notice);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// A connection that is ready for calls. Calls are pipelined, and replies arrive in the same order.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) statements: Statements,
    doubts: Doubts,
    abandoned: Notify,
    /// When the server last replied.
    heard: Mutex<Instant>,
    /// The number of calls that wait for a reply.
    waiting: AtomicUsize,
}

/// A call that waits for its reply, until this is dropped.
pub(super) struct Waiting<'a>(&'a Session);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Session {
    /// Connects and prepares the statements. `timeout` is the time limit of a call.
    pub(super) async fn connect(
        address: &Address,
        purpose: Purpose,
        timeout: Duration,
    ) -> Result<(Self, Driver), Error> {
        let (client, mut driver) = connect(address, purpose, timeout).await?;
        let statements = drive(&mut driver, Statements::prepare(&client)).await?;
        let doubts = driver.doubts.clone();
        let session = Self {
            client,
            statements,
            doubts,
            abandoned: Notify::new(),
            heard: Mutex::new(Instant::now()),
            waiting: AtomicUsize::new(0),
        };
        Ok((session, driver))
    }

    /// How often the server has warned on this connection.
    pub(super) fn doubts(&self) -> u64 {
        self.doubts.count()
    }

    /// Returns the client without the statements.
    pub(super) fn into_client(self) -> Client {
        self.client
    }

    /// Counts a call that is sent now.
    pub(super) fn send(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(self)
    }

    /// The server has replied.
    pub(super) fn hear(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Whether the server has not replied since that moment, and no call waits for a reply, so that nothing shows whether the
    /// connection still works.
    pub(super) fn is_idle_since(&self, moment: Instant) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0
            && *self.heard.lock().unwrap_or_else(PoisonError::into_inner) < moment
    }

    /// Ends the connection. Calls that wait for a reply fail.
    pub(super) fn abandon(&self) {
        self.abandoned.notify_one();
    }

    /// Waits until the session is abandoned.
    pub(super) async fn abandoned(&self) {
        self.abandoned.notified().await;
    }
}

/// Connects and applies the settings of a session.
pub(super) async fn connect(
    address: &Address,
    purpose: Purpose,
    timeout: Duration,
) -> Result<(Client, Driver), Error> {
    let (client, connection) = address.config.connect(address.tls.clone()).await?;
    let mut driver = Driver { connection, doubts: Doubts::default(), logged: Vec::new() };
    drive(&mut driver, client.batch_execute(&session_settings(purpose, timeout))).await?;
    Ok((client, driver))
}

/// Runs a call while no other task drives the connection.
pub(super) async fn drive<T>(
    driver: &mut Driver,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        result = &mut work => result,
        // The client has been notified too, and its error says why; an end without an error was caused by the server.
        ended = driver => match ended {
            Err(error) => Err(error),
            Ok(()) => work.await,
        },
    }
}

/// The settings that a session needs, whatever the server's defaults are.
///
/// - Read committed: a statement of a procedure sees what was committed before the statement began. A stricter
///   isolation level would show what was committed before the procedure waited for the lock.
/// - Acknowledged commits are durable. A stricter setting of the server stays in force.
/// - The server ends a read, or the wait of a commit for its lock, a little before this program abandons the connection.
///   It never ends a commit: see [`Purpose`].
/// - The server sends its warnings, on which [`Doubts`] depend.
/// - Every statement finds its rows by key. Plans are made once, when the tables may still be empty; without these
///   settings, the server might choose full scans.
fn session_settings(purpose: Purpose, timeout: Duration) -> String {
    let limit = (timeout * 9 / 10).as_millis().max(1);
    let (statement_timeout, lock_timeout) = match purpose {
        Purpose::Reads => (limit, 0),
        Purpose::Commits | Purpose::Schema => (0, limit),
    };
    format!(
        "SET search_path = pg_catalog; \
         SET default_transaction_isolation = 'read committed'; \
         SELECT set_config('synchronous_commit', 'on', false) \
             WHERE current_setting('synchronous_commit') = 'off'; \
         SET statement_timeout = {statement_timeout}; \
         SET lock_timeout = {lock_timeout}; \
         SET client_min_messages = warning; \
         SET idle_in_transaction_session_timeout = {limit}; \
         SET plan_cache_mode = force_generic_plan; \
         SET enable_seqscan = off; SET enable_bitmapscan = off; \
         SET enable_hashjoin = off; SET enable_mergejoin = off; \
         SET jit = off"
    )
}
