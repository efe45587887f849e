//! The comparison of a candidate with its control: a trial, and the watch of a promoted module. Both are the same thing
//! with other shares.

use std::{sync::Arc, time::Instant};

use tokio::time::{Duration, Interval, MissedTickBehavior, interval};

use crate::{
    config::{Share, TermsConfig, Window},
    rollout::{
        events::{Comparison, Step},
        evidence::{Evidence, Slice},
        roster::Roster,
        slot::{LoadedModule, Slot},
        verdict::{Criteria, NEEDED_REQUESTS, Verdict},
    },
    sandbox::tally::Tally,
};

/// How often the counts are compared.
const COMPARE_INTERVAL: Duration = Duration::from_millis(100);
/// The length of a slice of evidence, after which the counts are also recorded as an event.
const SECOND: Duration = Duration::from_secs(1);
/// How long after its deadline a request may take to be counted.
const GRACE: Duration = Duration::from_secs(1);
/// The number of requests that the control of a watch should have, with some to spare.
const CONTROL_REQUESTS: u64 = NEEDED_REQUESTS * 4 / 3;

/// What a comparison uses.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "a slot has no readable form")]
pub struct Comparator {
    /// Assigns the requests.
    pub slot: Arc<Slot>,
    /// Records the counts.
    pub roster: Arc<Roster>,
    /// How long a request may take.
    pub request_timeout: Duration,
}

/// How a comparison ended.
#[derive(Debug)]
pub struct Finding {
    /// Whether the candidate is worse.
    pub verdict: Verdict,
    /// The counts of both modules.
    pub comparison: Comparison,
    /// The evidence, to which a watch adds its own.
    pub evidence: Evidence,
}

/// A comparison in progress.
struct Observation {
    began: Instant,
    criteria: Criteria,
    candidate: Arc<LoadedModule>,
    control: Arc<LoadedModule>,
    evidence: Evidence,
    /// The counters of the present period: of the candidate, and of the control.
    counters: [Arc<Tally>; 2],
    /// The last reading of them.
    counts: Slice,
    /// When the present second began, and the counts at that time.
    second: (Instant, Slice),
    ticks: Interval,
}

impl Comparator {
    /// Compares a candidate, which the slot has put on trial, with the serving module until the window is over and there is
    /// enough evidence, or until a verdict goes against it. Afterwards the candidate receives no requests.
    pub async fn trial(self, candidate: Arc<LoadedModule>, terms: TermsConfig) -> Finding {
        let control = self.slot.serving();
        let mut observation = Observation::begin(candidate, control, Evidence::default(), &terms);
        let mut is_extended = false;
        while !observation.has_ended(&terms) {
            if let Some(why) = observation.next_look(&self.roster).await {
                return observation.finish(Verdict::Worse(why));
            }
            if !is_extended
                && observation.is_window_over(&terms)
                && !observation.has_ended(&terms)
                && let Some(why) = observation.lack()
            {
                is_extended = true;
                self.roster.record(observation.candidate.module, Step::Extended { why });
            }
        }
        // The requests in flight count too, above all those that never end. Later ones do not: all of them go to the control.
        self.slot.set_trial(&observation.candidate, Share::NONE);
        observation.stop_counting_new_requests();
        let latest = Instant::now() + self.request_timeout + GRACE;
        while observation.evidence.latest().candidate.in_flight() > 0 && Instant::now() < latest {
            if let Some(why) = observation.next_look(&self.roster).await {
                return observation.finish(Verdict::Worse(why));
            }
        }
        observation.look();
        let verdict = observation.criteria.final_verdict(&observation.evidence);
        observation.finish(verdict)
    }

    /// Compares the serving module with the module before it, which keeps a share of the requests, for the time of the
    /// watch or until a verdict goes against the serving module. `trial` is the evidence of the trial, and how long that
    /// lasted.
    pub async fn watch(self, trial: Option<(Evidence, Duration)>, terms: TermsConfig) -> Option<Finding> {
        let (control, mut share) = self.slot.control()?;
        let mut evidence = Evidence::default();
        let mut is_share_decided = trial.is_some();
        if let Some((of_trial, lasted)) = trial {
            share = control_share(&of_trial.period(), lasted, &terms);
            self.slot.set_control(share);
            evidence = of_trial;
            evidence.begin_period();
        }
        let mut observation = Observation::begin(self.slot.serving(), control, evidence, &terms);
        while observation.began.elapsed() < terms.watch.0 {
            if let Some(why) = observation.next_look(&self.roster).await {
                return Some(observation.finish(Verdict::Worse(why)));
            }
            // Without a trial, the first second shows how many requests there are.
            let elapsed = observation.began.elapsed();
            if !is_share_decided && elapsed > SECOND {
                is_share_decided = true;
                let needed = control_share(&observation.evidence.period(), elapsed, &terms);
                if needed != share {
                    self.slot.set_control(needed);
                    observation.begin_period();
                }
            }
        }
        observation.look();
        let verdict = observation.criteria.final_verdict(&observation.evidence);
        Some(observation.finish(verdict))
    }
}

impl Observation {
    fn begin(
        candidate: Arc<LoadedModule>,
        control: Arc<LoadedModule>,
        evidence: Evidence,
        terms: &TermsConfig,
    ) -> Self {
        let mut ticks = interval(COMPARE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let criteria =
            Criteria { needed_requests: NEEDED_REQUESTS, ignore_client_errors: terms.ignore_client_errors };
        let began = Instant::now();
        let (second, counts) = ((began, Slice::default()), Slice::default());
        let counters = begin_counting(&candidate, &control);
        Self { began, criteria, candidate, control, evidence, counters, counts, second, ticks }
    }

    /// Waits until the next look at the counts is due. Returns why the candidate is worse, if it clearly is.
    async fn next_look(&mut self, roster: &Roster) -> Option<String> {
        self.ticks.tick().await;
        self.look();
        let verdict = self.criteria.early_verdict(&self.evidence);
        if self.second.0.elapsed() >= SECOND {
            let trial = self.comparison();
            self.evidence.end_second();
            self.second = (Instant::now(), self.counts.clone());
            self.look();
            roster.record(self.candidate.module, Step::Measured { trial });
        }
        verdict
    }

    fn look(&mut self) {
        let (_, before) = &self.second;
        let [candidate, control] = self.counters.each_ref().map(|counters| counters.counts());
        self.counts = Slice { candidate, control };
        let candidate = self.counts.candidate.since(&before.candidate);
        let control = self.counts.control.since(&before.control);
        self.evidence.update(Slice { candidate, control });
    }

    fn begin_period(&mut self) {
        self.look();
        self.evidence.begin_period();
        self.counters = begin_counting(&self.candidate, &self.control);
        self.second = (Instant::now(), Slice::default());
    }

    /// Requests that begin from now on no longer count.
    fn stop_counting_new_requests(&self) {
        begin_counting(&self.candidate, &self.control);
    }

    /// Whether a trial has lasted for its window and has enough evidence for a verdict, or may last no longer.
    fn has_ended(&self, terms: &TermsConfig) -> bool {
        self.began.elapsed() >= terms.longest_trial() || (self.is_window_over(terms) && self.lack().is_none())
    }

    fn is_window_over(&self, terms: &TermsConfig) -> bool {
        match terms.window {
            Window::Time(time) => self.began.elapsed() >= time.0,
            Window::Requests(wanted) => self.evidence.period().candidate.requests() >= wanted.into(),
        }
    }

    /// The evidence that a verdict lacks.
    fn lack(&self) -> Option<String> {
        match self.criteria.final_verdict(&self.evidence) {
            Verdict::Unproven(why) => Some(why),
            Verdict::Good | Verdict::Worse(_) => None,
        }
    }

    fn comparison(&self) -> Comparison {
        let Slice { candidate, control } = self.evidence.period();
        let elapsed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Comparison { elapsed_ms, module: (&candidate).into(), other: (&control).into() }
    }

    fn finish(self, verdict: Verdict) -> Finding {
        let comparison = self.comparison();
        Finding { verdict, comparison, evidence: self.evidence }
    }
}

/// Counts requests that begin from now on, and only these: for those under way, chance has not decided which module received
/// them.
fn begin_counting(candidate: &LoadedModule, control: &LoadedModule) -> [Arc<Tally>; 2] {
    [candidate, control].map(|module| module.guest.tallies.begin_period())
}

/// The share that the control of a watch needs, if requests keep coming as they did during `lasted`: the share of the
/// terms, or more at a low rate, but at most half.
fn control_share(period: &Slice, lasted: Duration, terms: &TermsConfig) -> Share {
    let requests = period.candidate.requests().saturating_add(period.control.requests());
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let expected = requests.saturating_mul(milliseconds(terms.watch.0)) / milliseconds(lasted).max(1);
    let needed = (100 * CONTROL_REQUESTS).div_ceil(expected.max(1));
    let needed = Share::from_percent(u8::try_from(needed).unwrap_or(u8::MAX));
    needed.clamp(terms.control, Share::HALF)
}
