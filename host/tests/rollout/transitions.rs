//! The table of transitions.

use std::collections::BTreeSet;

use orders_host::rollout::machine::{Action, Phase, TRANSITIONS};

/// Prints the table in Markdown: `cargo test -p orders-host --test rollout transitions -- --nocapture`.
#[test]
fn each_phase_can_be_reached_and_left() {
    println!("| phase | input | next phase | actions |\n|---|---|---|---|");
    for (phase, input, next, actions) in TRANSITIONS {
        let actions: Vec<_> = actions.iter().map(|action| format!("{action:?}")).collect();
        println!("| {phase:?} | {input:?} | {next:?} | {} |", actions.join(", "));
    }
    let mut inputs = BTreeSet::new();
    for (phase, input, ..) in TRANSITIONS {
        assert!(inputs.insert(format!("{phase:?} {input:?}")), "{phase:?} has two transitions for {input:?}");
    }
    let mut reached = vec![Phase::Settled];
    while let Some((.., next, _)) =
        TRANSITIONS.iter().find(|(phase, _, next, _)| reached.contains(phase) && !reached.contains(next))
    {
        reached.push(*next);
    }
    for (phase, ..) in TRANSITIONS {
        assert!(reached.contains(&phase), "{phase:?} is never reached");
        let leaves = |(from, _, next, _): &_| *from == phase && *next != phase;
        assert!(TRANSITIONS.iter().any(leaves), "{phase:?} is never left");
    }
}

/// Requests are taken away before anything is recorded or acknowledged, and an acknowledgement comes last.
#[test]
fn an_acknowledgement_is_the_last_action() {
    for (phase, input, _, actions) in TRANSITIONS {
        let position = |wanted: Action| actions.iter().position(|action| *action == wanted);
        if let Some(answered) = position(Action::Answer) {
            assert_eq!(answered, actions.len() - 1, "{phase:?} {input:?}");
        }
        let moved = [Action::Withdraw, Action::Restore].into_iter().find_map(position);
        if let (Some(moved), Some(recorded)) = (moved, position(Action::RecordRolledBack)) {
            assert!(moved < recorded, "{phase:?} {input:?}");
        }
    }
}
