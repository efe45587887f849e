//! Other writers act between any two steps of one writer. Each increments a counter, and no increment is lost.

use std::cell::{Cell, RefCell};

use proptest::{collection::vec, prelude::*};

use crate::shared_disk::{Blobs, Disk, Kill, increment_counter, open, read_counter};

/// Increments by the interrupted writer.
const INCREMENTS: u32 = 6;

/// Runs the interrupted writer. Before each of its steps, the next element of `bursts` says how many increments other
/// writers make: alternately a long-lived writer and a new one. The new writer is interrupted in turn.
fn run(bursts: &[u8], checkpoint_every: u64, two_steps: bool) -> Result<(), TestCaseError> {
    let blobs = Blobs::default();
    let next_burst = Cell::new(0_usize);
    let acknowledged = Cell::new(0_u64);
    let unknown = Cell::new(0_u64);
    let depth = Cell::new(0_u32);
    let burst = || {
        let number = next_burst.replace(next_burst.get() + 1);
        bursts.get(number).copied().unwrap_or(0)
    };
    let tally = |outcome: Result<(), _>| match outcome {
        Ok(()) => acknowledged.set(acknowledged.get() + 1),
        // After an error, the increment may have taken place or not.
        Err(_) => unknown.set(unknown.get() + 1),
    };
    let long_lived = RefCell::new(None);
    let inner = || {
        if depth.get() < 2 {
            depth.set(depth.get() + 1);
            for _ in 0..burst() % 4 {
                tally(increment_counter(
                    &mut open(new_disk(&blobs, two_steps), checkpoint_every),
                    "innermost",
                ));
            }
            depth.set(depth.get() - 1);
        }
    };
    let outer = || {
        depth.set(depth.get() + 1);
        let times = burst();
        for time in 0..times {
            if time % 2 == 0 {
                let Ok(mut old) = long_lived.try_borrow_mut() else { continue };
                let old = old.get_or_insert_with(|| open(new_disk(&blobs, two_steps), checkpoint_every));
                tally(increment_counter(old, "old"));
            } else {
                tally(increment_counter(
                    &mut open(Disk::interrupted(&blobs, two_steps, &inner), checkpoint_every),
                    "new",
                ));
            }
        }
        depth.set(depth.get() - 1);
    };
    let mut victim = open(Disk::interrupted(&blobs, two_steps, &outer), checkpoint_every);
    for _ in 0..INCREMENTS {
        tally(increment_counter(&mut victim, "victim"));
    }
    // No more interruptions.
    next_burst.set(bursts.len());
    let counter = read_counter(&mut open(new_disk(&blobs, two_steps), checkpoint_every));
    prop_assert!(
        (acknowledged.get()..=acknowledged.get() + unknown.get()).contains(&counter),
        "{} increments acknowledged, {} unknown, the counter is {counter}",
        acknowledged.get(),
        unknown.get()
    );
    if !two_steps {
        prop_assert!(acknowledged.get() > 0);
    }
    // All writers see the same value.
    prop_assert_eq!(
        read_counter(&mut victim),
        read_counter(&mut open(new_disk(&blobs, two_steps), checkpoint_every))
    );
    Ok(())
}

/// A deleted checkpoint can reappear as a `Closed` marker, created by a writer that started before it. A writer that
/// started from that checkpoint must not take the marker for the checkpoint: the records after it may be deleted.
#[test]
fn a_deleted_checkpoint_that_reappears_as_closed_is_not_trusted() {
    const CHECKPOINT: &str = "c00000000000000000003";
    let blobs = Blobs::default();
    let steps = Cell::new(0);
    let later = || {
        if blobs.borrow().contains_key("r00000000000000000006") {
            // The sixth commit exists, its writer has verified it, and is now about to close the checkpoint.
            if steps.replace(steps.get() + 1) == 1 {
                let mut newer = open(Disk::new(&blobs), 3);
                (0..3).for_each(|_| increment_counter(&mut newer, "newer").unwrap());
                assert!(!blobs.borrow().contains_key(CHECKPOINT), "it was deleted with the records after it");
            }
        }
    };
    // This writer has started from the empty state: no checkpoint exists yet.
    let mut oldest = open(Disk::interrupted(&blobs, false, &later), 3);
    assert_eq!(read_counter(&mut oldest), 0);
    // Killed before it deletes anything: it has written three commits, a part, the index and the checkpoint.
    let mut first = open(Disk::killed(&blobs, Kill { at: 6, after: false }), 3);
    (0..3).for_each(|_| increment_counter(&mut first, "first").unwrap());
    let mut victim = open(Disk::new(&blobs), 3);
    assert_eq!(read_counter(&mut victim), 3, "it started from the checkpoint");
    (0..3).for_each(|_| increment_counter(&mut oldest, "oldest").unwrap());

    assert!(blobs.borrow().contains_key(CHECKPOINT), "it was closed");
    assert_eq!(read_counter(&mut victim), 9);
    increment_counter(&mut victim, "victim").unwrap();
    assert_eq!(read_counter(&mut open(Disk::new(&blobs), 3)), 10);
}

fn new_disk(blobs: &Blobs, two_steps: bool) -> Disk<'static> {
    if two_steps { Disk::in_two_steps(blobs) } else { Disk::new(blobs) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_increment_is_lost(
        bursts in vec(prop_oneof![6 => Just(0_u8), 1 => 1..12_u8], 0..200),
        checkpoint_every in 1..4_u64,
        two_steps: bool,
    ) {
        run(&bursts, checkpoint_every, two_steps)?;
    }
}
