//! Random interleavings of commands, events, failures and slow disks. After every step, what requests get, what operators
//! read and what a restart would serve agree; and what was acknowledged holds.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use futures_util::FutureExt;
use orders_host::{
    config::{OnUnproven, Period, Share, TermsConfig},
    module::{hash::ModuleHash, source::Source},
    rollout::{
        events::{Origin, Step},
        machine::Phase,
        offer::{Offer, OfferQueue},
        owner::{Owner, RollBack, RollBackError, Status},
        roster::{Roster, State},
        slot::{MinorityLimits, Slot},
    },
};
use proptest::prelude::*;
use tokio::sync::{mpsc, oneshot, watch};

use crate::environment::{TestEnvironment, loaded};

#[derive(Clone, Copy, Debug)]
enum Event {
    /// A module is pushed, with or without a trial and a watch.
    Offer { module: u8, trial: bool, watch: bool, on_unproven: bool },
    /// An operator wants a rollback.
    RollBack,
    /// What is in progress ends, in one of several ways.
    EndWork { choice: u8 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (0_u8..4, any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(module, trial, watch, on_unproven)| Event::Offer { module, trial, watch, on_unproven }),
        2 => Just(Event::RollBack),
        // Success is more likely than any failure, so that long paths are reached.
        3 => Just(Event::EndWork { choice: 0 }),
        2 => (1_u8..12).prop_map(|choice| Event::EndWork { choice }),
    ]
}

fn module(number: u8) -> ModuleHash {
    ModuleHash::digest(&[number])
}

#[derive(Parser)]
struct Terms {
    #[command(flatten)]
    terms: TermsConfig,
}

/// The reply to a rollback command.
type Reply = Result<ModuleHash, RollBackError>;

struct Model {
    slot: Arc<Slot>,
    roster: Arc<Roster>,
    environment: TestEnvironment,
    owner: Owner<TestEnvironment>,
    status: watch::Receiver<Status>,
    queue: OfferQueue,
    offers: mpsc::Receiver<Offer>,
    commands: mpsc::Sender<RollBack>,
    rollbacks: mpsc::Receiver<RollBack>,
    /// Rollback commands without an answer, and the module that each must remove, unless it was pushed again since.
    unanswered: Vec<(oneshot::Receiver<Reply>, Option<ModuleHash>)>,
    /// Modules that an acknowledged rollback has removed, until they are pushed again.
    removed: BTreeSet<String>,
}

impl Model {
    /// A host that has just started. It may know a previous module, which it would have to load.
    fn new(previous: Option<ModuleHash>) -> Self {
        let initial = module(9);
        let limits = MinorityLimits { max_concurrent: 100, max_instances: 100 };
        let (slot, roster) = (Arc::new(Slot::new(loaded(initial), limits)), Arc::new(Roster::default()));
        let step =
            Step::Promoted { trial: None, unproven: None, watch: None, replaced: None, duration_ms: 0 };
        roster.record(initial, step);
        let environment = TestEnvironment::new(initial);
        let (owner, status) =
            Owner::new(environment.clone(), Arc::clone(&slot), Arc::clone(&roster), previous);
        let (queue, offers) = OfferQueue::new();
        let (commands, rollbacks) = mpsc::channel(64);
        let (unanswered, removed) = (Vec::new(), BTreeSet::new());
        Self {
            slot,
            roster,
            environment,
            owner,
            status,
            queue,
            offers,
            commands,
            rollbacks,
            unanswered,
            removed,
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Offer { module: number, trial, watch, on_unproven } => {
                let module = module(number);
                let Some(permit) = self.queue.try_acquire() else { return };
                if module == self.slot.module() {
                    return;
                }
                let mut terms = Terms::parse_from(["test"]).terms;
                terms.canary = if trial { Share::from_percent(10) } else { Share::NONE };
                terms.watch = Period(if watch { Duration::from_secs(60) } else { Duration::ZERO });
                terms.on_unproven = if on_unproven { OnUnproven::Promote } else { OnUnproven::Rollback };
                self.removed.remove(&module.to_string());
                for (_, removes) in &mut self.unanswered {
                    removes.take_if(|removes| *removes == module);
                }
                let source = Source::Component(Vec::new());
                let (from, began) = (Origin::Push, Instant::now());
                assert!(self.queue.offer(Offer { module, source, from, by: None, terms, began, permit }));
            }
            Event::RollBack => {
                let (reply, replied) = oneshot::channel();
                let Status { module: rolled_out, previous, .. } = *self.status.borrow();
                // Without a rollout, the command lets the previous module serve again, whatever became of that before.
                if rolled_out.is_none() {
                    self.removed
                        .retain(|module| Some(module) != previous.map(|hash| hash.to_string()).as_ref());
                }
                let removes = rolled_out.unwrap_or_else(|| self.slot.module());
                if self.commands.try_send(RollBack { by: "ada".to_owned(), reply }).is_ok() {
                    self.unanswered.push((replied, Some(removes)));
                }
            }
            Event::EndWork { choice } => self.environment.end_work(choice),
        }
        // The owner does everything that it can without waiting.
        while self.owner.step(&mut self.offers, &mut self.rollbacks).now_or_never().is_some() {
            self.check();
        }
        self.read_replies();
        self.check();
    }

    /// What an acknowledged rollback promises is true at that time.
    fn read_replies(&mut self) {
        let (slot, environment, removed) = (&self.slot, &self.environment, &mut self.removed);
        self.unanswered.retain_mut(|(reply, removes)| match reply.try_recv() {
            Ok(Ok(serving)) => {
                assert_eq!((slot.module(), environment.pointer()), (serving, serving));
                removed.extend(removes.filter(|module| *module != serving).map(|module| module.to_string()));
                false
            }
            Ok(Err(_)) => false,
            Err(oneshot::error::TryRecvError::Empty) => true,
            Err(oneshot::error::TryRecvError::Closed) => panic!("a rollback command was dropped"),
        });
    }

    fn check(&self) {
        let (serving, phase) = (self.slot.module(), self.status.borrow().phase);
        let receiving: BTreeSet<_> = (0..100).map(|_| self.slot.pin().module.module.to_string()).collect();
        assert!(receiving.len() <= 2, "{receiving:?}");
        assert!(receiving.contains(&serving.to_string()));
        assert!(
            receiving.is_disjoint(&self.removed),
            "{receiving:?} receive requests, {:?} must not",
            self.removed
        );

        let in_state = |state| {
            let records = self.roster.records().into_iter().filter(move |record| record.state == state);
            records.map(|record| record.module).collect::<Vec<_>>()
        };
        assert_eq!(in_state(State::Serving), [serving], "{phase:?}");
        let candidate = self.slot.candidate().map(|candidate| candidate.module);
        let on_trial = in_state(State::OnTrial);
        assert_eq!(on_trial, candidate.into_iter().collect::<Vec<_>>(), "{phase:?}");
        for gone in [State::Refused, State::RolledBack, State::Checking].into_iter().flat_map(in_state) {
            assert!(!receiving.contains(&gone.to_string()), "{phase:?}: {gone} receives requests");
        }
        assert_eq!(self.slot.control().is_some(), phase == Phase::Watched);

        match self.environment.written() {
            Some(module) if phase == Phase::Promoting => {
                assert_eq!(Some(module), self.status.borrow().module);
            }
            Some(module) if phase == Phase::Reverting => assert_eq!(module, serving),
            Some(_) => assert_eq!(phase, Phase::Withdrawing),
            // A failed write may have changed the pointer, and will be repeated.
            None => assert!(phase == Phase::Unrecorded || self.environment.pointer() == serving, "{phase:?}"),
        }
    }

    /// Whatever is in progress succeeds from now on: every command gets its answer, and the next push is accepted.
    fn finish(&mut self) {
        let mut steps = 0;
        while self.environment.is_busy() {
            self.apply(Event::EndWork { choice: 0 });
            steps += 1;
            assert!(steps < 20, "the rollout does not end: {:?}", self.status.borrow());
        }
        assert!(self.unanswered.is_empty(), "{} rollback commands have no answer", self.unanswered.len());
        assert_eq!(self.status.borrow().phase, Phase::Settled);
        assert_eq!(self.environment.pointer(), self.slot.module());
        assert!(self.queue.try_acquire().is_some(), "no module is accepted after the rollout");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(1_000),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn slot_roster_and_pointer_agree_and_acknowledged_commands_hold(
        previous in prop::option::of(0_u8..4),
        events in prop::collection::vec(event(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut model = Model::new(previous.map(module));
            model.check();
            for event in events {
                model.apply(event);
            }
            model.finish();
        });
    }
}
