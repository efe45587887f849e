//! Random concurrent histories, checked against a model: one sequence of commits must explain every history.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use futures_util::future::join_all;
use orders_host::store::{Check, Commit, Key, Order, Outcome, Revision, Scan, Store, StoreError, Write};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use tokio::sync::Barrier;

use crate::{
    backend::{Backend, key, value},
    model::{Call, CallResult, verify},
};

/// The number of histories for each backend, and how many of them run concurrently. Each uses its own keys, but all
/// share the store, and so its transactions.
const HISTORIES: u32 = 2000;
const HISTORIES_AT_ONCE: u32 = 16;

/// The number of keys for which the clients of one history compete.
const KEYS: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    Get(Vec<usize>),
    Scan { from: usize, to: usize, limit: u32, order: Order },
    Commit { checks: Vec<PlannedCheck>, writes: Vec<PlannedWrite> },
}

#[derive(Clone, Debug)]
enum PlannedCheck {
    Absent(usize),
    /// The state in which the client last saw the key: absent, or at that revision.
    AsSeen(usize),
    /// A revision that no commit has.
    Never(usize),
}

#[derive(Clone, Debug)]
enum PlannedWrite {
    Put(usize),
    Delete(usize),
}

fn programs() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let order = prop_oneof![Just(Order::Ascending), Just(Order::Descending)];
    let check = prop_oneof![
        6 => (0..KEYS).prop_map(PlannedCheck::AsSeen),
        2 => (0..KEYS).prop_map(PlannedCheck::Absent),
        1 => (0..KEYS).prop_map(PlannedCheck::Never),
    ];
    let write = prop_oneof![
        4 => (0..KEYS).prop_map(PlannedWrite::Put),
        1 => (0..KEYS).prop_map(PlannedWrite::Delete),
    ];
    let step = prop_oneof![
        2 => vec(0..KEYS, 1..=3).prop_map(Step::Get),
        2 => (0..=KEYS, 0..=KEYS, 1..=5_u32, order)
            .prop_map(|(from, to, limit, order)| Step::Scan { from, to, limit, order }),
        4 => (vec(check, 0..=2), vec(write, 0..=3))
            .prop_map(|(checks, writes)| Step::Commit { checks, writes }),
    ];
    vec(vec(step, 1..=5), 2..=4)
}

/// One client of a history: runs its program and records its calls.
struct Client {
    store: Arc<dyn Store>,
    clock: Arc<AtomicU64>,
    /// Makes the keys of this history and its values unique.
    name: String,
    number: usize,
    seen: BTreeMap<Key, Revision>,
    calls: Vec<Call>,
}

impl Client {
    fn key(&self, index: usize) -> Key {
        key(format!("{}/{index}", self.name))
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    async fn run(mut self, program: Vec<Step>) -> Result<Vec<Call>, StoreError> {
        for step in program {
            let began = self.tick();
            let result = self.step(step).await?;
            let ended = self.tick();
            self.calls.push(Call { began, ended, result });
        }
        Ok(self.calls)
    }

    async fn step(&mut self, step: Step) -> Result<CallResult, StoreError> {
        match step {
            Step::Get(indices) => {
                let keys: Vec<_> = indices.into_iter().map(|index| self.key(index)).collect();
                let found = self.store.get(keys.clone()).await?;
                for (key, stored) in keys.iter().zip(&found) {
                    self.record_revision(key.clone(), stored.as_ref().map(|stored| stored.revision));
                }
                Ok(CallResult::Got { keys, found })
            }
            Step::Scan { from, to, limit, order } => {
                let (start, end) = (self.key(from), self.key(to));
                let scan = Scan::new(start.clone(), end.clone(), limit, order)?;
                let entries = self.store.scan(scan).await?;
                for entry in &entries {
                    self.record_revision(entry.key.clone(), Some(entry.stored.revision));
                }
                Ok(CallResult::Scanned { start, end, limit, order, entries })
            }
            Step::Commit { checks, writes } => self.commit(&checks, &writes).await,
        }
    }

    async fn commit(
        &mut self,
        checks: &[PlannedCheck],
        writes: &[PlannedWrite],
    ) -> Result<CallResult, StoreError> {
        let checks: Vec<_> = checks.iter().map(|check| self.check(check)).collect();
        let writes: Vec<_> = writes.iter().enumerate().map(|(n, write)| self.write(n, write)).collect();
        match self.store.commit(Commit::new(checks.clone(), writes.clone())?).await? {
            Outcome::Conflict(index) => Ok(CallResult::Conflicted { checks, index }),
            Outcome::Committed(revision) => {
                for write in &writes {
                    match write {
                        Write::Put(key, _) => self.record_revision(key.clone(), Some(revision)),
                        Write::Delete(key) => self.record_revision(key.clone(), None),
                    }
                }
                Ok(CallResult::Committed { checks, writes, revision })
            }
        }
    }

    fn check(&self, planned: &PlannedCheck) -> Check {
        match planned {
            PlannedCheck::Absent(index) => Check::Absent(self.key(*index)),
            PlannedCheck::Never(index) => Check::AtRevision(self.key(*index), Revision(u64::MAX)),
            PlannedCheck::AsSeen(index) => {
                let key = self.key(*index);
                match self.seen.get(&key) {
                    None => Check::Absent(key),
                    Some(revision) => Check::AtRevision(key, *revision),
                }
            }
        }
    }

    fn write(&self, n: usize, planned: &PlannedWrite) -> Write {
        match planned {
            PlannedWrite::Put(index) => {
                let unique = format!("{}.{}.{n}", self.number, self.calls.len());
                Write::Put(self.key(*index), value(unique))
            }
            PlannedWrite::Delete(index) => Write::Delete(self.key(*index)),
        }
    }

    fn record_revision(&mut self, key: Key, revision: Option<Revision>) {
        match revision {
            Some(revision) => self.seen.insert(key, revision),
            None => self.seen.remove(&key),
        };
    }
}

/// Runs each program in its own client, and then reads every key. The clients are distributed over the stores, which
/// are handles to one location.
async fn history(
    stores: &[Arc<dyn Store>],
    name: String,
    programs: Vec<Vec<Step>>,
) -> Result<Vec<Call>, StoreError> {
    let clock = Arc::new(AtomicU64::new(0));
    let start = Arc::new(Barrier::new(programs.len()));
    let client = |number: usize| Client {
        store: Arc::clone(&stores[number % stores.len()]),
        clock: Arc::clone(&clock),
        name: name.clone(),
        number,
        seen: BTreeMap::new(),
        calls: Vec::new(),
    };
    let tasks: Vec<_> = programs
        .into_iter()
        .enumerate()
        .map(|(number, program)| {
            let (client, start) = (client(number), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                client.run(program).await
            })
        })
        .collect();
    let mut calls = Vec::new();
    for task in tasks {
        calls.extend(task.await.expect("a client panicked")?);
    }
    let look = vec![Step::Get((0..KEYS).collect())];
    calls.extend(client(usize::MAX).run(look).await?);
    Ok(calls)
}

pub(crate) async fn random_histories_agree_with_a_model(store: &Arc<dyn Store>) {
    check_histories(vec![Arc::clone(store)]).await;
}

pub(crate) async fn histories_over_two_handles_agree_with_a_model(backend: &Backend) {
    let stores = vec![backend.open().await, backend.open().await];
    check_histories(stores.clone()).await;
    for store in stores {
        store.close().await;
    }
}

async fn check_histories(stores: Vec<Arc<dyn Store>>) {
    let names = Arc::new(AtomicUsize::new(0));
    let runners: Vec<_> = (0..HISTORIES_AT_ONCE)
        .map(|_| {
            let (stores, names) = (stores.clone(), Arc::clone(&names));
            let runtime = tokio::runtime::Handle::current();
            tokio::task::spawn_blocking(move || {
                // A test case does not determine the interleaving, so saving or shrinking it is of little use.
                let config = Config {
                    cases: HISTORIES / HISTORIES_AT_ONCE,
                    failure_persistence: None,
                    max_shrink_iters: 0,
                    ..Config::default()
                };
                TestRunner::new(config).run(&programs(), |programs| {
                    let name = format!("h/{:05}", names.fetch_add(1, Ordering::SeqCst));
                    let calls = runtime
                        .block_on(history(&stores, name, programs))
                        .map_err(|error| TestCaseError::fail(error.to_string()))?;
                    verify(&calls).map_err(TestCaseError::fail)
                })
            })
        })
        .collect();
    for outcome in join_all(runners).await {
        outcome.unwrap().unwrap_or_else(|error| panic!("{error}"));
    }
    assert_eq!(names.load(Ordering::SeqCst), usize::try_from(HISTORIES).unwrap());
}
