//! A database on a PostgreSQL server, which processes on several machines can share.
//!
//! | file | what it does |
//! |---|---|
//! | `errors` | describes a server's errors |
//! | `open_failure` | why a database could not be opened, and whether that may pass |
//! | `certificate` | reads a server's certificate of any version |
//! | `chain` | accepts certificates of a form that only psql accepts |
//! | `tls` | which servers are trusted |
//! | `address` | parses the URL |
//! | `statements` | the statements that every connection prepares |
//! | `session` | one connection with its prepared statements |
//! | `schema` | the database schema, its creation, and the compatibility of its versions |
//! | `connector` | opens connections one at a time, with backoff while the server fails |
//! | `connection` | a connection that reconnects, shared by all callers of one thread |
//! | `reads` | `get` and `scan`, one statement each |
//! | `procedure` | calls the procedure that commits |
//! | `commits` | combines waiting commits into one such call |
//! | `snapshot` | a read transaction on a separate connection |
//!
//! A commit takes a lock on the server and holds it to the end of its transaction, so revisions increase in the order
//! in which commits become visible. `docs/adr/0015-postgresql-with-serialized-commits.md` explains why that is correct,
//! and why it is not slow.

mod address;
mod certificate;
mod chain;
mod commits;
mod connection;
mod connector;
mod errors;
mod open_failure;
mod procedure;
mod reads;
mod schema;
mod session;
mod snapshot;
mod statements;
mod tls;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use self::{
    address::Address,
    commits::{Committer, permits},
    connection::ManagedConnection,
    connector::Connector,
    open_failure::OpenFailure,
    session::Purpose,
    snapshot::PostgresSnapshot,
};
use crate::config::PostgresLocation;
use crate::store::{
    backend::{IfMissing, OpenError, Store},
    complaints::Complaints,
    contract::{Commit, Entry, Key, Outcome, Reason, Scan, StoreError, Stored, check_key_count},
    snapshot::Snapshot,
};

/// Maximum number of calls in flight: several times what a service admits at once by default. Further calls wait,
/// within their deadlines.
const MAX_CALLS: u32 = 1024;

/// Number of connections that commit, if there are at least twice as many connections: one, and one on standby.
const COMMITTERS: usize = 2;

/// Time limit of the health check, so that a hanging server is reported within a second.
const HEALTH_DEADLINE: Duration = Duration::from_millis(800);

/// Checks the URL, and the certificates that it names.
///
/// # Errors
///
/// [`OpenError`], which is final.
pub(super) fn check(location: &PostgresLocation) -> Result<(), OpenError> {
    let address = Address::from_url(&location.url).map_err(OpenFailure::from);
    address.map(drop).map_err(|failure| failure.into_error(&location.url))
}

/// Connects once, and checks that [`PostgresStore::open`] could succeed. Changes nothing.
///
/// # Errors
///
/// [`OpenError`].
pub(super) async fn reach(location: &PostgresLocation) -> Result<(), OpenError> {
    Connector::reach(location).await.map_err(|failure| failure.into_error(&location.url))
}

/// A store in a PostgreSQL database.
pub(super) struct PostgresStore {
    connector: Arc<Connector>,
    /// For reads. Each serving thread uses one of them, if there are enough.
    readers: Vec<Arc<ManagedConnection>>,
    /// For commits. All threads use the first one that is connected, so that all waiting commits share the next call.
    committers: Vec<Committer>,
    /// One permit for each call in flight; closed with the store.
    calls: Arc<Semaphore>,
    timeout: Duration,
    complaints: Complaints,
}

impl PostgresStore {
    /// Opens the database, and creates or migrates the schema that the store needs. `if_missing` says what happens if
    /// the database contains no store.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the server does not respond in time, or the database cannot be used. Nothing is changed then.
    pub(super) async fn open(location: &PostgresLocation, if_missing: IfMissing) -> Result<Self, OpenError> {
        let opened = Connector::open(location, if_missing).await;
        let connector = Arc::new(opened.map_err(|failure| failure.into_error(&location.url))?);
        let connections = usize::from(location.connections);
        let committers = COMMITTERS.min(connections / 2).max(1);
        let new_connections = |count: usize, purpose| {
            let connector = &connector;
            (0..count).map(move |_| ManagedConnection::new(connector, purpose))
        };
        Ok(Self {
            readers: new_connections(connections.saturating_sub(committers).max(1), Purpose::Reads).collect(),
            committers: new_connections(committers, Purpose::Commits)
                .map(|connection| Committer::new(connection, location.timeout))
                .collect(),
            connector,
            calls: Arc::new(Semaphore::new(permits(MAX_CALLS))),
            timeout: location.timeout,
            complaints: Complaints::default(),
        })
    }

    /// Passes on the result of a call, after reporting a failure that does not pass by itself.
    fn note<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        self.complaints.note(self.connector.url(), &result);
        result
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Waits for permission to make a call.
    async fn admit(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, StoreError> {
        let calls = Arc::clone(&self.calls);
        match timeout_at(deadline, calls.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_closed)) => Err(StoreError::closed()),
            Err(_) => Err(StoreError::timed_out(
                "too many calls are in flight, and none finished in time",
                self.timeout,
            )),
        }
    }

    /// Returns this thread's connection, or any connected one while this thread's is down.
    fn reader(&self) -> Result<&Arc<ManagedConnection>, StoreError> {
        let own = THREAD_NUMBER.with(|number| number.checked_rem(self.readers.len()));
        let (before, from_own) = self.readers.split_at(own.unwrap_or_default());
        first_connected(from_own.iter().chain(before), |connection| connection)
    }

    fn committer(&self) -> Result<&Committer, StoreError> {
        // All are started, so that one is connected when the first fails.
        self.committers.iter().for_each(|committer| committer.connection().start());
        first_connected(self.committers.iter(), Committer::connection)
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn get(&self, keys: Vec<Key>) -> Result<Vec<Option<Stored>>, StoreError> {
        check_key_count(keys.len())?;
        let deadline = self.deadline();
        let _call = self.admit(deadline).await?;
        let keys = &keys;
        let read =
            self.reader()?.read(deadline, |session| async move { reads::get(&session, keys).await }).await;
        self.note(read)
    }

    async fn scan(&self, scan: Scan) -> Result<Vec<Entry>, StoreError> {
        let deadline = self.deadline();
        let _call = self.admit(deadline).await?;
        let scan = &scan;
        let read =
            self.reader()?.read(deadline, |session| async move { reads::scan(&session, scan).await }).await;
        self.note(read)
    }

    async fn commit(&self, commit: Commit) -> Result<Outcome, StoreError> {
        let deadline = self.deadline();
        let call = self.admit(deadline).await?;
        let committed = self.committer()?.commit(commit, call, deadline).await;
        self.note(committed)
    }

    async fn snapshot(&self, after: Option<Key>) -> Result<Box<dyn Snapshot>, StoreError> {
        // The call ends when the snapshot has started: its connection is not one of the limited ones.
        let _call = self.admit(self.deadline()).await?;
        let connected = self.connector.connect_once(self.deadline()).await?;
        Ok(Box::new(PostgresSnapshot::begin(connected, after, self.timeout).await?))
    }

    async fn health(&self) -> Result<(), StoreError> {
        let deadline = Instant::now() + HEALTH_DEADLINE;
        let call = Arc::new(self.admit(deadline).await?);
        let (reader, committer) = (Arc::clone(self.reader()?), self.committer()?.clone());
        // The probes continue after this check has returned: an unresponsive connection must be abandoned even if no
        // request arrives, because this service is not ready.
        let (probe_deadline, commit_call) = (self.deadline(), Arc::clone(&call));
        let reads = spawn_until(deadline, "no read completed in time", async move {
            let _call = call;
            reader.read(probe_deadline, |session| async move { reads::probe(&session).await }).await
        });
        let commits = spawn_until(deadline, "no commit acquired the lock in time", async move {
            let _call = commit_call;
            committer.probe(probe_deadline).await
        });
        let (reads, commits) = tokio::join!(reads, commits);
        self.note(reads.and(commits))
    }

    async fn close(&self) {
        // Waits for all calls, including commits whose callers have stopped waiting.
        let Ok(_all) = self.calls.acquire_many(MAX_CALLS).await else { return };
        self.calls.close();
        for connection in self.readers.iter().chain(self.committers.iter().map(Committer::connection)) {
            connection.close().await;
        }
        tracing::info!(event = "store.closed", store = %self.connector.url(), "store closed");
    }
}

/// Runs a task and waits for it until the deadline. The task continues after that.
async fn spawn_until(
    deadline: Instant,
    timeout_error: &'static str,
    work: impl Future<Output = Result<(), StoreError>> + Send + 'static,
) -> Result<(), StoreError> {
    match timeout_at(deadline, tokio::spawn(work)).await {
        Ok(Ok(result)) => result,
        Ok(Err(failed)) => Err(Reason::new(timeout_error).with_detail(failed).into()),
        Err(_) => Err(StoreError::timed_out(timeout_error, HEALTH_DEADLINE)),
    }
}

thread_local! {
    /// The number of this thread, which selects its read connection.
    static THREAD_NUMBER: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Ordering::Relaxed)
    };
}

/// Returns the first element whose connection is up, or else the first element. Starts the connection of the first
/// element in any case.
fn first_connected<'a, T>(
    mut all: impl Iterator<Item = &'a T> + Clone,
    connection: impl Fn(&T) -> &Arc<ManagedConnection>,
) -> Result<&'a T, StoreError> {
    let first = all.clone().next().ok_or_else(StoreError::closed)?;
    if connection(first).is_up() {
        return Ok(first);
    }
    connection(first).start();
    Ok(all.find(|other| connection(other).is_up()).unwrap_or(first))
}
