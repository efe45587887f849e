//! Opens connections, one at a time, with exponential backoff while they fail.
//!
//! So a recovering server receives at most one attempt at a time from each process, at randomised moments, instead of one
//! for each request. Meanwhile calls fail immediately with the reason of the last failure.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as AsyncMutex, watch},
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_postgres::Error;

use super::{
    address::Address,
    errors,
    open_failure::OpenFailure,
    schema,
    session::{Driver, Purpose, Session},
};
use crate::config::{PostgresLocation, PostgresUrl, StoreLocation, read_store_file};
use crate::store::{
    backend::IfMissing,
    backoff::Backoff,
    contract::{Reason, StoreError},
};

/// Time limit for a connection attempt, until the connection is ready for use.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time limit for an attempt to reach the server at the start.
const REACH_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit for opening the store, including a migration that another process performs at the same time.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// This many consecutive failed attempts are an outage: calls no longer wait for the next attempt.
const FAILURES_UNTIL_OUTAGE: u32 = 2;

/// Opens the connections of one store.
pub(super) struct Connector {
    /// Shown in the log: its `Display` form contains no secret.
    url: PostgresUrl,
    file: Option<PathBuf>,
    timeout: Duration,
    server: Mutex<Server>,
    /// Locked during an attempt to connect.
    backoff: AsyncMutex<Backoff>,
    /// Why the last attempts failed; `None` if only the last attempt failed, which may be a coincidence.
    outage: watch::Sender<Option<Reason>>,
    /// When the last call was sent to which no reply came; `None` if there was none.
    silence: watch::Sender<Option<Instant>>,
}

/// The server to connect to, as last read.
#[derive(Clone)]
struct Server {
    url: PostgresUrl,
    address: Address,
}

impl Connector {
    /// Parses the URL, connects once, and prepares the database.
    ///
    /// # Errors
    ///
    /// [`OpenFailure`], if the server cannot be reached or the database cannot be used.
    pub(super) async fn open(
        location: &PostgresLocation,
        if_missing: IfMissing,
    ) -> Result<Self, OpenFailure> {
        let connector = Self {
            url: location.url.clone(),
            file: location.file.clone(),
            timeout: location.timeout,
            server: Mutex::new(Server {
                address: Address::from_url(&location.url)?,
                url: location.url.clone(),
            }),
            backoff: AsyncMutex::new(Backoff::default()),
            outage: watch::Sender::new(None),
            silence: watch::Sender::new(None),
        };
        connector.warn_if_exposed();
        let address = connector.server().address;
        match timeout(OPEN_TIMEOUT, schema::prepare(&address, if_missing, OPEN_TIMEOUT)).await {
            Ok(prepared) => prepared.map(|()| connector),
            Err(_) => Err(OpenFailure::no_response(OPEN_TIMEOUT)),
        }
    }

    /// Warns if the connections may be neither encrypted nor verified, and nobody has said that this is meant.
    pub(super) fn warn_if_exposed(&self) {
        if self.server().address.is_exposed {
            tracing::warn!(
                event = "store.not_verified",
                store = %self.url,
                "connections to the store may be unencrypted, and its server is not verified: use sslmode=verify-full"
            );
        }
    }

    /// Connects once, and checks that [`Connector::open`] could succeed. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`OpenFailure`], as for [`Connector::open`].
    pub(super) async fn reach(location: &PostgresLocation) -> Result<(), OpenFailure> {
        let address = Address::from_url(&location.url)?;
        let reached = timeout(REACH_TIMEOUT, schema::check(&address, REACH_TIMEOUT)).await;
        reached.unwrap_or_else(|_| Err(OpenFailure::no_response(REACH_TIMEOUT)))
    }

    /// The URL as first read, for display.
    pub(super) fn url(&self) -> &PostgresUrl {
        &self.url
    }

    /// The time limit of a call.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The reason of the current outage, if there is one. A call that sees a reason need not wait for the next
    /// attempt.
    pub(super) fn outage(&self) -> watch::Receiver<Option<Reason>> {
        self.outage.subscribe()
    }

    /// A call that was sent at this moment has got no reply. What dropped its connection silently has perhaps dropped
    /// all those that were idle as long.
    pub(super) fn report_silence(&self, sent: Instant) {
        self.silence.send_if_modified(|last| {
            let is_later = last.is_none_or(|last| last < sent);
            if is_later {
                *last = Some(sent);
            }
            is_later
        });
    }

    /// Whether the session has been silent for as long as one that got no reply. It is about to be tried.
    pub(super) fn is_suspect(&self, session: &Session) -> bool {
        self.silence.borrow().is_some_and(|sent| session.is_idle_since(sent))
    }

    /// When the last call was sent to which no reply came.
    pub(super) fn silence(&self) -> watch::Receiver<Option<Instant>> {
        self.silence.subscribe()
    }

    /// Connects, and retries until it succeeds.
    pub(super) async fn connect(&self, purpose: Purpose) -> (Session, Driver) {
        loop {
            let mut backoff = self.backoff.lock().await;
            sleep_until(backoff.not_before).await;
            match Box::pin(self.attempt(purpose)).await {
                Ok(connected) => {
                    *backoff = Backoff::default();
                    if self.outage.send_replace(None).is_some() {
                        tracing::info!(event = "store.reconnected", store = %self.url, "store reachable again");
                    }
                    return connected;
                }
                Err(why) => {
                    backoff.delay_next();
                    backoff.failures = backoff.failures.saturating_add(1);
                    if backoff.failures < FAILURES_UNTIL_OUTAGE {
                        continue;
                    }
                    let before = self.outage.send_replace(Some(why.clone()));
                    if before.as_ref() != Some(&why) {
                        tracing::warn!(event = "store.connect_failed", store = %self.url, %why, "store unreachable");
                    }
                }
            }
        }
    }

    /// Connects for reads in one attempt, once no other attempt is running.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub(super) async fn connect_once(&self, deadline: Instant) -> Result<(Session, Driver), StoreError> {
        let connected = timeout_at(deadline, async {
            let _backoff = self.backoff.lock().await;
            Box::pin(self.attempt(Purpose::Reads)).await
        });
        let timed_out = |_| StoreError::timed_out("the server did not respond in time", self.timeout);
        Ok(connected.await.map_err(timed_out)??)
    }

    /// Delays the next attempt because a connection ended shortly after it was opened: the next one may end too.
    pub(super) async fn delay_next(&self) {
        self.backoff.lock().await.delay_next();
    }

    async fn attempt(&self, purpose: Purpose) -> Result<(Session, Driver), Reason> {
        let server = self.server();
        match self.connect_to(&server.address, purpose).await {
            Ok(connected) => Ok(connected),
            Err(error) => match self.reload_url(&server).map_err(unusable_url)? {
                Some(address) => self.connect_to(&address, purpose).await.map_err(|error| error.reason()),
                None => Err(error.reason()),
            },
        }
    }

    async fn connect_to(
        &self,
        address: &Address,
        purpose: Purpose,
    ) -> Result<(Session, Driver), ConnectError> {
        match timeout(CONNECT_TIMEOUT, Session::connect(address, purpose, self.timeout)).await {
            Ok(connected) => connected.map_err(ConnectError::Server),
            Err(_) => Err(ConnectError::TimedOut),
        }
    }

    /// Reads the file again. Returns the address if the URL has changed.
    fn reload_url(&self, known: &Server) -> Result<Option<Address>, String> {
        let Some(file) = &self.file else { return Ok(None) };
        let StoreLocation::Postgres(location) = read_store_file(file)? else {
            return Err(format!("--store-file {file:?} now names a different kind of store"));
        };
        if location.url == known.url {
            return Ok(None);
        }
        let address = Address::from_url(&location.url)?;
        let server = Server { url: location.url, address: address.clone() };
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = server;
        tracing::info!(
            event = "store.url_reloaded",
            store = %self.url,
            file = %file.display(),
            "store URL reloaded from its file"
        );
        Ok(Some(address))
    }

    fn server(&self) -> Server {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The reason for a URL that was read again and cannot be used; it is on one line already, and names the file.
fn unusable_url(why: String) -> Reason {
    Reason::persisting("its URL cannot be used").with_detail(why)
}

enum ConnectError {
    Server(Error),
    TimedOut,
}

impl ConnectError {
    fn reason(&self) -> Reason {
        match self {
            Self::Server(error) => errors::reason(error),
            Self::TimedOut => Reason::new("the server did not respond in time"),
        }
    }
}
