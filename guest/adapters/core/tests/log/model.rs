//! Random programs: the log returns the same results as an in-memory map, revisions included.

use orders_adapter::{
    contract::{Check, Order, Scan, Store, Write},
    state::State,
};
use proptest::{collection::vec, prelude::*};

use crate::shared_disk::{Blobs, Disk, open};

/// One step of a random program.
#[derive(Debug, Clone)]
enum Step {
    Get(Vec<String>),
    Scan(Scan),
    Commit(Vec<Check>, Vec<Write>),
    /// Continues as the other client, whose state is older.
    SwitchClient,
    /// Continues as a new client, which has read nothing.
    Reopen,
    /// Removes the indexes: versions before them wrote none.
    RemoveIndexes,
}

fn key() -> impl Strategy<Value = String> {
    (0..8_u8).prop_map(|key| format!("k{key}"))
}

fn step() -> impl Strategy<Value = Step> {
    let check = prop_oneof![
        key().prop_map(Check::Absent),
        // Revisions that exist, and some that do not.
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
        1 => Just(Step::SwitchClient),
        1 => Just(Step::Reopen),
        1 => Just(Step::RemoveIndexes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_log_returns_the_same_results_as_an_in_memory_map(
        steps in vec(step(), 1..80),
        checkpoint_every in 1..6_u64,
        two_steps: bool,
    ) {
        let blobs = Blobs::default();
        let disk = || if two_steps { Disk::in_two_steps(&blobs) } else { Disk::new(&blobs) };
        let mut model = State::new();
        let (mut client, mut other) = (open(disk(), checkpoint_every), open(disk(), checkpoint_every));
        for step in steps {
            match step {
                Step::Get(keys) => prop_assert_eq!(client.get(&keys), model.get(&keys)),
                Step::Scan(scan) => prop_assert_eq!(client.scan(&scan), model.scan(&scan)),
                Step::Commit(checks, writes) => {
                    prop_assert_eq!(client.commit(&checks, writes.clone()), model.commit(&checks, writes));
                }
                Step::SwitchClient => std::mem::swap(&mut client, &mut other),
                Step::Reopen => client = open(disk(), checkpoint_every),
                Step::RemoveIndexes => blobs.borrow_mut().retain(|name, _| !name.starts_with('i')),
            }
        }
        // The number of retained records does not grow with the number of commits.
        let records = blobs.borrow().keys().filter(|name| name.starts_with('r')).count();
        prop_assert!(u64::try_from(records).unwrap() < checkpoint_every.max(2), "{records} records remain");
    }
}
