//! Waits for a store that cannot be reached: its server may be about to start, or another may be about to replace it.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{
    commands::error::CommandError::{self, CouldNotRun},
    config::{Period, ServeConfig, StoreLocation},
    lifecycle::shutdown::{Lifecycle, Phase},
    rollout::candidate::run_blocking,
    store::{self, Backoff, OpenError, Store},
};

/// How often the log repeats a reason that stays the same.
const REPORT_INTERVAL: Duration = Duration::from_secs(15);

/// An attempt that takes longer is reported as a wait.
const SLOW: Duration = Duration::from_secs(3);

const NO_RESPONSE: &str = "cannot open the store: it has not responded yet";

/// The store of a start, and how long the start may still wait for it.
pub(super) struct StoreWait<'a> {
    config: &'a ServeConfig,
    lifecycle: &'a Lifecycle,
    /// Only waiting uses it up.
    left: Duration,
}

impl<'a> StoreWait<'a> {
    /// Waits for `--store-wait` in all.
    pub(super) fn new(config: &'a ServeConfig, lifecycle: &'a Lifecycle) -> Self {
        Self { config, lifecycle, left: config.store_wait.0 }
    }

    /// Waits until the store can be reached. Creates nothing.
    ///
    /// # Errors
    ///
    /// [`CommandError::CouldNotRun`], if somebody must correct something, or the time is up.
    pub(super) async fn reach(&mut self) -> Result<(), CommandError> {
        self.succeed(async |location| store::reach(location).await).await
    }

    /// Waits until the store is open, and creates it if it does not exist.
    ///
    /// # Errors
    ///
    /// As [`StoreWait::reach`].
    pub(super) async fn open(&mut self) -> Result<(StoreLocation, Arc<dyn Store>), CommandError> {
        let lifecycle = self.lifecycle;
        self.succeed(async |location| {
            let checks = store::will_check(location);
            if checks {
                lifecycle.enter(Phase::CheckingStore);
            }
            let store = store::open(location).await?;
            if checks {
                lifecycle.enter(Phase::Starting);
            }
            Ok((location.clone(), store))
        })
        .await
    }

    /// Repeats an attempt until it succeeds. Its location is read again each time, because a file may name a new server.
    async fn succeed<T>(
        &mut self,
        attempt: impl AsyncFn(&StoreLocation) -> Result<T, OpenError>,
    ) -> Result<T, CommandError> {
        let deadline = Instant::now() + self.left;
        let mut backoff = Backoff::default();
        let mut report = Report::default();
        loop {
            let failure = match self.location().await {
                Ok(location) => {
                    match self.in_time(&location, attempt(&location), deadline, &mut report).await {
                        Ok(done) => {
                            self.left = deadline.saturating_duration_since(Instant::now());
                            self.end_waiting(&report);
                            return Ok(done);
                        }
                        Err(error) if error.is_final() => return Err(CommandError::could_not_run(error)),
                        Err(error) => error.to_string(),
                    }
                }
                // It was valid when the start checked it: somebody is about to replace it.
                Err(why) => why,
            };
            self.left = deadline.saturating_duration_since(Instant::now());
            if self.left.is_zero() {
                return Err(CouldNotRun(self.gave_up(failure)));
            }
            self.lifecycle.enter(Phase::AwaitingStore);
            report.waiting(&failure, self.left);
            backoff.delay_next();
            sleep_until(backoff.not_before.min(deadline)).await;
        }
    }

    /// Reads the location on another thread: a file that cannot be read for a while must not hold up signals.
    async fn location(&self) -> Result<StoreLocation, String> {
        let (store, request_timeout) = (self.config.store.clone(), self.config.limits.request_timeout.0);
        run_blocking(async move { store.location(request_timeout) }).await.flatten()
    }

    /// Makes an attempt, until the time is up. One that takes long is a wait, too.
    async fn in_time<T>(
        &self,
        location: &StoreLocation,
        attempt: impl Future<Output = Result<T, OpenError>>,
        deadline: Instant,
        report: &mut Report,
    ) -> Result<T, OpenError> {
        let mut attempt = pin!(attempt);
        // Only a server may never respond. Opening a file may take long after a crash, and must not be given up.
        if self.config.store_wait.0.is_zero() || !matches!(location, StoreLocation::Postgres(_)) {
            return attempt.await;
        }
        if let Ok(done) = timeout_at(deadline.min(Instant::now() + SLOW), &mut attempt).await {
            return done;
        }
        self.lifecycle.enter(Phase::AwaitingStore);
        report.waiting(NO_RESPONSE, deadline.saturating_duration_since(Instant::now()));
        timeout_at(deadline, attempt)
            .await
            .unwrap_or_else(|_| Err(OpenError::unreachable(NO_RESPONSE.to_owned())))
    }

    fn end_waiting(&self, report: &Report) {
        if report.last.is_some() {
            self.lifecycle.enter(Phase::Starting);
            tracing::info!(event = "store.reached", left = %whole_seconds(self.left), "store reached");
        }
    }

    fn gave_up(&self, failure: String) -> String {
        match self.config.store_wait {
            Period(Duration::ZERO) => failure,
            waited => format!("{failure}; the start has waited for {waited} (--store-wait)"),
        }
    }
}

/// What the log was told about a wait.
#[derive(Default)]
struct Report {
    last: Option<(String, Instant)>,
}

impl Report {
    fn waiting(&mut self, why: &str, left: Duration) {
        let is_known =
            self.last.as_ref().is_some_and(|(known, at)| known == why && at.elapsed() < REPORT_INTERVAL);
        if !is_known {
            self.last = Some((why.to_owned(), Instant::now()));
            let left = whole_seconds(left);
            tracing::warn!(event = "store.waiting", why, %left, "waiting for the store");
        }
    }
}

fn whole_seconds(time: Duration) -> Period {
    Period(Duration::from_secs(time.as_secs()))
}
