//! Clients create, read and delete blobs in one bucket, and act between any two calls of each other. The bucket behaves like those
//! of real hosts.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot continue must fail"
)]

mod bucket;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
};

use orders_adapter::{
    claims::Claims,
    contract::{Check, Outcome, Store, Write},
    log::Log,
    storage::Storage,
    tickets::Tickets,
};
use proptest::{collection::vec, prelude::*, sample::select};

use bucket::{Behaviour, Keys, TestBucket};

const BEHAVIOURS: [Behaviour; 10] = [
    Behaviour::Exact,
    Behaviour::SwapsReportFailure,
    Behaviour::SwapsReportSuccess,
    Behaviour::FailsBefore(3),
    Behaviour::FailsBefore(7),
    Behaviour::FailsBefore(40),
    Behaviour::FailsAfter(3),
    Behaviour::FailsAfter(7),
    Behaviour::FailsAfter(40),
    Behaviour::CountsInTwoSteps,
];

/// A storage in a bucket.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Claims,
    Tickets,
}

impl Kind {
    fn storage<'a>(self, bucket: TestBucket<'a>) -> Box<dyn Storage + 'a> {
        match self {
            Self::Claims => Box::new(Claims::new(bucket)),
            Self::Tickets => Box::new(Tickets::new(bucket)),
        }
    }
}

fn client<'a>(keys: &Keys, behaviour: Behaviour, seed: u64) -> Claims<TestBucket<'a>> {
    Claims::new(TestBucket::new(keys, behaviour, seed))
}

/// What a client does: to create a blob of this name, to read it, to delete it, or to clean up.
#[derive(Debug, Clone, Copy)]
enum Act {
    Create(u8),
    Read(u8),
    Delete(u8),
    CleanUp,
}

fn act() -> impl Strategy<Value = Act> {
    let name = || 0..3_u8;
    prop_oneof![
        8 => name().prop_map(Act::Create),
        4 => name().prop_map(Act::Read),
        1 => name().prop_map(Act::Delete),
        2 => Just(Act::CleanUp),
    ]
}

/// What the clients of one bucket have been told.
#[derive(Default)]
struct Told {
    clients: Cell<u64>,
    /// Blobs whose creation was acknowledged, by their names.
    created: RefCell<BTreeMap<String, Vec<u8>>>,
    /// Names that are being deleted, or were while another client was about to do something: such a client may still create the blob.
    uncertain: RefCell<BTreeSet<String>>,
    failure: RefCell<Option<String>>,
}

impl Told {
    fn new_client(&self) -> u64 {
        self.clients.set(self.clients.get() + 1);
        self.clients.get()
    }

    /// Has a client do something. `is_alone` says that no other client is in the middle of a call.
    fn perform(&self, storage: &dyn Storage, act: Act, client: u64, is_alone: bool) {
        if let Err(why) = self.try_perform(storage, act, client, is_alone) {
            self.failure.borrow_mut().get_or_insert(why);
        }
    }

    fn try_perform(
        &self,
        storage: &dyn Storage,
        act: Act,
        client: u64,
        is_alone: bool,
    ) -> Result<(), String> {
        match act {
            Act::Create(name) => {
                let (name, blob) = (format!("r{name}"), client.to_le_bytes().to_vec());
                if storage.create(&name, &blob) == Ok(true) && !self.uncertain.borrow().contains(&name) {
                    let other = self.created.borrow_mut().insert(name.clone(), blob);
                    other.map_or(Ok(()), |other| {
                        Err(format!("{name} was created twice, also as {other:?}"))
                    })?;
                }
            }
            Act::Read(name) => {
                let name = format!("r{name}");
                let known = self.created.borrow().get(&name).cloned();
                let found = storage.read(&name);
                let is_certain = !self.uncertain.borrow().contains(&name);
                if let (Ok(found), Some(blob), true) = (found, known, is_certain)
                    && found.as_ref() != Some(&blob)
                {
                    return Err(format!("{name} is {found:?} instead of {blob:?}"));
                }
            }
            Act::Delete(name) => {
                let name = format!("r{name}");
                let was_certain = self.uncertain.borrow_mut().insert(name.clone());
                let deleted = storage.delete(&name);
                self.created.borrow_mut().remove(&name);
                if is_alone && was_certain && deleted.is_ok() {
                    self.uncertain.borrow_mut().remove(&name);
                }
            }
            Act::CleanUp => storage.clean_up(),
        }
        Ok(())
    }
}

/// Three clients; the first is interrupted by the second before each call, and the second by the third.
fn run(acts: &[Act], bursts: &[u8], behaviour: Behaviour, kind: Kind) -> Result<(), TestCaseError> {
    let (keys, told) = (Keys::default(), Told::default());
    let (next, depth) = (Cell::new(0_usize), Cell::new(0_u8));
    let burst = || {
        let number = next.replace(next.get() + 1);
        bursts.get(number).copied().unwrap_or(0)
    };
    // Another client acts, and is interrupted in turn.
    let interrupt = |interrupted: &dyn Fn()| {
        depth.set(depth.get() + 1);
        let (act, client) = (acts[next.get() % acts.len()], told.new_client());
        let bucket = TestBucket::new(&keys, behaviour, client).interrupted(interrupted);
        told.perform(&*kind.storage(bucket), act, client, false);
        depth.set(depth.get() - 1);
    };
    let innermost = || {
        if depth.get() < 2 && burst() % 3 == 1 {
            interrupt(&|| ());
        }
    };
    let inner = || {
        if depth.get() < 1 {
            (0..burst() % 3).for_each(|_| interrupt(&innermost));
        }
    };
    for act in acts {
        let client = told.new_client();
        let bucket = TestBucket::new(&keys, behaviour, client).interrupted(&inner);
        told.perform(&*kind.storage(bucket), *act, client, true);
    }
    if let Some(why) = told.failure.borrow().as_ref() {
        return Err(TestCaseError::fail(why.clone()));
    }
    let reader = kind.storage(TestBucket::new(&keys, Behaviour::Exact, 0));
    for (name, blob) in told.created.borrow().iter() {
        if !told.uncertain.borrow().contains(name) {
            prop_assert_eq!(reader.read(name).unwrap(), Some(blob.clone()), "{} is lost", name);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_name_has_one_blob_and_keeps_it(
        acts in vec(act(), 1..8),
        bursts in vec(0..6_u8, 0..120),
        behaviour in select(&BEHAVIOURS[..]),
        kind in select(&[Kind::Claims, Kind::Tickets][..]),
    ) {
        run(&acts, &bursts, behaviour, kind)?;
    }
}

/// Wherever a writer is killed, the next one creates the blob, or finds it.
#[test]
fn a_writer_that_is_killed_stops_nobody() {
    for behaviour in [Behaviour::Exact, Behaviour::SwapsReportFailure] {
        for at in 0..12 {
            let keys = Keys::default();
            let killed = Claims::new(TestBucket::new(&keys, behaviour, 1).killed(at));
            let outcome = killed.create("r1", b"first");
            let next = client(&keys, behaviour, 2);
            let created = next.create("r1", b"second").unwrap();
            let found = next.read("r1").unwrap().unwrap();
            assert_eq!(found, if created { &b"second"[..] } else { b"first" }, "killed at {at}");
            assert!(
                outcome != Ok(true) || found == b"first",
                "killed at {at}: what was acknowledged is lost"
            );
            next.clean_up();
            // A writer that is killed after it got the name has not marked it.
            assert!(
                (2..=3).contains(&keys.borrow().len()),
                "killed at {at}: more than a claim, its mark and its blob are left"
            );
            assert_eq!(next.list().unwrap(), ["r1"]);
        }
    }
}

#[test]
fn a_deleted_name_leaves_nothing_and_is_free_again() {
    for kind in [Kind::Claims, Kind::Tickets] {
        let keys = Keys::default();
        let storage = kind.storage(TestBucket::new(&keys, Behaviour::Exact, 1));
        for blob in [b"first", b"again"] {
            assert_eq!(storage.create("r1", blob), Ok(true), "{kind:?}");
            assert_eq!(storage.read("r1"), Ok(Some(blob.to_vec())), "{kind:?}");
            storage.delete("r1").unwrap();
            assert_eq!(storage.read("r1"), Ok(None), "{kind:?}");
            assert!(keys.borrow().is_empty(), "{kind:?}: {:?}", keys.borrow());
        }
    }
}

/// Former versions stored a blob in its claim's place.
#[test]
fn blobs_of_former_versions_are_read_and_deleted() {
    let keys = Keys::default();
    keys.borrow_mut().insert("orders-state.r1".to_owned(), b"ost1 a sealed blob".to_vec());
    keys.borrow_mut().insert("orders-state.pruned".to_owned(), Vec::new());
    let storage = client(&keys, Behaviour::Exact, 1);
    assert_eq!(storage.read("r1"), Ok(Some(b"ost1 a sealed blob".to_vec())));
    assert_eq!(storage.read("pruned"), Ok(Some(Vec::new())));
    assert_eq!(storage.create("r1", b"x"), Ok(false));
    storage.clean_up();
    assert_eq!(keys.borrow().len(), 2);
    storage.delete("r1").unwrap();
    assert_eq!(storage.read("r1"), Ok(None));
}

/// Other clients act between so many calls of the first ones: each reads the whole log, which grows if its checkpoints fail.
const MAX_CALLS: u64 = 1000;

/// The log over such a bucket: writers take turns at every call, and no acknowledged commit is lost or made twice.
#[test]
fn commits_of_several_writers_are_neither_lost_nor_doubled() {
    for behaviour in BEHAVIOURS {
        let keys = Keys::default();
        let acknowledged = RefCell::new(Vec::new());
        let (calls, depth) = (Cell::new(0_u64), Cell::new(false));
        let commit = |log: &mut Log<Claims<TestBucket<'_>>>, number: u64| {
            let key = format!("n/{number:06}");
            let checks = [Check::Absent(key.clone())];
            let writes = vec![Write::Put(key.clone(), number.to_le_bytes().to_vec())];
            if let Ok(Outcome::Committed(revision)) = log.commit(&checks, writes) {
                acknowledged.borrow_mut().push((key, revision));
            }
        };
        let other = || {
            calls.set(calls.get() + 1);
            if !depth.replace(true) {
                if calls.get().is_multiple_of(5) && calls.get() < MAX_CALLS {
                    let mut log =
                        Log::with_checkpoint_every(client(&keys, behaviour, 1_000_000 + calls.get()), 4);
                    commit(&mut log, 1_000_000 + calls.get());
                }
                depth.set(false);
            }
        };
        for number in 0..60 {
            let bucket = TestBucket::new(&keys, behaviour, number).interrupted(&other);
            commit(&mut Log::with_checkpoint_every(Claims::new(bucket), 4), number);
        }
        let mut reader = Log::with_checkpoint_every(client(&keys, Behaviour::Exact, u64::MAX), 4);
        let acknowledged = acknowledged.borrow();
        // A new client reads the whole log: with one call in three or seven that fails, it may never get to its end.
        let fails = matches!(behaviour, Behaviour::FailsBefore(_) | Behaviour::FailsAfter(_));
        assert!(fails || acknowledged.len() > 20, "{behaviour:?}: {} commits", acknowledged.len());
        for (key, revision) in acknowledged.iter() {
            let found = reader.get(std::slice::from_ref(key)).unwrap().remove(0);
            assert_eq!(found.map(|stored| stored.revision), Some(*revision), "{behaviour:?}: {key} is lost");
        }
    }
}
