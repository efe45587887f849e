//! The trial of a candidate, and the watch of a promoted module: how long they last, and what ends them.

use std::{sync::Arc, time::Instant};

use tokio::time::{Duration, MissedTickBehavior, interval};

use crate::{
    config::{Share, TermsConfig, Window},
    rollout::{
        events::{Comparison, Step},
        roster::Roster,
        slot::{LoadedModule, Slot},
        verdict::{IN_SUCCESSION, SIDE_BY_SIDE},
    },
    sandbox::tally::Counts,
};

/// How often the counts are compared.
const COMPARE_INTERVAL: Duration = Duration::from_millis(100);
/// The number of comparisons after which the counts are recorded as an event.
const COMPARISONS_PER_EVENT: u32 = 10;
/// Maximum time that a trial waits for its number of requests.
const MAX_TRIAL: Duration = Duration::from_secs(60 * 60);
/// How long after its deadline a request may take to be counted.
const GRACE: Duration = Duration::from_secs(1);
/// Minimum number of the control's requests during a trial for use as its baseline. With fewer, all its requests since it
/// was loaded count.
const MIN_CONTROL_REQUESTS: u64 = 100;

/// The reason of a rollback that an operator requested.
pub const OPERATOR_REQUEST: &str = "operator request";

/// The environment of a trial.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "a slot has no readable form")]
pub struct Trial<'a> {
    /// Assigns the requests.
    pub slot: &'a Slot,
    /// Records the steps.
    pub roster: &'a Roster,
    /// How long a request may take.
    pub request_timeout: Duration,
}

/// How a trial ended.
#[derive(Debug)]
pub struct TrialResult {
    /// The counts of both modules.
    pub comparison: Comparison,
    /// Why the candidate must not serve; `None` if it may.
    pub rejection: Option<String>,
    /// The baseline: the control's counts.
    pub control: Counts,
}

/// Both modules, and their counts when the trial began.
struct Observation {
    began: Instant,
    candidate: Arc<LoadedModule>,
    control: Arc<LoadedModule>,
    candidate_before: Counts,
    control_before: Counts,
}

impl Observation {
    fn candidate(&self) -> Counts {
        self.candidate.guest.tally.counts().since(&self.candidate_before)
    }

    /// The control's counts during the trial, or since it was loaded if there were few requests.
    fn control(&self) -> Counts {
        let all = self.control.guest.tally.counts();
        let during_trial = all.since(&self.control_before);
        if during_trial.requests() < MIN_CONTROL_REQUESTS { all } else { during_trial }
    }

    fn comparison(&self) -> Comparison {
        compare(self.began, &self.candidate(), &self.control())
    }

    fn result(&self, rejection: Option<String>) -> TrialResult {
        TrialResult { comparison: self.comparison(), rejection, control: self.control() }
    }
}

impl Trial<'_> {
    /// Gives the candidate its share of the requests until the window is over or a verdict goes against it. Afterwards the
    /// candidate receives no requests: it is either withdrawn, or paused until it is promoted.
    pub async fn run(self, candidate: &Arc<LoadedModule>, terms: &TermsConfig) -> TrialResult {
        let control = self.slot.serving();
        let observation = Observation {
            began: Instant::now(),
            candidate_before: candidate.guest.tally.counts(),
            control_before: control.guest.tally.counts(),
            candidate: Arc::clone(candidate),
            control,
        };
        self.slot.set_trial(candidate, terms.canary);
        let step = Step::OnTrial { share: terms.canary.percent(), window: terms.window.to_string() };
        self.roster.record(candidate.module, step);

        let mut rejection = self.run_window(&observation, terms.window).await;
        if rejection.is_none() && self.is_on_trial(candidate) {
            // The requests in flight count too, above all those that never end.
            self.slot.set_trial(candidate, Share::NONE);
            rejection = self.await_requests_in_flight(&observation).await;
            rejection = rejection
                .or_else(|| SIDE_BY_SIDE.final_verdict(&observation.candidate(), &observation.control()));
        }
        if rejection.is_none() && !self.is_on_trial(candidate) {
            rejection = Some(OPERATOR_REQUEST.to_owned());
        }
        if rejection.is_some() && self.is_on_trial(candidate) {
            self.slot.withdraw();
        }
        observation.result(rejection)
    }

    /// Waits until the window is over. Returns early with the reason if the candidate is rejected.
    async fn run_window(self, observation: &Observation, window: Window) -> Option<String> {
        let mut ticks = interval(COMPARE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut comparisons = 0_u32;
        loop {
            ticks.tick().await;
            comparisons = comparisons.wrapping_add(1);
            if !self.is_on_trial(&observation.candidate) {
                return Some(OPERATOR_REQUEST.to_owned());
            }
            let counts = observation.candidate();
            let rejection = SIDE_BY_SIDE.early_verdict(&counts, &observation.control());
            if rejection.is_some() {
                return rejection;
            }
            if comparisons.is_multiple_of(COMPARISONS_PER_EVENT) {
                let trial = observation.comparison();
                self.roster.record(observation.candidate.module, Step::Measured { trial });
            }
            match window {
                Window::Time(time) if observation.began.elapsed() >= time.0 => return None,
                Window::Requests(wanted) if counts.requests() >= u64::from(wanted) => return None,
                Window::Requests(wanted) if observation.began.elapsed() >= MAX_TRIAL => {
                    return Some(format!(
                        "it received only {} of {wanted} requests within an hour",
                        counts.requests()
                    ));
                }
                Window::Time(_) | Window::Requests(_) => {}
            }
        }
    }

    /// Waits until all requests of the candidate have ended. Returns early with the reason if it is withdrawn.
    async fn await_requests_in_flight(self, observation: &Observation) -> Option<String> {
        let mut ticks = interval(COMPARE_INTERVAL / 10);
        let latest = Instant::now() + self.request_timeout + GRACE;
        loop {
            ticks.tick().await;
            if !self.is_on_trial(&observation.candidate) {
                return Some(OPERATOR_REQUEST.to_owned());
            }
            if observation.candidate().in_flight() == 0 || Instant::now() > latest {
                return None;
            }
        }
    }

    fn is_on_trial(self, candidate: &Arc<LoadedModule>) -> bool {
        self.slot.candidate().is_some_and(|on_trial| Arc::ptr_eq(&on_trial, candidate))
    }
}

/// The watch of a module that was promoted.
#[allow(missing_debug_implementations, reason = "linked code has no readable form")]
pub struct Watch {
    serving: Arc<LoadedModule>,
    began: Instant,
    ends: Instant,
    /// The module's counts when it was promoted.
    before: Counts,
    /// The baseline: the counts of the module before it.
    control: Counts,
}

impl Watch {
    /// Begins to watch the serving module; `control` is the baseline, the counts of the module before it. `None` if `time`
    /// is zero.
    pub fn begin(serving: Arc<LoadedModule>, control: Counts, time: Duration) -> Option<Self> {
        let began = Instant::now();
        let before = serving.guest.tally.counts();
        (!time.is_zero()).then(|| Self { serving, began, ends: began + time, before, control })
    }

    /// Waits until the module turns out to be worse, and returns why. `None` if the watch ends without such a verdict, or
    /// another module serves. Cancel-safe.
    pub async fn until_verdict(&self, slot: &Slot, roster: &Roster) -> Option<String> {
        let mut ticks = interval(COMPARE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if !Arc::ptr_eq(&slot.serving(), &self.serving) {
                return None;
            }
            let verdict = IN_SUCCESSION.early_verdict(&self.counts(), &self.control);
            if verdict.is_some() {
                return verdict;
            }
            if Instant::now() >= self.ends {
                roster.record(self.serving.module, Step::Kept { trial: self.comparison() });
                return None;
            }
        }
    }

    /// The watched module.
    pub fn serving(&self) -> &Arc<LoadedModule> {
        &self.serving
    }

    /// The counts of both modules.
    pub fn comparison(&self) -> Comparison {
        compare(self.began, &self.counts(), &self.control)
    }

    fn counts(&self) -> Counts {
        self.serving.guest.tally.counts().since(&self.before)
    }
}

fn compare(began: Instant, module: &Counts, other: &Counts) -> Comparison {
    let elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Comparison { elapsed_ms, module: module.into(), other: other.into() }
}
