//! The one place where connections are made: one at a time, and ever more rarely while they fail.
//!
//! A server that comes back is met by one attempt of each process at a time, at moments that chance has spread, instead of
//! by one for each request. Meanwhile calls need not wait: the last failure is their answer.

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
    schema,
    session::{Driver, Session},
    words,
};
use crate::config::{PostgresLocation, PostgresUrl, StoreLocation, read_store_file};
use crate::store::{backend::Missing, contract::StoreError};

/// How long it may take until a connection can be used.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long opening may take, with a migration that another process makes at the same time.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// After the first failure the next attempt is this far off at most …
const FIRST_DELAY: Duration = Duration::from_millis(50);
/// … and after many this far: a server that is back has not to wait longer for us.
const LONGEST_DELAY: Duration = Duration::from_secs(1);

/// So many failed attempts in a row are trouble: calls wait no longer for the next one.
const TROUBLE: u32 = 2;

/// Makes the connections of one store.
pub(super) struct Gate {
    shown: PostgresUrl,
    file: Option<PathBuf>,
    timeout: Duration,
    source: Mutex<Source>,
    /// Held by whoever is connecting.
    turn: AsyncMutex<Backoff>,
    /// Why the last attempts failed; none if only the last one did, which may be chance.
    trouble: watch::Sender<Option<String>>,
}

/// Where connections go to, as it was last read.
#[derive(Clone)]
struct Source {
    url: PostgresUrl,
    address: Address,
}

struct Backoff {
    delay: Duration,
    not_before: Instant,
    /// Attempts that failed since one that did not.
    failures: u32,
}

impl Gate {
    /// Reads the URL, connects once, and sees to it that the database has what a store needs.
    ///
    /// # Errors
    ///
    /// One line.
    pub(super) async fn open(location: &PostgresLocation, missing: Missing) -> Result<Self, String> {
        let gate = Self {
            shown: location.url.clone(),
            file: location.file.clone(),
            timeout: location.timeout,
            source: Mutex::new(Source { address: Address::read(&location.url)?, url: location.url.clone() }),
            turn: AsyncMutex::new(Backoff::default()),
            trouble: watch::Sender::new(None),
        };
        let address = gate.source().address;
        match timeout(OPEN_TIMEOUT, schema::open(&address, missing, OPEN_TIMEOUT)).await {
            Ok(opened) => opened.map(|()| gate),
            Err(_) => Err(format!("the server did not answer within {OPEN_TIMEOUT:?}")),
        }
    }

    /// The URL, to be shown.
    pub(super) fn url(&self) -> &PostgresUrl {
        &self.shown
    }

    /// How long a call may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Why the last attempts failed: whoever sees it need not wait for the next one.
    pub(super) fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.subscribe()
    }

    /// Connects, however long that takes.
    pub(super) async fn connect(&self) -> (Session, Driver) {
        loop {
            let mut turn = self.turn.lock().await;
            sleep_until(turn.not_before).await;
            match Box::pin(self.attempt()).await {
                Ok(connected) => {
                    *turn = Backoff::default();
                    if self.trouble.send_replace(None).is_some() {
                        tracing::info!(store = %self.shown, "the store can be reached again");
                    }
                    return connected;
                }
                Err(why) => {
                    turn.hold_off();
                    turn.failures = turn.failures.saturating_add(1);
                    if turn.failures < TROUBLE {
                        continue;
                    }
                    let before = self.trouble.send_replace(Some(why.clone()));
                    if before.as_ref() != Some(&why) {
                        tracing::warn!(store = %self.shown, %why, "the store cannot be reached");
                    }
                }
            }
        }
    }

    /// Connects in its turn, if that takes one attempt.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub(super) async fn connect_once(&self, deadline: Instant) -> Result<(Session, Driver), StoreError> {
        let connected = timeout_at(deadline, async {
            let _turn = self.turn.lock().await;
            Box::pin(self.attempt()).await
        });
        let late = |_| format!("the server could not be connected to within {:?}", self.timeout);
        connected.await.map_err(late).flatten().map_err(StoreError::Unavailable)
    }

    /// A connection came to an end as soon as it was there: the next one may too.
    pub(super) async fn hold_off(&self) {
        self.turn.lock().await.hold_off();
    }

    async fn attempt(&self) -> Result<(Session, Driver), String> {
        let source = self.source();
        match self.connect_to(&source.address).await {
            Ok(connected) => Ok(connected),
            Err(error) => match self.reread(&source)? {
                Some(address) => self.connect_to(&address).await.map_err(|error| error.words()),
                None => Err(error.words()),
            },
        }
    }

    async fn connect_to(&self, address: &Address) -> Result<(Session, Driver), Refused> {
        match timeout(CONNECT_TIMEOUT, Session::connect(address, self.timeout)).await {
            Ok(connected) => connected.map_err(Refused::Error),
            Err(_) => Err(Refused::Late),
        }
    }

    /// What the file says now, if that is something new.
    fn reread(&self, known: &Source) -> Result<Option<Address>, String> {
        let Some(file) = &self.file else { return Ok(None) };
        let StoreLocation::Postgres(location) = read_store_file(file)? else {
            return Err(format!("--store-file {file:?} names another kind of store now"));
        };
        if location.url == known.url {
            return Ok(None);
        }
        let address = Address::read(&location.url)?;
        let source = Source { url: location.url, address: address.clone() };
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = source;
        tracing::info!(store = %self.shown, file = %file.display(), "the store's address was read again");
        Ok(Some(address))
    }

    fn source(&self) -> Source {
        self.source.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

enum Refused {
    Error(Error),
    Late,
}

impl Refused {
    fn words(&self) -> String {
        match self {
            Self::Error(error) => words::explain(error),
            Self::Late => format!("the server did not answer within {CONNECT_TIMEOUT:?}"),
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { delay: FIRST_DELAY, not_before: Instant::now(), failures: 0 }
    }
}

impl Backoff {
    /// Waits half of the delay at least, and lets chance decide about the other half.
    fn hold_off(&mut self) {
        // Without chance it is a full delay.
        let part = getrandom::u32().unwrap_or(u32::MAX) >> 16;
        let half = self.delay / 2;
        self.not_before = Instant::now() + half + half * part / (u32::MAX >> 16);
        self.delay = (self.delay * 2).min(LONGEST_DELAY);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, Instant};

    use super::{Backoff, FIRST_DELAY, LONGEST_DELAY};

    #[test]
    fn attempts_become_rarer_and_fall_apart() {
        let mut waits = Vec::new();
        let mut backoff = Backoff::default();
        for round in 0..40_u32 {
            let before = Instant::now();
            backoff.hold_off();
            let wait = backoff.not_before - before;
            let full = FIRST_DELAY.saturating_mul(1 << round.min(8)).min(LONGEST_DELAY);
            assert!(
                full / 2 <= wait && wait <= full + Duration::from_secs(1),
                "{round}: {wait:?} of {full:?}"
            );
            waits.push(wait);
        }
        let late = &waits[10..];
        assert!(late.iter().any(|wait| wait.abs_diff(late[0]) > LONGEST_DELAY / 20), "{late:?}");
    }
}
