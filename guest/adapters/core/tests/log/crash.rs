//! A writer that is killed at any of its writes: what it had acknowledged is there, and the store goes on.

use orders_adapter::contract::{Error, Store};

use crate::disk::{Blobs, Disk, Kill, count, counted, open};

/// Commits that a writer tries to make: some checkpoints' worth.
const COMMITS: u64 = 12;

#[test]
fn a_writer_that_is_killed_at_any_write_leaves_a_whole_state() {
    let mut killed_all = false;
    for at in 0.. {
        for after in [false, true] {
            let blobs = Blobs::default();
            let mut writer = open(Disk::killed(&blobs, Kill { at, after }), 3);
            let acknowledged = (0..COMMITS).take_while(|_| count(&mut writer, "first").is_ok()).count();
            let acknowledged = u64::try_from(acknowledged).unwrap();
            killed_all = acknowledged == COMMITS;
            let mut next = open(Disk::new(&blobs), 3);
            let found = counted(&mut next);
            assert!(
                found == acknowledged || found == acknowledged + 1,
                "killed at write {at}: {acknowledged} acknowledged, {found} found"
            );
            for _ in 0..COMMITS {
                count(&mut next, "second").unwrap();
            }
            let mut last = open(Disk::new(&blobs), 3);
            assert_eq!(counted(&mut last), found + COMMITS);
        }
        // Killed after its last commit, and then not at all.
        if killed_all && at > 60 {
            return;
        }
    }
}

#[test]
fn where_a_name_is_taken_first_a_killed_writer_stops_the_others_and_loses_nothing() {
    let blobs = Blobs::default();
    // The second write of a create: the name is taken, and nothing is there.
    let mut writer = open(Disk::in_two_steps_killed(&blobs, Kill { at: 1, after: false }), 3);
    assert!(count(&mut writer, "first").is_err());
    let mut next = open(Disk::in_two_steps(&blobs), 3);
    assert_eq!(counted(&mut next), 0);
    let Err(Error::Unavailable(why)) = count(&mut next, "second") else { panic!("it went on") };
    assert!(why.contains("has begun commit 1 and not ended it"), "{why}");
    // As the documentation tells an operator.
    blobs.borrow_mut().remove("taken.r00000000000000000001").unwrap();
    count(&mut next, "second").unwrap();
    assert_eq!(counted(&mut next), 1);
}

#[test]
fn damage_is_named_and_never_read_as_something_else() {
    let blobs = Blobs::default();
    let mut writer = open(Disk::new(&blobs), 3);
    for _ in 0..4 {
        count(&mut writer, "first").unwrap();
    }
    let names: Vec<_> = blobs.borrow().keys().filter(|name| *name != "pruned").cloned().collect();
    assert_eq!(names.len(), 3, "a checkpoint, its part and a record: {names:?}");
    for name in names {
        let whole = blobs.borrow()[&name].clone();
        for length in 0..whole.len() {
            blobs.borrow_mut().insert(name.clone(), whole[..length].to_vec());
            let found = open(Disk::new(&blobs), 3).get(&["counter".to_owned()]);
            let Err(Error::Unavailable(why)) = found else { panic!("{name} cut to {length}: {found:?}") };
            assert!(why.starts_with(&name) && why.contains("damaged"), "{why}");
        }
        blobs.borrow_mut().insert(name, whole);
    }
    assert_eq!(counted(&mut open(Disk::new(&blobs), 3)), 4);
}
