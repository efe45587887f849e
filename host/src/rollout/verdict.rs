//! The verdict: whether a candidate is worse than its control.
//!
//! Both serve at the same time, and chance decides which of them receives a request. So a disturbance from outside hits
//! both alike, and what a verdict has to exclude is chance: it goes against a candidate only if its counts would be next to
//! impossible for a module as good as the control. Three things are compared: failures, the mix of status classes, and
//! times.

use std::{fmt::Write, time::Duration};

use crate::{
    rollout::{
        evidence::{Evidence, Slice},
        proportions::{Proportions, probability, ratio},
    },
    sandbox::tally::{Counts, Fault, StatusClass},
};

/// The probability below which counts end a comparison early. It is this low because the test is repeated ten times a
/// second.
const EARLY_PROBABILITY: f64 = 1e-4;
/// The same probability at the end of a comparison.
const FINAL_PROBABILITY: f64 = 1e-3;
/// The part of all requests by which the candidate's failures must exceed the control's.
const FAILURE_MARGIN: f64 = 0.01;
/// The part of all responses by which a status class must differ.
const MIX_MARGIN: f64 = 0.05;
/// The number of tests of the mix: each of two classes may be more or less frequent.
const MIX_TESTS: f64 = 4.0;
/// Requests of each module without which there is no verdict in favour of a candidate. With as many, a module that fails
/// one request in five is found in 19 of 20 comparisons.
pub const NEEDED_REQUESTS: u64 = 30;
/// Minimum number of the control's requests for a meaningful p99; with fewer, a single response makes up more than 1 %.
const MIN_P99_REQUESTS: u64 = 100;
/// Minimum number of the control's requests for a meaningful p50.
const MIN_P50_REQUESTS: u64 = 20;
/// Added to the limits that are derived from the control's times: a difference this small never makes a response slow.
const NEGLIGIBLE_DIFFERENCE: Duration = Duration::from_millis(1);
/// The number of seconds that do not count, those with the most slow responses: a stall is one event, and may fall into two
/// of them. A request under way is slow only once it is late by as much.
const DISREGARDED_SECONDS: usize = 2;

/// How a candidate is compared with its control.
#[derive(Clone, Copy, Debug)]
pub struct Criteria {
    /// Requests of each module without which the candidate is unproven.
    pub needed_requests: u64,
    /// Whether the mix of status classes is not compared.
    pub ignore_client_errors: bool,
}

/// The result of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The candidate is no worse, as far as the counts show.
    Good,
    /// The candidate is worse. Contains the reason.
    Worse(String),
    /// There were too few requests. Contains how many there were.
    Unproven(String),
}

impl Criteria {
    /// Why the candidate is so clearly worse that the comparison can end now.
    pub fn early_verdict(self, evidence: &Evidence) -> Option<String> {
        self.worse(evidence, EARLY_PROBABILITY)
    }

    /// The verdict at the end of a comparison.
    pub fn final_verdict(self, evidence: &Evidence) -> Verdict {
        if let Some(why) = self.worse(evidence, FINAL_PROBABILITY) {
            return Verdict::Worse(why);
        }
        let needed = self.needed_requests;
        let requests = |counts: fn(&Slice) -> &Counts| -> u64 {
            evidence.periods().iter().map(|period| counts(period).requests()).sum()
        };
        let (candidate, control) = (requests(|period| &period.candidate), requests(|period| &period.control));
        if candidate >= needed && control >= needed {
            return Verdict::Good;
        }
        Verdict::Unproven(format!(
            "it had {candidate} requests and its control {control}; a verdict needs {needed} of each"
        ))
    }

    fn worse(self, evidence: &Evidence, threshold: f64) -> Option<String> {
        failures(evidence, threshold)
            .or_else(|| (!self.ignore_client_errors).then(|| mix(evidence, threshold)).flatten())
            .or_else(|| slow_responses(evidence, threshold))
    }
}

/// Why the candidate fails more often.
fn failures(evidence: &Evidence, threshold: f64) -> Option<String> {
    let periods: Vec<_> = evidence.periods();
    let proportions: Vec<_> = periods.iter().map(|period| hits(period, Counts::failures)).collect();
    let exceeds = proportions.last()?.excess() > FAILURE_MARGIN;
    let present = periods.last()?;
    (exceeds && probability(&proportions) < threshold)
        .then(|| failure_reason(&present.candidate, &present.control))
}

/// Why the candidate's mix of status classes differs.
fn mix(evidence: &Evidence, threshold: f64) -> Option<String> {
    let periods = evidence.periods();
    let differing = [(StatusClass::Redirection, "3xx"), (StatusClass::ClientError, "4xx")]
        .into_iter()
        .find_map(|(class, name)| {
            let more: Vec<_> =
                periods.iter().map(|period| hits(period, |counts| counts.statuses(class))).collect();
            let fewer: Vec<_> = more.iter().map(|proportions| proportions.exchanged()).collect();
            let is_significant = |proportions: &[Proportions]| {
                proportions.last().is_some_and(|present| present.excess() > MIX_MARGIN)
                    && probability(proportions) < threshold / MIX_TESTS
            };
            (is_significant(&more) || is_significant(&fewer)).then(|| (more.last().copied(), name))
        });
    let (Some(Proportions { candidate_hits, candidate, control_hits, control }), class) = differing? else {
        return None;
    };
    Some(format!(
        "{candidate_hits} of its {candidate} responses were {class}, against {control_hits} of {control} for the \
         control; with --ignore-client-errors, this mix is not compared"
    ))
}

/// What counts as slow.
struct Slow {
    /// The quantile of the control from which the limit is derived, of 1000.
    quantile: u64,
    name: &'static str,
    /// How many times the control's time is slow, in tenths.
    factor_tenths: u32,
    min_requests: u64,
}

const SLOW: [Slow; 2] = [
    Slow { quantile: 500, name: "p50", factor_tenths: 15, min_requests: MIN_P50_REQUESTS },
    Slow { quantile: 990, name: "p99", factor_tenths: 20, min_requests: MIN_P99_REQUESTS },
];

/// Why the candidate is slower: more of its responses than chance allows took longer than a limit that is derived from the
/// control's p50 or p99, and so many that its own p50 or p99 is beyond that limit.
fn slow_responses(evidence: &Evidence, threshold: f64) -> Option<String> {
    let control = evidence.period().control;
    SLOW.iter().filter(|slow| control.requests() >= slow.min_requests).find_map(|slow| {
        let control_time = control.quantile(slow.quantile)?;
        let limit = (control_time * slow.factor_tenths / 10).saturating_add(NEGLIGIBLE_DIFFERENCE);
        let proportions = slow_proportions(evidence, limit);
        let beyond = ratio(1000 - slow.quantile, 1000);
        let is_slower = ratio(proportions.candidate_hits, proportions.candidate) > beyond
            && probability(&[proportions]) < threshold;
        is_slower.then(|| slow_reason(evidence, slow, control_time, limit))
    })
}

/// How many requests took longer than `limit`, in the seconds that count.
fn slow_proportions(evidence: &Evidence, limit: Duration) -> Proportions {
    let mut seconds: Vec<_> = evidence.slices().map(|slice| slow_requests(slice, limit)).collect();
    seconds.sort_by_key(|second| std::cmp::Reverse(second.candidate_hits));
    let mut total = Proportions::default();
    for second in seconds.iter().skip(DISREGARDED_SECONDS) {
        total.candidate_hits += second.candidate_hits;
        total.candidate += second.candidate;
        total.control_hits += second.control_hits;
        total.control += second.control;
    }
    let Slice { candidate, control } = evidence.latest();
    let (candidate, control) = (late(candidate, limit), late(control, limit));
    total.candidate_hits += candidate;
    total.candidate += candidate;
    total.control_hits += control;
    total.control += control;
    total
}

/// How many requests took longer than `limit`, or were given up by their client after that time. Clients that leave earlier say
/// nothing.
fn slow_requests(slice: &Slice, limit: Duration) -> Proportions {
    let Slice { candidate, control } = slice;
    let [candidate_abandoned, control_abandoned] =
        [candidate, control].map(|counts| counts.abandoned_after(limit));
    Proportions {
        candidate_hits: candidate.longer_than(limit) + candidate_abandoned,
        candidate: candidate.requests() + candidate_abandoned,
        control_hits: control.longer_than(limit) + control_abandoned,
        control: control.requests() + control_abandoned,
    }
}

/// The number of requests that are under way for longer than `limit`, beyond what a stall explains.
fn late(counts: &Counts, limit: Duration) -> u64 {
    let stall = Duration::from_secs(1).saturating_mul(u32::try_from(DISREGARDED_SECONDS).unwrap_or(u32::MAX));
    let late = counts.under_way().filter(|(age, _)| *age > limit.saturating_add(stall));
    late.map(|(_, requests)| requests).sum()
}

fn hits(slice: &Slice, hits: impl Fn(&Counts) -> u64) -> Proportions {
    Proportions {
        candidate_hits: hits(&slice.candidate),
        candidate: slice.candidate.requests(),
        control_hits: hits(&slice.control),
        control: slice.control.requests(),
    }
}

fn slow_reason(evidence: &Evidence, slow: &Slow, control_time: Duration, limit: Duration) -> String {
    let Slice { candidate, .. } = evidence.period();
    let (late, name) = (late(&evidence.latest().candidate, limit), slow.name);
    let mut text = format!(
        "{} of its {} responses took longer than {}",
        candidate.longer_than(limit),
        candidate.requests(),
        duration(limit)
    );
    if let Some(own) = candidate.quantile(slow.quantile) {
        let _ = write!(text, " (its {name} is {})", duration(own));
    }
    let abandoned = candidate.abandoned_after(limit);
    if abandoned > 0 {
        let _ = write!(text, ", {abandoned} requests were given up by their clients after that time");
    }
    if late > 0 {
        let _ = write!(text, ", and {late} requests are still under way");
    }
    let _ = write!(text, ", against a {name} of {} for the control", duration(control_time));
    text
}

fn failure_reason(candidate: &Counts, control: &Counts) -> String {
    let mut text = format!("{} of its {} requests failed", candidate.failures(), candidate.requests());
    let faults = [
        (Fault::ServerError, "answered with 5xx"),
        (Fault::Trap, "trapped"),
        (Fault::Timeout, "timed out"),
        (Fault::Cpu, "exceeded their processor time"),
        (Fault::InvalidResponse, "without a valid response"),
    ];
    let mut separator = " (";
    for (fault, name) in faults {
        let faults = candidate.faults(fault);
        if faults > 0 {
            let _ = write!(text, "{separator}{faults} {name}");
            separator = ", ";
        }
    }
    let _ = write!(text, "), against {} of {} for the control", control.failures(), control.requests());
    text
}

/// A time with about three digits: `703 µs`, `22.5 ms` or `1.2 s`.
fn duration(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..1000 => format!("{micros} µs"),
        micros @ 1000..1_000_000 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        micros => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}
