//! A database on a PostgreSQL server, which several processes on several machines may share.
//!
//! | file | what it does |
//! |---|---|
//! | `words` | how a server's errors are worded |
//! | `tls` | which servers are trusted |
//! | `address` | what a URL says |
//! | `statements` | the statements that every connection prepares |
//! | `session` | one connection, from its first byte to its prepared statements |
//! | `schema` | what the database contains, how it gets there, and which versions go together |
//! | `gate` | makes connections one at a time, and ever more rarely while they fail |
//! | `lane` | a connection that is kept up, shared by all callers of one thread |
//! | `reads` | `get` and `scan`, one statement each |
//! | `call` | the call of the procedure that commits |
//! | `commits` | commits that wait share one such call |
//! | `snapshot` | a transaction on a connection of its own |
//!
//! Commits take a lock on the server that each transaction holds to its end, so that revisions rise in the order in which
//! commits become visible; see `docs/adr/0015-postgresql-with-serialized-commits.md` for why that is right, and why it is not slow.

mod address;
mod call;
mod commits;
mod gate;
mod lane;
mod reads;
mod schema;
mod session;
mod snapshot;
mod statements;
mod tls;
mod words;

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
    commits::{Committer, permits},
    gate::Gate,
    lane::Lane,
    snapshot::PostgresSnapshot,
};
use crate::config::PostgresLocation;
use crate::store::{
    backend::{Missing, OpenError, Store},
    contract::{Commit, Entry, Key, Outcome, Scan, StoreError, Stored, check_key_count},
    snapshot::Snapshot,
};

/// Most calls under way: several times what a service admits at once by default. More wait, within their deadlines.
const MAX_CALLS: u32 = 1024;

/// Connections that commit, if there are twice as many: one, and one that stands in for it.
const COMMITTERS: usize = 2;

/// How long the health check takes at most: whoever asks learns of a server that hangs within a second.
const HEALTH_DEADLINE: Duration = Duration::from_millis(800);

/// A store in a database of a server.
pub(super) struct PostgresStore {
    gate: Arc<Gate>,
    /// For reading. A thread that serves keeps to one of them, if there are enough.
    readers: Vec<Arc<Lane>>,
    /// For commits. All threads use the first that is up, so that whatever waits shares the next turn.
    committers: Vec<Committer>,
    /// One permit for each call; closed when the store is.
    calls: Arc<Semaphore>,
    timeout: Duration,
}

impl PostgresStore {
    /// Opens the database, and makes or migrates what the store needs in it. Where there is no store in it, makes one or
    /// refuses, as told.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the server does not answer in time, or the database cannot be used. Nothing is changed then.
    pub(super) async fn open(location: &PostgresLocation, missing: Missing) -> Result<Self, OpenError> {
        let gate = Gate::open(location, missing).await.map_err(|why| {
            OpenError(format!("cannot open the store {}: {}", location.url, words::one_line(&why)))
        })?;
        let gate = Arc::new(gate);
        let connections = usize::from(location.connections);
        let committers = COMMITTERS.min(connections / 2).max(1);
        let lanes = |count: usize| (0..count).map(|_| Lane::new(&gate));
        Ok(Self {
            readers: lanes(connections.saturating_sub(committers).max(1)).collect(),
            committers: lanes(committers).map(|lane| Committer::new(lane, location.timeout)).collect(),
            gate,
            calls: Arc::new(Semaphore::new(permits(MAX_CALLS))),
            timeout: location.timeout,
        })
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Waits for the right to make a call.
    async fn admit(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, StoreError> {
        let calls = Arc::clone(&self.calls);
        match timeout_at(deadline, calls.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_closed)) => Err(StoreError::closed()),
            Err(_) => Err(StoreError::Unavailable(format!(
                "{MAX_CALLS} calls are under way, and none ended within {:?}",
                self.timeout
            ))),
        }
    }

    /// This thread's own, or any that is up while its own is not.
    fn reader(&self) -> Result<&Arc<Lane>, StoreError> {
        let place = PLACE.with(|place| place.checked_rem(self.readers.len()));
        let (others, own) = self.readers.split_at(place.unwrap_or_default());
        first_up(own.iter().chain(others), |lane| lane)
    }

    fn committer(&self) -> Result<&Committer, StoreError> {
        // So that there is one that is up when the first is not.
        self.committers.iter().for_each(|committer| committer.lane().begin());
        first_up(self.committers.iter(), Committer::lane)
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn get(&self, keys: Vec<Key>) -> Result<Vec<Option<Stored>>, StoreError> {
        check_key_count(keys.len())?;
        let deadline = self.deadline();
        let _call = self.admit(deadline).await?;
        let keys = &keys;
        self.reader()?.read(deadline, |session| async move { reads::get(&session, keys).await }).await
    }

    async fn scan(&self, scan: Scan) -> Result<Vec<Entry>, StoreError> {
        let deadline = self.deadline();
        let _call = self.admit(deadline).await?;
        let scan = &scan;
        self.reader()?.read(deadline, |session| async move { reads::scan(&session, scan).await }).await
    }

    async fn commit(&self, commit: Commit) -> Result<Outcome, StoreError> {
        let deadline = self.deadline();
        let call = self.admit(deadline).await?;
        self.committer()?.commit(commit, call, deadline).await
    }

    async fn snapshot(&self, after: Option<Key>) -> Result<Box<dyn Snapshot>, StoreError> {
        // For as long as it takes to be there: afterwards its connection is its own.
        let _call = self.admit(self.deadline()).await?;
        let connected = self.gate.connect_once(self.deadline()).await?;
        Ok(Box::new(PostgresSnapshot::take(connected, after, self.timeout).await?))
    }

    async fn health(&self) -> Result<(), StoreError> {
        let deadline = Instant::now() + HEALTH_DEADLINE;
        let call = Arc::new(self.admit(deadline).await?);
        let (reader, committer) = (Arc::clone(self.reader()?), self.committer()?.clone());
        // The probes go on when nobody waits for them any more: a connection that never answers has to be given up even if
        // no request comes here, because this service is not ready.
        let (patience, held) = (self.deadline(), Arc::clone(&call));
        let reads = outlasting(deadline, "no read was answered", async move {
            let _call = call;
            reader.read(patience, |session| async move { reads::probe(&session).await }).await
        });
        let commits = outlasting(deadline, "no commit had its turn", async move {
            let _call = held;
            committer.probe(patience).await
        });
        let (reads, commits) = tokio::join!(reads, commits);
        reads.and(commits)
    }

    async fn close(&self) {
        // Commits that nobody waits for any more have permits too.
        let Ok(_all) = self.calls.acquire_many(MAX_CALLS).await else { return };
        self.calls.close();
        for lane in self.readers.iter().chain(self.committers.iter().map(Committer::lane)) {
            lane.close().await;
        }
        tracing::info!(store = %self.gate.url(), "the store is closed");
    }
}

/// Waits for something until a deadline, and leaves it to end by itself then.
async fn outlasting(
    deadline: Instant,
    late: &str,
    what: impl Future<Output = Result<(), StoreError>> + Send + 'static,
) -> Result<(), StoreError> {
    match timeout_at(deadline, tokio::spawn(what)).await {
        Ok(Ok(ended)) => ended,
        Ok(Err(broken)) => Err(StoreError::Unavailable(format!("{late}: {broken}"))),
        Err(_) => Err(StoreError::Unavailable(format!("{late} within {HEALTH_DEADLINE:?}"))),
    }
}

thread_local! {
    /// Which lane this thread reads on.
    static PLACE: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Ordering::Relaxed)
    };
}

/// The first that is up; the first of all if none is. The first of all is kept up from now on.
fn first_up<'a, T>(
    mut all: impl Iterator<Item = &'a T> + Clone,
    lane: impl Fn(&T) -> &Arc<Lane>,
) -> Result<&'a T, StoreError> {
    let first = all.clone().next().ok_or_else(StoreError::closed)?;
    if lane(first).is_up() {
        return Ok(first);
    }
    lane(first).begin();
    Ok(all.find(|other| lane(other).is_up()).unwrap_or(first))
}
