//! A candidate on trial, and a module that is watched after it came to serve: how long, and what ends it.

use std::{sync::Arc, time::Instant};

use tokio::time::{Duration, MissedTickBehavior, interval};

use crate::{
    config::{Share, TermsConfig, Window},
    rollout::{
        events::{Comparison, Step},
        roster::Roster,
        slot::{Serving, Slot},
        verdict::{IN_SUCCESSION, SIDE_BY_SIDE},
    },
    sandbox::tally::Counts,
};

/// How often the numbers are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How often they are told.
const LOOKS_A_WORD: u32 = 10;
/// How long a trial waits for the number of requests that it was to have.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// How long after its deadline a request may take to be counted.
const GRACE: Duration = Duration::from_secs(1);
/// The fewest requests in which a module shows what it usually does; if there were fewer, all that it ever did counts.
const ENOUGH: u64 = 100;

/// What a trial is made of.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "a slot has nothing to show")]
pub struct Trial<'a> {
    /// Where requests are given out.
    pub slot: &'a Slot,
    /// Where it is told.
    pub roster: &'a Roster,
    /// How long a request may take.
    pub request_timeout: Duration,
}

/// How a trial ended.
#[derive(Debug)]
pub struct Ended {
    /// What was seen.
    pub seen: Comparison,
    /// Why the candidate must not serve, if so.
    pub why: Option<String>,
    /// What the module that serves usually does.
    pub usual: Counts,
}

/// What both have done since the trial began.
struct Seen {
    began: Instant,
    candidate: Arc<Serving>,
    serving: Arc<Serving>,
    /// Before.
    candidate_had: Counts,
    serving_had: Counts,
}

impl Seen {
    fn candidate(&self) -> Counts {
        self.candidate.guest.tally.counts().since(&self.candidate_had)
    }

    /// In the same time, or if there was little, ever.
    fn serving(&self) -> Counts {
        let all = self.serving.guest.tally.counts();
        let since = all.since(&self.serving_had);
        if since.requests() < ENOUGH { all } else { since }
    }

    fn comparison(&self) -> Comparison {
        compare(self.began, &self.candidate(), &self.serving())
    }

    fn ended(&self, why: Option<String>) -> Ended {
        Ended { seen: self.comparison(), why, usual: self.serving() }
    }
}

impl Trial<'_> {
    /// Gives the candidate its share of the requests, for as long as its window lasts and nothing speaks against it.
    /// In the end it gets none: it is withdrawn, or rests until it is promoted.
    pub async fn run(self, candidate: &Arc<Serving>, terms: &TermsConfig) -> Ended {
        let serving = self.slot.serving();
        let seen = Seen {
            began: Instant::now(),
            candidate_had: candidate.guest.tally.counts(),
            serving_had: serving.guest.tally.counts(),
            candidate: Arc::clone(candidate),
            serving,
        };
        self.slot.try_out(candidate, terms.canary);
        let step = Step::OnTrial { share: terms.canary.percent(), window: terms.window.to_string() };
        self.roster.note(candidate.module, step);

        let mut why = self.window(&seen, terms.window).await;
        if why.is_none() && self.is_on_trial(candidate) {
            // What it has begun is a part of what it has done: above all what it does not end.
            self.slot.try_out(candidate, Share::NONE);
            why = self.last_requests(&seen).await;
            why = why.or_else(|| SIDE_BY_SIDE.worse(&seen.candidate(), &seen.serving()));
        }
        if why.is_none() && !self.is_on_trial(candidate) {
            why = Some(WITHDRAWN.to_owned());
        }
        if why.is_some() && self.is_on_trial(candidate) {
            self.slot.withdraw();
        }
        seen.ended(why)
    }

    /// Until the window is over, or earlier: then it is said why.
    async fn window(self, seen: &Seen, window: Window) -> Option<String> {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look = 0_u32;
        loop {
            looks.tick().await;
            look = look.wrapping_add(1);
            if !self.is_on_trial(&seen.candidate) {
                return Some(WITHDRAWN.to_owned());
            }
            let counts = seen.candidate();
            let why = SIDE_BY_SIDE.evidently_worse(&counts, &seen.serving());
            if why.is_some() {
                return why;
            }
            if look.is_multiple_of(LOOKS_A_WORD) {
                self.roster.note(seen.candidate.module, Step::Measured { trial: seen.comparison() });
            }
            match window {
                Window::Time(time) if seen.began.elapsed() >= time.0 => return None,
                Window::Requests(wanted) if counts.requests() >= u64::from(wanted) => return None,
                Window::Requests(wanted) if seen.began.elapsed() >= LONGEST => {
                    return Some(format!(
                        "it got only {} of {wanted} requests within an hour",
                        counts.requests()
                    ));
                }
                Window::Time(_) | Window::Requests(_) => {}
            }
        }
    }

    /// Until all that the candidate has begun has ended.
    async fn last_requests(self, seen: &Seen) -> Option<String> {
        let mut looks = interval(LOOK / 10);
        let latest = Instant::now() + self.request_timeout + GRACE;
        loop {
            looks.tick().await;
            if !self.is_on_trial(&seen.candidate) {
                return Some(WITHDRAWN.to_owned());
            }
            if seen.candidate().under_way() == 0 || Instant::now() > latest {
                return None;
            }
        }
    }

    fn is_on_trial(self, candidate: &Arc<Serving>) -> bool {
        self.slot.candidate().is_some_and(|on_trial| Arc::ptr_eq(&on_trial, candidate))
    }
}

const WITHDRAWN: &str = "an operator has taken it back";

/// A module that came to serve a while ago.
#[allow(missing_debug_implementations, reason = "linked code has nothing to show")]
pub struct Watched {
    serving: Arc<Serving>,
    began: Instant,
    ends: Instant,
    /// What it had done before.
    had: Counts,
    /// What the one before it usually did.
    usual: Counts,
}

impl Watched {
    /// Watches the module that serves now; `usual` is what the one before it did.
    pub fn begin(serving: Arc<Serving>, usual: Counts, time: Duration) -> Option<Self> {
        let began = Instant::now();
        let had = serving.guest.tally.counts();
        (!time.is_zero()).then(|| Self { serving, began, ends: began + time, had, usual })
    }

    /// Waits until it turns out to be worse: then it is said why. None if it has not, and the time is over, or if
    /// another module serves. May be broken off and called again.
    pub async fn until_worse(&self, slot: &Slot, roster: &Roster) -> Option<String> {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if !Arc::ptr_eq(&slot.serving(), &self.serving) {
                return None;
            }
            let why = IN_SUCCESSION.evidently_worse(&self.counts(), &self.usual);
            if why.is_some() {
                return why;
            }
            if Instant::now() >= self.ends {
                roster.note(self.serving.module, Step::Kept { trial: self.seen() });
                return None;
            }
        }
    }

    /// The module.
    pub fn serving(&self) -> &Arc<Serving> {
        &self.serving
    }

    /// What was seen.
    pub fn seen(&self) -> Comparison {
        compare(self.began, &self.counts(), &self.usual)
    }

    fn counts(&self) -> Counts {
        self.serving.guest.tally.counts().since(&self.had)
    }
}

fn compare(began: Instant, module: &Counts, other: &Counts) -> Comparison {
    let elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Comparison { elapsed_ms, module: module.into(), other: other.into() }
}
