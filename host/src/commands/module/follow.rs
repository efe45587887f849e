//! Waiting for what becomes of a module.

use tokio::time::{Duration, Instant, MissedTickBehavior, interval, sleep, timeout};

use super::{
    client::Client,
    events::Events,
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

/// How long nothing may be told before the service is asked: it gives a sign of life every 15 s, but that may come from
/// a connection that is none any more.
const QUIET: Duration = Duration::from_secs(20);
/// How long a service may be out of reach.
const LOST: Duration = Duration::from_secs(10);
/// How long before it is tried again.
const PAUSE: Duration = Duration::from_millis(250);
/// How long all of it may take: the longest window there is, and what goes before it.
const LONGEST: Duration = Duration::from_secs(25 * 60 * 60);
/// How often the numbers are asked for while there is no trial.
const IDLE: u32 = 10;

/// What became of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) module: ModuleHash,
    /// Why it does not serve, if it does not.
    pub(super) why: Option<String>,
}

/// Follows one module, or whichever comes next.
pub(super) struct Follow<'a> {
    pub(super) client: &'a Client,
    pub(super) screen: &'a mut Screen,
    /// None for any.
    pub(super) module: Option<ModuleHash>,
    /// What serves, if its numbers are to be seen while there is no trial.
    pub(super) idle: Option<(Instant, Numbers)>,
}

impl Follow<'_> {
    /// Shows what happens after the event of this number, until it is known what became of it.
    pub(super) async fn outcome(mut self, after: u64) -> Result<Outcome, CommandError> {
        let outcome = timeout(LONGEST, self.follow(after)).await;
        self.screen.close();
        let lost = "nothing was decided within 25 hours: what becomes of it is not known".to_owned();
        outcome.unwrap_or(Err(CommandError::CouldNotRun(lost)))
    }

    async fn follow(&mut self, mut after: u64) -> Result<Outcome, CommandError> {
        let mut lost = None;
        loop {
            if let Ok(mut events) = self.client.events(after).await {
                if let Some(outcome) = self.read(&mut events).await {
                    return Ok(outcome);
                }
                after = events.last;
            }
            // Silent, broken off, or not to be had.
            match self.ask().await {
                Ok(Some(outcome)) => return Ok(outcome),
                Ok(None) => lost = None,
                Err(trouble) => {
                    self.screen.waiting("the service is out of reach: trying again");
                    if lost.get_or_insert_with(Instant::now).elapsed() > LOST {
                        return Err(trouble.outcome_unknown());
                    }
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Reads events until one decides, or there are no more.
    async fn read(&mut self, events: &mut Events) -> Option<Outcome> {
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut frame = 0_u32;
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                event = events.next() => {
                    let event = event?;
                    heard = Instant::now();
                    if self.module.is_some_and(|module| module != event.module) {
                        continue;
                    }
                    self.screen.event(&event);
                    if let Some(why) = decided(&event.step) {
                        return Some(Outcome { module: event.module, why });
                    }
                }
                _ = frames.tick() => {
                    self.screen.draw();
                    frame = frame.wrapping_add(1);
                    if frame.is_multiple_of(IDLE) && !self.screen.has_trial() {
                        self.show_idle().await;
                    }
                    if heard.elapsed() > QUIET {
                        return None;
                    }
                }
            }
        }
    }

    /// What became of it, without any event. None if nothing has yet.
    async fn ask(&self) -> Result<Option<Outcome>, CommandError> {
        let Some(module) = self.module else {
            return self.client.overview().await.map(|_| None);
        };
        let Some((view, _)) = self.client.module(module).await? else {
            let why =
                "the service does not know it any more: it was restarted, and serves another one".to_owned();
            return Ok(Some(Outcome { module, why: Some(why) }));
        };
        Ok(outcome(&view))
    }

    /// The numbers of what serves, while nothing else happens.
    async fn show_idle(&mut self) {
        let Some((at, had)) = self.idle.take() else { return };
        let now = Instant::now();
        let (at, had) = match self.client.overview().await {
            Ok((overview, _)) => {
                let done = overview.serving.done.unwrap_or_default();
                let milliseconds = u64::try_from((now - at).as_millis()).unwrap_or(u64::MAX).max(1);
                let rate = done.requests.saturating_sub(had.requests).saturating_mul(1000) / milliseconds;
                let name = overview.serving.record.module.short();
                self.screen.waiting(format!("{name} serves: {}, {rate} a second", text::numbers(&done)));
                (now, done)
            }
            // The events will tell.
            Err(_) => (at, had),
        };
        self.idle = Some((at, had));
    }
}

/// Whether a step decides, and then why the module does not serve, if it does not.
fn decided(step: &Step) -> Option<Option<String>> {
    match step {
        Step::Promoted { .. } | Step::Kept { .. } => Some(None),
        Step::Refused { why } => Some(Some(format!("was refused: {}", text::plain(why)))),
        Step::RolledBack { why, .. } => Some(Some(format!("was rolled back: {}", text::plain(why)))),
        Step::Received { .. }
        | Step::Compiled { .. }
        | Step::Loaded { .. }
        | Step::Smoked { .. }
        | Step::OnTrial { .. }
        | Step::Measured { .. } => None,
    }
}

/// What became of a module, if anything has.
pub(super) fn outcome(view: &View) -> Option<Outcome> {
    let record = &view.record;
    let because = record.why.as_ref().map(|why| format!(": {}", text::plain(why))).unwrap_or_default();
    let why = match record.state {
        State::Checking | State::OnTrial => return None,
        State::Serving => None,
        State::Refused | State::RolledBack => Some(format!("was {}{because}", text::state(record.state))),
        State::Replaced => Some("has served, and another one does now".to_owned()),
        State::Stored => Some("is stored and does not serve: the service was restarted".to_owned()),
    };
    Some(Outcome { module: record.module, why })
}
