//! The actions of a rollout: what the owner does in a transition.

use std::{sync::Arc, time::Duration};

use crate::{
    lifecycle::fault,
    module::hash::ModuleHash,
    rollout::{
        candidate::elapsed_ms,
        events::{Comparison, Numbers, Origin, Step},
        machine::Phase,
        owner::{Done, Environment, OPERATOR_REQUEST, Owner, PreparedOffer, RollBackError, Rollout},
    },
};

/// How long requests in flight may take after a verdict against their module, before they are cut. Most end in this time.
const CUT_DELAY: Duration = Duration::from_secs(1);

impl<E: Environment> Owner<E> {
    pub(super) fn prepare(&mut self) {
        let Some(rollout) = &mut self.rollout else { return };
        let (module, from) = (rollout.module, rollout.from);
        let Some(source) = rollout.source.take() else { return };
        let prepared = self.environment.prepare(PreparedOffer { module, source, from });
        self.work = Box::pin(async { Done::Prepared(prepared.await) });
    }

    pub(super) fn prepare_previous(&mut self) {
        let loaded = self.slot.previous().filter(|loaded| Some(loaded.module) == self.previous);
        if let Some(loaded) = loaded {
            self.work = Box::pin(async { Done::Prepared(Ok(loaded)) });
        } else if let Some(module) = self.previous {
            let prepared = self.environment.prepare_kept(module);
            self.work = Box::pin(async { Done::Prepared(prepared.await) });
        }
    }

    pub(super) fn start_trial(&mut self) {
        let Some(Rollout { module, terms, candidate: Some(candidate), .. }) = &self.rollout else { return };
        self.slot.set_trial(candidate, terms.canary);
        let step = Step::OnTrial {
            share: terms.canary.percent(),
            window: terms.window.to_string(),
            max_window: terms.max_window.to_string(),
        };
        self.roster.record(*module, step);
        let trial = self.environment.trial(Arc::clone(candidate), terms.clone());
        self.work = Box::pin(async { Done::Compared(Some(Box::new(trial.await))) });
    }

    pub(super) fn point_to_candidate(&mut self) {
        fault::point("trial ended");
        if let Some(Rollout { module, from, .. }) = self.rollout {
            self.write_pointer(module, Some(from));
        }
    }

    pub(super) fn write_pointer(&mut self, module: ModuleHash, from: Option<Origin>) {
        let written = self.environment.write_pointer(module, from);
        self.work = Box::pin(async { Done::Written(written.await) });
    }

    pub(super) fn promote(&mut self, is_watched: bool) {
        let Some(rollout) = &mut self.rollout else { return };
        let Some(candidate) = rollout.candidate.clone() else { return };
        let (module, replaced, terms) = (rollout.module, self.slot.module(), rollout.terms.clone());
        let evidence = rollout.evidence.take();
        let step = Step::Promoted {
            trial: rollout.comparison.take(),
            unproven: rollout.unproven.take(),
            watch: is_watched.then(|| terms.watch.to_string()),
            replaced: Some(replaced),
            duration_ms: elapsed_ms(rollout.began),
        };
        self.slot.promote(candidate, is_watched.then_some(terms.control));
        self.previous = Some(replaced);
        fault::point("module promoted");
        if is_watched {
            let watch = self.environment.watch(evidence, terms);
            self.work = Box::pin(async { Done::Compared(watch.await.map(Box::new)) });
        } else {
            self.rollout = None;
        }
        self.roster.record(module, step);
    }

    /// Makes the previous module serve again: the control of a watch, or the one that was made ready for this.
    pub(super) fn restore(&mut self) {
        let Some(restored) = self.restored.take().or_else(|| self.slot.previous()) else { return };
        self.removed = Some(self.slot.restore(restored).module);
        self.previous = None;
    }

    pub(super) fn cut(&self) {
        let candidate = self.rollout.as_ref().and_then(|rollout| rollout.candidate.clone());
        if let Some(candidate) = candidate {
            tokio::spawn(async move {
                tokio::time::sleep(CUT_DELAY).await;
                candidate.cut_requests();
            });
        }
    }

    pub(super) fn record_refused(&mut self, why: &str) {
        if let Some(rollout) = self.rollout.take() {
            let module = rollout.module;
            // Before the outcome is recorded: a client that receives it may offer the next module immediately.
            drop(rollout);
            let (requested, by) = self.request(why);
            self.roster.record(module, Step::Refused { why: why.to_owned(), requested, by });
        }
    }

    pub(super) fn record_rolled_back(&mut self, why: &str) {
        let (serving, why) = (self.slot.module(), why.to_owned());
        let (requested, by) = self.request(&why);
        let removed = self.removed.take();
        let Some(rollout) = self.rollout.take() else {
            if let Some(module) = removed {
                self.roster.record(module, Step::RolledBack { why, requested, by, trial: None, serving });
            }
            return;
        };
        let module = rollout.module;
        if rollout.terms.canary.percent() == 0 && removed.is_none() {
            // It never received requests.
            drop(rollout);
            self.roster.record(module, Step::Refused { why, requested, by });
            return;
        }
        let trial = rollout.comparison.clone().or_else(|| self.roster.get(module)?.trial);
        drop(rollout);
        self.roster.record(module, Step::RolledBack { why, requested, by, trial, serving });
    }

    /// Whether an operator requested it, and the name of the first who did.
    fn request(&self, why: &str) -> (bool, Option<String>) {
        let requested = why == OPERATOR_REQUEST;
        (requested, self.waiting.first().filter(|_| requested).map(|command| command.by.clone()))
    }

    pub(super) fn record_settled(&mut self) {
        if let Some(mut rollout) = self.rollout.take() {
            let none = || Comparison { elapsed_ms: 0, module: Numbers::default(), other: Numbers::default() };
            let trial = rollout.comparison.take().unwrap_or_else(none);
            let (module, unproven) = (rollout.module, rollout.unproven.take());
            drop(rollout);
            self.roster.record(module, Step::Kept { trial, unproven });
        }
    }

    pub(super) fn answer(&mut self, reply: &Result<ModuleHash, RollBackError>) {
        for waiting in self.waiting.drain(..) {
            // An operator who has gone knows no answer; what was asked for is done.
            let _ = waiting.reply.send(reply.clone());
        }
    }

    pub(super) fn answer_failed(&mut self) {
        let why = std::mem::take(&mut self.failure);
        if self.phase == Phase::Settled {
            self.answer(&Err(RollBackError::NotRestored(why)));
        } else {
            let serving = self.slot.module();
            tracing::error!(
                event = "module.activation_failed", module = %serving, why,
                "cannot record the serving module; a restart would not serve it"
            );
            self.answer(&Err(RollBackError::NotRecorded(why)));
        }
    }
}
