//! The owner of the rollout: the only task that changes which module serves.
//!
//! It takes commands, waits for the one thing that is in progress, and carries out the actions of the
//! [state machine](crate::rollout::machine): first the slot, then the roster, each in one step that nothing interrupts. So
//! what operators read always agrees with what the requests get, and an operator's command is acknowledged once it is true.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    config::{OnUnproven, TermsConfig},
    lifecycle::fault,
    module::{hash::ModuleHash, source::Source},
    rollout::{
        comparison::Finding,
        events::{Comparison, Origin, Step},
        evidence::Evidence,
        machine::{Action, Input, Phase},
        offer::{Offer, OfferPermit},
        roster::Roster,
        slot::{LoadedModule, Slot},
        verdict::Verdict,
    },
};

/// Points at which tests kill this process, besides those of the module folder.
pub const POINTS: [&str; 4] = ["module received", "candidate ready", "trial ended", "module promoted"];
/// The reason of a rollback that an operator requested.
pub const OPERATOR_REQUEST: &str = "operator request";
/// What is in progress.
pub type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What the owner cannot do by itself, because it takes time.
pub trait Environment: Send {
    /// Makes an offered module ready to serve. The error says why it is refused.
    fn prepare(&self, offer: PreparedOffer) -> Work<Result<Arc<LoadedModule>, String>>;
    /// Makes a module ready that was kept. The error says why it cannot serve.
    fn prepare_kept(&self, module: ModuleHash) -> Work<Result<Arc<LoadedModule>, String>>;
    /// Compares a candidate, which the slot has put on trial, with the serving module.
    fn trial(&self, candidate: Arc<LoadedModule>, terms: TermsConfig) -> Work<Finding>;
    /// Compares the serving module with its control.
    fn watch(&self, trial: Option<(Evidence, Duration)>, terms: TermsConfig) -> Work<Option<Finding>>;
    /// Records durably that a module serves after a restart.
    fn write_pointer(&self, module: ModuleHash, from: Option<Origin>) -> Work<Result<(), String>>;
    /// Ends when the pointer should be written again after so many failures in succession.
    fn retry_delay(&self, failures: u32) -> Work<()>;
}

/// An offer without its permit.
#[derive(Debug)]
pub struct PreparedOffer {
    /// Identifies the module.
    pub module: ModuleHash,
    /// The component, compiled or not.
    pub source: Source,
    /// Where the module came from.
    pub from: Origin,
}

/// What operators read of the rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The phase.
    pub phase: Phase,
    /// The module that is rolled out.
    pub module: Option<ModuleHash>,
    /// The module that a rollback returns to.
    pub previous: Option<ModuleHash>,
    /// When the trial or the watch ends, if there is enough evidence.
    pub ends: Option<Instant>,
    /// When it ends at the latest.
    pub ends_at_latest: Option<Instant>,
}

impl Status {
    /// How long the trial or the watch still lasts, in seconds, rounded up; at the most, once its window is over.
    pub fn seconds_left(&self) -> Option<u64> {
        let now = Instant::now();
        let ends = self.ends.filter(|ends| *ends > now).or(self.ends_at_latest)?;
        Some(ends.saturating_duration_since(now).as_secs() + 1)
    }
}

/// Why a rollback has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RollBackError {
    /// No module is rolled out, and none served before this one.
    NothingToRollBack,
    /// Nothing has changed, for this reason.
    NotRestored(String),
    /// The module serves now, but a restart would serve another one, for this reason.
    NotRecorded(String),
}

/// An operator's request for a rollback.
#[derive(Debug)]
pub struct RollBack {
    /// The name of the operator.
    pub by: String,
    /// Gets the module that serves now and after a restart.
    pub reply: oneshot::Sender<Result<ModuleHash, RollBackError>>,
}

/// The end of what was in progress.
pub(super) enum Done {
    Prepared(Result<Arc<LoadedModule>, String>),
    Compared(Option<Box<Finding>>),
    Written(Result<(), String>),
    RetryDue,
}

/// The task that decides which module serves.
#[allow(missing_debug_implementations, reason = "linked code has no readable form")]
pub struct Owner<E> {
    pub(super) environment: E,
    pub(super) slot: Arc<Slot>,
    pub(super) roster: Arc<Roster>,
    pub(super) phase: Phase,
    pub(super) rollout: Option<Rollout>,
    /// The module that a rollback returns to. It may have to be loaded first.
    pub(super) previous: Option<ModuleHash>,
    /// The module that is about to serve again.
    pub(super) restored: Option<Arc<LoadedModule>>,
    /// The module that served until it was rolled back without a rollout of its own.
    pub(super) removed: Option<ModuleHash>,
    /// The one thing that is in progress.
    pub(super) work: Work<Done>,
    /// The rollback commands that are not acknowledged yet.
    pub(super) waiting: Vec<RollBack>,
    /// Why the last thing in progress failed.
    pub(super) failure: String,
    /// How often the pointer could not be written in succession.
    write_failures: u32,
    status: watch::Sender<Status>,
}

/// A module that is rolled out.
pub(super) struct Rollout {
    pub(super) module: ModuleHash,
    pub(super) from: Origin,
    pub(super) terms: TermsConfig,
    pub(super) began: Instant,
    #[allow(dead_code, reason = "held for its drop")]
    permit: OfferPermit,
    /// The component, until it is made ready.
    pub(super) source: Option<Source>,
    pub(super) candidate: Option<Arc<LoadedModule>>,
    /// The last comparison, and how much evidence there was if it was too little.
    pub(super) comparison: Option<Comparison>,
    pub(super) unproven: Option<String>,
    /// The evidence of the trial, and how long it lasted.
    pub(super) evidence: Option<(Evidence, Duration)>,
}

impl<E: Environment> Owner<E> {
    /// The owner of a slot in which a module serves. `previous` served before it.
    pub fn new(
        environment: E,
        slot: Arc<Slot>,
        roster: Arc<Roster>,
        previous: Option<ModuleHash>,
    ) -> (Self, watch::Receiver<Status>) {
        let phase = Phase::Settled;
        let (status, receiver) =
            watch::channel(Status { phase, module: None, previous, ends: None, ends_at_latest: None });
        let owner = Self {
            environment,
            slot,
            roster,
            phase,
            rollout: None,
            previous,
            restored: None,
            removed: None,
            work: Box::pin(std::future::pending()),
            waiting: Vec::new(),
            failure: String::new(),
            write_failures: 0,
            status,
        };
        (owner, receiver)
    }

    /// Rolls out each offer and obeys each rollback command, as long as the future is polled. Dropping it abandons a module
    /// that is being made ready, and leaves the slot as it is.
    pub async fn run(
        mut self,
        offers: &mut mpsc::Receiver<Offer>,
        rollbacks: &mut mpsc::Receiver<RollBack>,
    ) -> Infallible {
        loop {
            self.step(offers, rollbacks).await;
        }
    }

    /// Waits for one command, or for the end of what is in progress, and carries out what follows.
    pub async fn step(
        &mut self,
        offers: &mut mpsc::Receiver<Offer>,
        rollbacks: &mut mpsc::Receiver<RollBack>,
    ) {
        let is_settled = self.phase == Phase::Settled;
        tokio::select! {
            biased;
            Some(command) = rollbacks.recv() => self.roll_back(command),
            done = &mut self.work => self.end_of_work(done),
            Some(offer) = offers.recv(), if is_settled => self.offer(offer),
        }
    }

    fn offer(&mut self, offer: Offer) {
        let Offer { module, source, from, by, terms, began, permit } = offer;
        // A rollback may have made it serve since it was offered.
        if module == self.slot.module() {
            return;
        }
        self.roster.record(module, Step::Received { from, size: source.size(), by });
        fault::point("module received");
        self.rollout = Some(Rollout {
            module,
            from,
            terms,
            began,
            permit,
            source: Some(source),
            candidate: None,
            comparison: None,
            unproven: None,
            evidence: None,
        });
        self.input(Input::Offer, "");
    }

    fn roll_back(&mut self, command: RollBack) {
        if self.phase == Phase::Settled && self.previous.is_none() {
            let _ = command.reply.send(Err(RollBackError::NothingToRollBack));
            return;
        }
        self.waiting.push(command);
        self.input(Input::RollBack, OPERATOR_REQUEST);
    }

    fn end_of_work(&mut self, done: Done) {
        self.work = Box::pin(std::future::pending());
        match done {
            Done::Prepared(Ok(loaded)) if self.phase == Phase::Restoring => {
                self.restored = Some(loaded);
                self.input(Input::Ready, OPERATOR_REQUEST);
            }
            Done::Prepared(Ok(loaded)) => {
                fault::point("candidate ready");
                let Some(rollout) = &mut self.rollout else { return };
                rollout.candidate = Some(loaded);
                let is_tried = rollout.terms.canary.percent() > 0;
                self.input(if is_tried { Input::Ready } else { Input::ReadyUntried }, "");
            }
            Done::Prepared(Err(why)) => self.input(Input::Refused, &why),
            Done::Compared(finding) => self.compared(finding),
            Done::Written(Ok(())) => {
                self.write_failures = 0;
                let watch = self.rollout.as_ref().map_or(Duration::ZERO, |rollout| rollout.terms.watch.0);
                let is_unwatched = self.phase == Phase::Promoting && watch.is_zero();
                self.input(if is_unwatched { Input::WrittenUnwatched } else { Input::Written }, "");
            }
            Done::Written(Err(why)) => {
                self.write_failures = self.write_failures.saturating_add(1);
                self.input(Input::NotWritten, &why);
            }
            Done::RetryDue => self.input(Input::Retry, ""),
        }
    }

    fn compared(&mut self, finding: Option<Box<Finding>>) {
        let (Some(rollout), Some(finding)) = (&mut self.rollout, finding) else { return };
        let Finding { verdict, comparison, evidence } = *finding;
        let lasted = Duration::from_millis(comparison.elapsed_ms);
        rollout.comparison = Some(comparison);
        rollout.evidence = Some((evidence, lasted));
        rollout.unproven = None;
        match verdict {
            Verdict::Good => self.input(Input::Passed, ""),
            Verdict::Worse(why) => self.input(Input::Worse, &why),
            Verdict::Unproven(why) if rollout.terms.on_unproven == OnUnproven::Rollback => {
                self.input(Input::Unproven, &format!("unproven: {why}"));
            }
            Verdict::Unproven(why) => {
                rollout.unproven = Some(why);
                self.input(Input::Passed, "");
            }
        }
    }

    /// Changes the phase, and carries out all actions of the transition.
    fn input(&mut self, input: Input, why: &str) {
        let Some((next, actions)) = self.phase.next(input) else { return };
        // The only thing that goes on across a transition is writing the pointer: what was begun cannot be undone.
        if next != self.phase && next != Phase::Withdrawing {
            self.work = Box::pin(std::future::pending());
        }
        self.phase = next;
        if matches!(input, Input::NotWritten | Input::Refused) {
            why.clone_into(&mut self.failure);
        }
        for action in actions {
            self.act(*action, why);
        }
        let rollout = self.rollout.as_ref();
        let terms = rollout.map(|rollout| &rollout.terms);
        let now = Instant::now();
        let (usual, longest) = match (next, terms) {
            (Phase::OnTrial, Some(terms)) => (terms.shortest_trial(), Some(terms.longest_trial())),
            (Phase::Watched, Some(terms)) => (Some(terms.watch.0), Some(terms.watch.0)),
            _ => (None, None),
        };
        let after = |time: Option<Duration>| time.and_then(|time| now.checked_add(time));
        let (ends, ends_at_latest) = (after(usual), after(longest));
        let module = rollout.map(|rollout| rollout.module);
        self.status.send_replace(Status {
            phase: next,
            module,
            previous: self.previous,
            ends,
            ends_at_latest,
        });
    }

    fn act(&mut self, action: Action, why: &str) {
        match action {
            Action::Prepare => self.prepare(),
            Action::PreparePrevious => self.prepare_previous(),
            Action::StartTrial => self.start_trial(),
            Action::PointToCandidate => self.point_to_candidate(),
            Action::PointToServing => self.write_pointer(self.slot.module(), None),
            Action::WaitForRetry => {
                let delay = self.environment.retry_delay(self.write_failures);
                self.work = Box::pin(async {
                    delay.await;
                    Done::RetryDue
                });
            }
            Action::Promote => self.promote(true),
            Action::PromoteUnwatched => self.promote(false),
            Action::Withdraw | Action::ReleaseControl => self.slot.remove_minority(),
            Action::Restore => self.restore(),
            Action::Cut => self.cut(),
            Action::RecordRefused => self.record_refused(why),
            Action::RecordRolledBack => self.record_rolled_back(why),
            Action::RecordSettled => self.record_settled(),
            Action::Answer => self.answer(&Ok(self.slot.module())),
            Action::AnswerFailed => self.answer_failed(),
        }
    }
}
