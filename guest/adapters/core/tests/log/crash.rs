//! A writer is killed at each of its writes. The acknowledged commits survive, and the store stays usable.

use orders_adapter::contract::{Error, Order, Scan, Store};

use crate::shared_disk::{Blobs, Disk, Kill, increment_counter, open, read_counter};

/// Commits that a writer attempts: enough for several checkpoints.
const COMMITS: u64 = 12;

#[test]
fn a_writer_killed_at_any_write_leaves_a_consistent_state() {
    let mut all_acknowledged = false;
    for at in 0.. {
        for after in [false, true] {
            let blobs = Blobs::default();
            let mut writer = open(Disk::killed(&blobs, Kill { at, after }), 3);
            let acknowledged =
                (0..COMMITS).take_while(|_| increment_counter(&mut writer, "first").is_ok()).count();
            let acknowledged = u64::try_from(acknowledged).unwrap();
            all_acknowledged = acknowledged == COMMITS;
            let mut next = open(Disk::new(&blobs), 3);
            let found = read_counter(&mut next);
            assert!(
                found == acknowledged || found == acknowledged + 1,
                "killed at write {at}: {acknowledged} acknowledged, {found} found"
            );
            for _ in 0..COMMITS {
                increment_counter(&mut next, "second").unwrap();
            }
            let mut last = open(Disk::new(&blobs), 3);
            assert_eq!(read_counter(&mut last), found + COMMITS);
        }
        // From here on, the writer is killed after its last commit, or not at all.
        if all_acknowledged && at > 60 {
            return;
        }
    }
}

#[test]
fn a_writer_killed_in_a_two_step_create_blocks_commits_and_loses_none() {
    let blobs = Blobs::default();
    // Killed at the second write of a create: the name is claimed, but the blob does not exist.
    let mut writer = open(Disk::in_two_steps_killed(&blobs, Kill { at: 1, after: false }), 3);
    assert!(increment_counter(&mut writer, "first").is_err());
    let mut next = open(Disk::in_two_steps(&blobs), 3);
    assert_eq!(read_counter(&mut next), 0);
    let Err(Error::Unavailable(why)) = increment_counter(&mut next, "second") else {
        panic!("it was committed")
    };
    assert!(why.contains("has started commit 1 and not finished it"), "{why}");
    // The recovery that the documentation describes for operators.
    blobs.borrow_mut().remove("taken.r00000000000000000001").unwrap();
    increment_counter(&mut next, "second").unwrap();
    assert_eq!(read_counter(&mut next), 1);
}

#[test]
fn damage_is_reported_with_the_blob_name_and_never_misread() {
    let blobs = Blobs::default();
    let mut writer = open(Disk::new(&blobs), 3);
    for _ in 0..4 {
        increment_counter(&mut writer, "first").unwrap();
    }
    let everything = Scan { start: "\0".into(), end: char::MAX.into(), limit: 1000, order: Order::Ascending };
    let names: Vec<_> = blobs.borrow().keys().filter(|name| *name != "pruned").cloned().collect();
    assert_eq!(names.len(), 4, "a checkpoint, its index, its part and a record: {names:?}");
    for name in names {
        let whole = blobs.borrow()[&name].clone();
        for length in 0..whole.len() {
            blobs.borrow_mut().insert(name.clone(), whole[..length].to_vec());
            let found = open(Disk::new(&blobs), 3).scan(&everything);
            let Err(Error::Unavailable(why)) = found else {
                panic!("{name} truncated to {length}: {found:?}")
            };
            assert!(why.starts_with(&name) && why.contains("damaged"), "{why}");
        }
        blobs.borrow_mut().insert(name, whole);
    }
    assert_eq!(read_counter(&mut open(Disk::new(&blobs), 3)), 4);
}
