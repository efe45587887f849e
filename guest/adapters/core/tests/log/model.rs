//! Random programs: whatever the log answers, a map in memory answers too, revisions included.

use orders_adapter::{
    contract::{Check, Order, Scan, Store, Write},
    state::State,
};
use proptest::{collection::vec, prelude::*};

use crate::disk::{Blobs, Disk, open};

/// What a client does next.
#[derive(Debug, Clone)]
enum Step {
    Get(Vec<String>),
    Scan(Scan),
    Commit(Vec<Check>, Vec<Write>),
    /// Goes on as the other client, whose state is older.
    Other,
    /// Goes on as a new client, which reads everything.
    Reopen,
}

fn key() -> impl Strategy<Value = String> {
    (0..8_u8).prop_map(|key| format!("k{key}"))
}

fn step() -> impl Strategy<Value = Step> {
    let check = prop_oneof![
        key().prop_map(Check::Absent),
        // Revisions that have been, and some that have not.
        (key(), 0..40_u64).prop_map(|(key, revision)| Check::AtRevision(key, revision)),
    ];
    let write = prop_oneof![
        3 => (key(), vec(any::<u8>(), 0..4)).prop_map(|(key, value)| Write::Put(key, value)),
        1 => key().prop_map(Write::Delete),
    ];
    let scan = (key(), key(), 1..5_u32, any::<bool>()).prop_map(|(start, end, limit, up)| {
        let order = if up { Order::Ascending } else { Order::Descending };
        Step::Scan(Scan { start, end, limit, order })
    });
    prop_oneof![
        1 => vec(key(), 0..4).prop_map(Step::Get),
        1 => scan,
        2 => (vec(check, 0..2), vec(write.clone(), 0..4)).prop_map(|(checks, writes)| Step::Commit(checks, writes)),
        4 => vec(write, 0..4).prop_map(|writes| Step::Commit(Vec::new(), writes)),
        1 => Just(Step::Other),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_log_answers_as_a_map_in_memory(steps in vec(step(), 1..80), every in 1..6_u64, two_steps: bool) {
        let blobs = Blobs::default();
        let disk = || if two_steps { Disk::in_two_steps(&blobs) } else { Disk::new(&blobs) };
        let mut model = State::new();
        let (mut one, mut other) = (open(disk(), every), open(disk(), every));
        for step in steps {
            match step {
                Step::Get(keys) => prop_assert_eq!(one.get(&keys), model.get(&keys)),
                Step::Scan(scan) => prop_assert_eq!(one.scan(&scan), model.scan(&scan)),
                Step::Commit(checks, writes) => {
                    prop_assert_eq!(one.commit(&checks, writes.clone()), model.commit(&checks, writes));
                }
                Step::Other => std::mem::swap(&mut one, &mut other),
                Step::Reopen => one = open(disk(), every),
            }
        }
        // What is kept does not grow with the number of commits.
        let names = blobs.borrow().keys().filter(|name| name.starts_with('r')).count();
        prop_assert!(u64::try_from(names).unwrap() < every.max(2), "{names} records are kept");
    }
}
