//! Other writers, between any two steps of one: each counts, and no count is lost.

use std::cell::{Cell, RefCell};

use proptest::{collection::vec, prelude::*};

use crate::disk::{Blobs, Disk, Kill, count, counted, open};

/// How often one counts whom others interrupt.
const COUNTS: u32 = 6;

/// Between the steps of one writer, others count so often: some at once, one who has been there from the beginning and
/// one who has just come. They are interrupted in turn.
fn run(bursts: &[u8], every: u64, two_steps: bool) -> Result<(), TestCaseError> {
    let blobs = Blobs::default();
    let next = Cell::new(0_usize);
    let done = Cell::new(0_u64);
    let unknown = Cell::new(0_u64);
    let depth = Cell::new(0_u32);
    let burst = || {
        let number = next.replace(next.get() + 1);
        bursts.get(number).copied().unwrap_or(0)
    };
    let tally = |outcome: Result<(), _>| match outcome {
        Ok(()) => done.set(done.get() + 1),
        // It gave up: what it had begun is there or is not.
        Err(_) => unknown.set(unknown.get() + 1),
    };
    let faithful = RefCell::new(None);
    let inner = || {
        if depth.get() < 2 {
            depth.set(depth.get() + 1);
            for _ in 0..burst() % 4 {
                tally(count(&mut open(new_disk(&blobs, two_steps), every), "innermost"));
            }
            depth.set(depth.get() - 1);
        }
    };
    let outer = || {
        depth.set(depth.get() + 1);
        let times = burst();
        for time in 0..times {
            if time % 2 == 0 {
                let Ok(mut old) = faithful.try_borrow_mut() else { continue };
                let old = old.get_or_insert_with(|| open(new_disk(&blobs, two_steps), every));
                tally(count(old, "old"));
            } else {
                tally(count(&mut open(Disk::with_others(&blobs, two_steps, &inner), every), "new"));
            }
        }
        depth.set(depth.get() - 1);
    };
    let mut victim = open(Disk::with_others(&blobs, two_steps, &outer), every);
    for _ in 0..COUNTS {
        tally(count(&mut victim, "victim"));
    }
    // Nobody interrupts any more.
    next.set(bursts.len());
    let found = counted(&mut open(new_disk(&blobs, two_steps), every));
    prop_assert!(
        (done.get()..=done.get() + unknown.get()).contains(&found),
        "{} counted, {} unknown, {found} found",
        done.get(),
        unknown.get()
    );
    if !two_steps {
        prop_assert!(done.get() > 0);
    }
    // All see the same.
    prop_assert_eq!(counted(&mut victim), counted(&mut open(new_disk(&blobs, two_steps), every)));
    Ok(())
}

/// A checkpoint that was deleted can come back: closed, by a writer who began before it. Whoever began from it must not
/// take that for its still being there, for the records that follow it may be gone.
#[test]
fn a_checkpoint_that_was_deleted_and_is_closed_does_not_stand() {
    const CHECKPOINT: &str = "c00000000000000000003";
    let blobs = Blobs::default();
    let steps = Cell::new(0);
    let later = || {
        if blobs.borrow().contains_key("r00000000000000000006") {
            // The sixth commit is there; it has looked whether it counts; now it is about to close the checkpoint.
            if steps.replace(steps.get() + 1) == 1 {
                let mut newer = open(Disk::new(&blobs), 3);
                (0..3).for_each(|_| count(&mut newer, "newer").unwrap());
                assert!(!blobs.borrow().contains_key(CHECKPOINT), "it was deleted with what follows it");
            }
        }
    };
    // It has read nothing but commits, and there was no checkpoint yet.
    let mut oldest = open(Disk::with_others(&blobs, false, &later), 3);
    assert_eq!(counted(&mut oldest), 0);
    // Killed before it deletes anything: three commits, a part, the checkpoint.
    let mut first = open(Disk::killed(&blobs, Kill { at: 5, after: false }), 3);
    (0..3).for_each(|_| count(&mut first, "first").unwrap());
    let mut victim = open(Disk::new(&blobs), 3);
    assert_eq!(counted(&mut victim), 3, "it began from the checkpoint");
    (0..3).for_each(|_| count(&mut oldest, "oldest").unwrap());

    assert!(blobs.borrow().contains_key(CHECKPOINT), "it was closed");
    assert_eq!(counted(&mut victim), 9);
    count(&mut victim, "victim").unwrap();
    assert_eq!(counted(&mut open(Disk::new(&blobs), 3)), 10);
}

fn new_disk(blobs: &Blobs, two_steps: bool) -> Disk<'static> {
    if two_steps { Disk::in_two_steps(blobs) } else { Disk::new(blobs) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_count_is_lost(
        bursts in vec(prop_oneof![6 => Just(0_u8), 1 => 1..12_u8], 0..200),
        every in 1..4_u64,
        two_steps: bool,
    ) {
        run(&bursts, every, two_steps)?;
    }
}
