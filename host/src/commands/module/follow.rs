//! Waits for the outcome of a rollout.

use tokio::time::{Duration, Instant, MissedTickBehavior, interval, sleep, timeout};

use super::{
    client::Client,
    event_stream::EventStream,
    screen::{FRAME, Screen},
    text,
};
use crate::{
    admin::Overview,
    commands::error::CommandError,
    config::Until,
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
/// The same while the service answers, but has no place for another follower of its events.
const CROWDED_PAUSE: Duration = Duration::from_secs(1);
/// Maximum time for everything: the longest trial, the longest watch, and the steps before them.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(50 * 60 * 60);
/// The numbers of the serving module are queried once in this many frames while there is no trial.
const FRAMES_PER_QUERY: u32 = 10;

/// How the rollout of a module ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) module: ModuleHash,
    /// Whether it serves.
    pub(super) end: End,
}

/// How a rollout ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The module serves. If there were too few requests for a verdict: how many there were.
    Serves { unproven: Option<String> },
    /// The module does not serve, for this reason.
    Gone(String),
}

/// Follows the rollout of one module, or of the next one.
pub(super) struct Follower<'a> {
    pub(super) client: &'a Client,
    pub(super) screen: &'a mut Screen,
    /// The module to follow; none for any.
    pub(super) module: Option<ModuleHash>,
    /// Until when it is followed.
    pub(super) until: Until,
    /// The last numbers of the serving module and when they were read, if they are to be shown while there is no trial.
    pub(super) serving: Option<(Instant, Numbers)>,
}

impl Follower<'_> {
    /// Shows the events after the one with this number, until the outcome is known.
    pub(super) async fn outcome(mut self, after: u64) -> Result<Outcome, CommandError> {
        let outcome = timeout(TOTAL_TIMEOUT, self.follow(after)).await;
        self.screen.close();
        let why = "no outcome within 50 hours: the outcome is unknown".to_owned();
        outcome.unwrap_or(Err(CommandError::CouldNotRun(why)))
    }

    async fn follow(&mut self, begin: u64) -> Result<Outcome, CommandError> {
        let mut unreachable_since = None;
        let mut after = begin;
        loop {
            let mut pause = RECONNECT_PAUSE;
            match self.client.events(after).await {
                Ok(mut events) => {
                    if let Some(outcome) = self.read_events(&mut events).await {
                        return Ok(outcome);
                    }
                    after = events.last_number;
                }
                Err(_) => pause = CROWDED_PAUSE,
            }
            // The event stream is silent, has ended, or could not be opened.
            match self.query_outcome(begin).await {
                Ok(Some(outcome)) => return Ok(outcome),
                Ok(None) => unreachable_since = None,
                Err(error) => {
                    self.screen.waiting("cannot reach the service: retrying");
                    if unreachable_since.get_or_insert_with(Instant::now).elapsed() > RECONNECT_TIMEOUT {
                        return Err(error.outcome_unknown());
                    }
                    pause = RECONNECT_PAUSE;
                }
            }
            sleep(pause).await;
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
                    if let Some(end) = end_in_step(&event.step, self.until) {
                        return Some(Outcome { module: event.module, end });
                    }
                }
                _ = frames.tick() => {
                    self.screen.draw();
                    frame = frame.wrapping_add(1);
                    if frame.is_multiple_of(FRAMES_PER_QUERY) && !self.screen.has_observation() {
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
    async fn query_outcome(&self, begin: u64) -> Result<Option<Outcome>, CommandError> {
        let (overview, _) = self.client.overview().await?;
        // Without any event since, the record of the module is that of an earlier rollout.
        let module = self.module.filter(|_| overview.event != begin);
        Ok(module.and_then(|module| outcome_of_overview(&overview, module, self.until)))
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

/// How a rollout ended, if it ended with this step.
fn end_in_step(step: &Step, until: Until) -> Option<End> {
    match step {
        Step::Promoted { watch: Some(_), .. } if until == Until::Settled => None,
        Step::Promoted { unproven, .. } | Step::Kept { unproven, .. } => {
            Some(End::Serves { unproven: unproven.clone() })
        }
        Step::Refused { why, .. } => Some(End::Gone(format!("was refused: {}", text::printable(why)))),
        Step::RolledBack { why, .. } => Some(End::Gone(format!("was rolled back: {}", text::printable(why)))),
        Step::Received { .. }
        | Step::Compiled { .. }
        | Step::Loaded { .. }
        | Step::Smoked { .. }
        | Step::OnTrial { .. }
        | Step::Extended { .. }
        | Step::Measured { .. } => None,
    }
}

/// The outcome for a module according to what the service says now; none while its rollout goes on.
pub(super) fn outcome_of_overview(overview: &Overview, module: ModuleHash, until: Until) -> Option<Outcome> {
    let Some(view) = overview.modules.iter().find(|view| view.record.module == module) else {
        let why = "is no longer known: the service was restarted and serves another module".to_owned();
        return Some(Outcome { module, end: End::Gone(why) });
    };
    let record = &view.record;
    let is_rolled_out = overview.rollout.as_ref().is_some_and(|rollout| rollout.module == Some(module));
    let because = record.why.as_ref().map(|why| format!(": {}", text::printable(why))).unwrap_or_default();
    let end = match record.state {
        State::Checking | State::OnTrial => return None,
        State::Serving if is_rolled_out && until == Until::Settled => return None,
        State::Serving => End::Serves { unproven: record.unproven.clone() },
        State::Refused | State::RolledBack => {
            End::Gone(format!("was {}{because}", text::state(record.state)))
        }
        State::Replaced => End::Gone("served, and has since been replaced by another module".to_owned()),
        State::Stored => End::Gone("is stored but does not serve: the service was restarted".to_owned()),
    };
    Some(Outcome { module, end })
}
