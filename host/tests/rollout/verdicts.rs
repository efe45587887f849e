//! Verdicts over given counts.

use std::time::Duration;

use orders_host::{
    rollout::{
        evidence::{Evidence, Slice},
        verdict::{Criteria, NEEDED_REQUESTS, Verdict},
    },
    sandbox::tally::{Counts, Fault, StatusClass},
};

const CRITERIA: Criteria = Criteria { needed_requests: NEEDED_REQUESTS, ignore_client_errors: false };
const QUICK: Duration = Duration::from_micros(500);

/// The counts of quick requests, some of which failed.
fn failing(requests: u64, failures: u64) -> Counts {
    let mut counts = Counts::default();
    counts.add_requests(requests, QUICK);
    counts.add_faults(Fault::Trap, failures);
    counts.add_statuses(StatusClass::Success, requests - failures);
    counts
}

/// The counts of requests, some of which took `time`.
fn slow(requests: u64, slow: u64, time: Duration) -> Counts {
    let mut counts = Counts::default();
    counts.add_requests(requests - slow, QUICK);
    counts.add_requests(slow, time);
    counts.add_statuses(StatusClass::Success, requests);
    counts
}

/// The counts of quick requests, some of which were answered with 4xx.
fn client_errors(requests: u64, errors: u64) -> Counts {
    let mut counts = Counts::default();
    counts.add_requests(requests, QUICK);
    counts.add_statuses(StatusClass::ClientError, errors);
    counts.add_statuses(StatusClass::Success, requests - errors);
    counts
}

/// The evidence of a trial in which each second was the same.
fn evidence(seconds: usize, candidate: &Counts, control: &Counts) -> Evidence {
    let mut evidence = Evidence::default();
    for _ in 0..seconds {
        evidence.update(Slice { candidate: candidate.clone(), control: control.clone() });
        evidence.end_second();
    }
    evidence
}

fn early(candidate: &Counts, control: &Counts) -> Option<String> {
    CRITERIA.early_verdict(&evidence(1, candidate, control))
}

fn last(candidate: &Counts, control: &Counts) -> Verdict {
    CRITERIA.final_verdict(&evidence(1, candidate, control))
}

fn reason(verdict: Verdict) -> String {
    match verdict {
        Verdict::Worse(why) => why,
        Verdict::Good | Verdict::Unproven(_) => panic!("{verdict:?}"),
    }
}

#[test]
fn a_failing_candidate_is_worse_as_soon_as_chance_is_excluded() {
    let good = failing(180, 0);
    assert_eq!(early(&failing(20, 3), &good), None);
    let why = early(&failing(20, 4), &good).unwrap();
    assert_eq!(why, "4 of its 20 requests failed (4 trapped), against 0 of 180 for the control");
    // Nothing is known of a control without requests.
    assert_eq!(early(&failing(20, 20), &Counts::default()), None);
    assert!(matches!(last(&failing(20, 20), &Counts::default()), Verdict::Unproven(_)));
}

#[test]
fn a_candidate_that_fails_as_often_as_its_control_is_good() {
    let control = failing(9_000, 900);
    for failures in [80, 100, 115, 125] {
        assert_eq!(early(&failing(1_000, failures), &control), None, "{failures}");
        assert_eq!(last(&failing(1_000, failures), &control), Verdict::Good, "{failures}");
    }
    assert!(early(&failing(1_000, 150), &control).is_some());
    // The difference is certain, but less than one percentage point.
    assert_eq!(last(&failing(100_000, 900), &failing(900_000, 0)), Verdict::Good);
}

/// A request at a time: 14 requests of the candidate, and an outage that hits both.
#[test]
fn an_outage_that_hits_both_is_no_evidence() {
    let mut trial = evidence(30, &failing(1, 0), &failing(10, 0));
    for _ in 0..6 {
        trial.update(Slice { candidate: failing(1, 1), control: failing(10, 10) });
        trial.end_second();
    }
    assert_eq!(CRITERIA.early_verdict(&trial), None);
    assert_eq!(CRITERIA.final_verdict(&trial), Verdict::Good);
}

#[test]
fn too_few_requests_are_no_verdict_in_favour_of_a_candidate() {
    let few =
        Verdict::Unproven("it had 3 requests and its control 27; a verdict needs 30 of each".to_owned());
    assert_eq!(last(&failing(3, 0), &failing(27, 0)), few);
    assert_eq!(last(&failing(30, 0), &failing(270, 0)), Verdict::Good);
    assert!(matches!(last(&failing(270, 0), &failing(29, 0)), Verdict::Unproven(_)));
    // But a few suffice against it.
    let why = reason(last(&failing(3, 3), &failing(27, 0)));
    assert_eq!(why, "3 of its 3 requests failed (3 trapped), against 0 of 27 for the control");
}

#[test]
fn another_mix_of_statuses_is_worse() {
    let orders = client_errors(900, 50);
    let why = early(&client_errors(100, 100), &orders).unwrap();
    assert!(why.starts_with("100 of its 100 responses were 4xx, against 50 of 900 for the control"), "{why}");
    assert!(why.contains("--ignore-client-errors"), "{why}");
    // A component that accepts everything is found as well.
    let strict = client_errors(900, 300);
    assert!(early(&client_errors(200, 0), &strict).unwrap().starts_with("0 of its 200 responses were 4xx"));
    assert_eq!(last(&client_errors(100, 8), &orders), Verdict::Good);
    // A small change of the mix is what new versions do.
    assert_eq!(last(&client_errors(100_000, 9_000), &client_errors(900_000, 45_000)), Verdict::Good);
    let lenient = Criteria { ignore_client_errors: true, ..CRITERIA };
    assert_eq!(lenient.final_verdict(&evidence(1, &client_errors(100, 100), &orders)), Verdict::Good);
}

#[test]
fn a_slow_candidate_is_worse_after_three_seconds() {
    let (late, quick) = (slow(20, 20, Duration::from_millis(50)), slow(180, 2, Duration::from_millis(5)));
    for seconds in [1, 2] {
        assert_eq!(CRITERIA.early_verdict(&evidence(seconds, &late, &quick)), None);
    }
    let why = CRITERIA.early_verdict(&evidence(3, &late, &quick)).unwrap();
    assert!(why.starts_with("60 of its 60 responses took longer than "), "{why}");
    assert!(why.ends_with("for the control"), "{why}");
    // Only its slowest responses are slower.
    let tail = slow(100, 5, Duration::from_millis(50));
    assert!(CRITERIA.early_verdict(&evidence(10, &tail, &quick)).unwrap().contains("a p99 of"));
    // Twice as slow is noticed where it matters, and a difference below a millisecond is not.
    let (ten, twenty) = (slow(90, 90, Duration::from_millis(10)), slow(10, 10, Duration::from_millis(20)));
    assert!(CRITERIA.early_verdict(&evidence(10, &twenty, &ten)).unwrap().contains("a p50 of"));
    let (half, one) = (slow(90, 90, Duration::from_micros(100)), slow(10, 10, Duration::from_micros(900)));
    assert_eq!(CRITERIA.final_verdict(&evidence(10, &one, &half)), Verdict::Good);
}

#[test]
fn a_stall_is_one_event_however_many_requests_it_delays() {
    let mut trial = evidence(10, &slow(1_000, 0, QUICK), &slow(50, 0, QUICK));
    // It hits the candidate alone, by chance, and ends in the following second.
    for stalled in [400, 300] {
        let candidate = slow(1_000, stalled, Duration::from_millis(700));
        trial.update(Slice { candidate, control: slow(50, 0, QUICK) });
        trial.end_second();
    }
    assert_eq!(CRITERIA.early_verdict(&trial), None);
    assert_eq!(CRITERIA.final_verdict(&trial), Verdict::Good);
}

#[test]
fn requests_under_way_for_too_long_are_slow() {
    let mut trial = evidence(3, &Counts::default(), &failing(180, 0));
    let hanging = |age| {
        let mut counts = Counts::default();
        counts.add_under_way(age, 20);
        Slice { candidate: counts, control: failing(18, 0) }
    };
    trial.update(hanging(Duration::from_millis(1_900)));
    assert_eq!(CRITERIA.early_verdict(&trial), None);
    trial.update(hanging(Duration::from_millis(2_100)));
    let why = CRITERIA.early_verdict(&trial).unwrap();
    assert!(why.contains("20 requests are still under way"), "{why}");
}

/// Clients that give up after half a second: a module that hangs never has a response to judge.
#[test]
fn requests_that_clients_give_up_are_slow_if_the_control_is_quick() {
    let mut hanging = Counts::default();
    hanging.add_abandoned(2, Duration::from_millis(500));
    let why = CRITERIA.early_verdict(&evidence(6, &hanging, &failing(18, 0))).unwrap();
    assert!(why.contains("12 requests were given up by their clients"), "{why}");
    // Clients that leave at once say nothing.
    let mut hasty = failing(18, 0);
    hasty.add_abandoned(5, Duration::from_micros(300));
    assert_eq!(CRITERIA.final_verdict(&evidence(6, &hasty, &failing(180, 0))), Verdict::Good);
}

/// What the trial has shown counts in the watch, in which the candidate has most of the requests.
#[test]
fn trial_and_watch_are_one_comparison() {
    // It failed twice in the trial; alone, neither part would be enough.
    let mut trial = evidence(30, &failing(2, 0), &failing(18, 0));
    for _ in 0..2 {
        trial.update(Slice { candidate: failing(1, 1), control: failing(1, 0) });
        trial.end_second();
    }
    assert!(matches!(CRITERIA.final_verdict(&trial), Verdict::Good));
    trial.begin_period();
    for _ in 0..35 {
        trial.update(Slice { candidate: failing(19, 2), control: failing(1, 0) });
        trial.end_second();
    }
    assert!(reason(CRITERIA.final_verdict(&trial)).starts_with("70 of its 665 requests failed"));
}

#[test]
fn evidence_of_hours_is_kept_in_bounded_memory() {
    let mut long = evidence(10_000, &failing(2, 0), &failing(18, 0));
    assert!(long.slices().count() <= 66, "{}", long.slices().count());
    assert_eq!((long.period().candidate.requests(), long.period().control.requests()), (20_000, 180_000));
    long.begin_period();
    assert_eq!(long.period().candidate.requests(), 0);
    assert_eq!(long.periods()[0].candidate.requests(), 20_000);
}
