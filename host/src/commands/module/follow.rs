//! Waits for the outcome of a rollout.

use tokio::time::{Duration, Instant, MissedTickBehavior, interval, sleep, timeout};

use super::{
    client::Client,
    event_stream::EventStream,
    screen::{FRAME, Screen},
    text,
};
use crate::{
    admin::View,
    commands::error::CommandError,
    module::hash::ModuleHash,
    rollout::{
        events::{Numbers, Step},
        roster::State,
    },
};

/// How long no event may arrive before the state of the module is queried instead. Keep-alive comments, which the service
/// sends every 15 s, do not count: they may come from a connection that is no longer live.
const EVENT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a service may be unreachable.
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between attempts to reconnect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(250);
/// Maximum time for everything: the longest window, and the steps before it.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(25 * 60 * 60);
/// The numbers of the serving module are queried once in this many frames while there is no trial.
const FRAMES_PER_QUERY: u32 = 10;

/// How the rollout of a module ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) module: ModuleHash,
    /// Why the module does not serve, if it does not.
    pub(super) why: Option<String>,
}

/// Follows the rollout of one module, or of the next one.
pub(super) struct Follower<'a> {
    pub(super) client: &'a Client,
    pub(super) screen: &'a mut Screen,
    /// The module to follow; none for any.
    pub(super) module: Option<ModuleHash>,
    /// The last numbers of the serving module and when they were read, if they are to be shown while there is no trial.
    pub(super) serving: Option<(Instant, Numbers)>,
}

impl Follower<'_> {
    /// Shows the events after the one with this number, until the outcome is known.
    pub(super) async fn outcome(mut self, after: u64) -> Result<Outcome, CommandError> {
        let outcome = timeout(TOTAL_TIMEOUT, self.follow(after)).await;
        self.screen.close();
        let why = "no outcome within 25 hours: the outcome is unknown".to_owned();
        outcome.unwrap_or(Err(CommandError::CouldNotRun(why)))
    }

    async fn follow(&mut self, mut after: u64) -> Result<Outcome, CommandError> {
        let mut unreachable_since = None;
        loop {
            if let Ok(mut events) = self.client.events(after).await {
                if let Some(outcome) = self.read_events(&mut events).await {
                    return Ok(outcome);
                }
                after = events.last_number;
            }
            // The event stream is silent, has ended, or could not be opened.
            match self.query_outcome().await {
                Ok(Some(outcome)) => return Ok(outcome),
                Ok(None) => unreachable_since = None,
                Err(error) => {
                    self.screen.waiting("cannot reach the service: retrying");
                    if unreachable_since.get_or_insert_with(Instant::now).elapsed() > RECONNECT_TIMEOUT {
                        return Err(error.outcome_unknown());
                    }
                }
            }
            sleep(RECONNECT_PAUSE).await;
        }
    }

    /// Reads events until one of them is the outcome. None if the stream ends or falls silent first.
    async fn read_events(&mut self, events: &mut EventStream) -> Option<Outcome> {
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut frame = 0_u32;
        let mut last_event = Instant::now();
        loop {
            tokio::select! {
                event = events.next() => {
                    let event = event?;
                    last_event = Instant::now();
                    if self.module.is_some_and(|module| module != event.module) {
                        continue;
                    }
                    self.screen.event(&event);
                    if let Some(why) = outcome_of_step(&event.step) {
                        return Some(Outcome { module: event.module, why });
                    }
                }
                _ = frames.tick() => {
                    self.screen.draw();
                    frame = frame.wrapping_add(1);
                    if frame.is_multiple_of(FRAMES_PER_QUERY) && !self.screen.has_trial() {
                        self.show_serving().await;
                    }
                    if last_event.elapsed() > EVENT_TIMEOUT {
                        return None;
                    }
                }
            }
        }
    }

    /// The outcome according to the present state of the module. None if there is none yet.
    async fn query_outcome(&self) -> Result<Option<Outcome>, CommandError> {
        let Some(module) = self.module else {
            return self.client.overview().await.map(|_| None);
        };
        let Some((view, _)) = self.client.module(module).await? else {
            let why = "is no longer known: the service was restarted and serves another module".to_owned();
            return Ok(Some(Outcome { module, why: Some(why) }));
        };
        Ok(outcome_of_view(&view))
    }

    /// Shows the numbers of the serving module, with the rate since the last time.
    async fn show_serving(&mut self) {
        let Some((at, last)) = self.serving.take() else { return };
        let now = Instant::now();
        let (at, last) = match self.client.overview().await {
            Ok((overview, _)) => {
                let done = overview.serving.done.unwrap_or_default();
                let milliseconds = u64::try_from((now - at).as_millis()).unwrap_or(u64::MAX).max(1);
                let rate = done.requests.saturating_sub(last.requests).saturating_mul(1000) / milliseconds;
                let name = overview.serving.record.module.short();
                self.screen.waiting(format!("{name} serves: {}, {rate} per second", text::numbers(&done)));
                (now, done)
            }
            // A failure shows on the event stream, too.
            Err(_) => (at, last),
        };
        self.serving = Some((at, last));
    }
}

/// If a step is an outcome: why the module does not serve, or none if it does.
fn outcome_of_step(step: &Step) -> Option<Option<String>> {
    match step {
        Step::Promoted { .. } | Step::Kept { .. } => Some(None),
        Step::Refused { why } => Some(Some(format!("was refused: {}", text::printable(why)))),
        Step::RolledBack { why, .. } => Some(Some(format!("was rolled back: {}", text::printable(why)))),
        Step::Received { .. }
        | Step::Compiled { .. }
        | Step::Loaded { .. }
        | Step::Smoked { .. }
        | Step::OnTrial { .. }
        | Step::Measured { .. } => None,
    }
}

/// The outcome for a module in its present state; none while its rollout goes on.
pub(super) fn outcome_of_view(view: &View) -> Option<Outcome> {
    let record = &view.record;
    let because = record.why.as_ref().map(|why| format!(": {}", text::printable(why))).unwrap_or_default();
    let why = match record.state {
        State::Checking | State::OnTrial => return None,
        State::Serving => None,
        State::Refused | State::RolledBack => Some(format!("was {}{because}", text::state(record.state))),
        State::Replaced => Some("served, and has since been replaced by another module".to_owned()),
        State::Stored => Some("is stored but does not serve: the service was restarted".to_owned()),
    };
    Some(Outcome { module: record.module, why })
}
