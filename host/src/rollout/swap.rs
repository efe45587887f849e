//! Replaces the serving module while requests are in flight.
//!
//! One candidate at a time is stored, compiled, loaded, linked, instantiated and sent its smoke requests, one step after the
//! other. Only a candidate that has passed all of them receives requests: at first a share of them
//! ([`trial`](crate::rollout::trial)). It is rolled back automatically if it is worse. A failure at any step leaves the
//! serving module as it was.

use std::{convert::Infallible, path::PathBuf, sync::Arc, time::Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::{
    config::{TermsConfig, TrustConfig},
    lifecycle::{fault, shutdown::Hangup},
    module::{
        component::ModuleError,
        hash::ModuleHash,
        source::{Source, file_error},
    },
    rollout::{
        archive::{ModuleArchive, log_activation_failure},
        candidate::{self, Candidate, CandidateBuilder, elapsed_ms},
        events::{Comparison, Origin, Step},
        roster::Roster,
        slot::{LoadedModule, Slot},
        smoke::SmokeTest,
        trial::{OPERATOR_REQUEST, Trial, Watch},
    },
    sandbox::{instance::Reach, tally::Counts},
};

/// Points at which tests kill this process, besides those of the module folder.
pub const POINTS: [&str; 4] = ["module received", "candidate ready", "trial ended", "module promoted"];

/// Replaces the serving module.
#[allow(missing_debug_implementations, reason = "linked code has no readable form")]
pub struct Swapper {
    /// The file that `--component` names, which a reload reads.
    pub component: PathBuf,
    /// The trust that a file needs.
    pub trust: TrustConfig,
    /// Makes components ready.
    pub builder: Arc<CandidateBuilder>,
    /// The requests that a candidate must respond to before it serves.
    pub smoke: SmokeTest,
    /// The store and the servers that a module may use once it receives requests.
    pub reach: Reach,
    /// Assigns requests to modules.
    pub slot: Arc<Slot>,
    /// Records each step.
    pub roster: Arc<Roster>,
    /// The modules that outlive this process.
    pub archive: ModuleArchive,
    /// The terms of a rollout, unless a push brings its own.
    pub terms: TermsConfig,
}

/// A module that was offered for a rollout.
#[derive(Debug)]
pub struct Offer {
    /// Identifies the module.
    pub module: ModuleHash,
    /// The component, compiled or not.
    pub source: Source,
    /// Where the module came from.
    pub from: Origin,
    /// The terms of its rollout.
    pub terms: TermsConfig,
    /// When it was received.
    pub began: Instant,
    /// No other module is accepted until this one has been promoted, refused or rolled back.
    pub permit: OfferPermit,
}

/// The permit to offer a module; returned when dropped.
#[derive(Debug)]
pub struct OfferPermit(#[allow(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// The queue of offered modules, one at a time. Clones share it.
#[derive(Clone, Debug)]
pub struct OfferQueue {
    permits: Arc<Semaphore>,
    offers: mpsc::Sender<Offer>,
}

impl OfferQueue {
    /// A queue, and the receiver of its offers.
    pub fn new() -> (Self, mpsc::Receiver<Offer>) {
        let (offers, receiver) = mpsc::channel(1);
        (Self { permits: Arc::new(Semaphore::new(1)), offers }, receiver)
    }

    /// The permit to offer a module. `None` while another one is being made ready or is on trial.
    pub fn try_acquire(&self) -> Option<OfferPermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok().map(OfferPermit)
    }

    async fn acquire(&self) -> Option<OfferPermit> {
        Arc::clone(&self.permits).acquire_owned().await.ok().map(OfferPermit)
    }

    /// Offers a module. False if offers are no longer accepted, because the service is shutting down.
    pub fn offer(&self, offer: Offer) -> bool {
        // There is one permit, and the channel has room for one offer.
        self.offers.try_send(offer).is_ok()
    }
}

impl Swapper {
    /// Rolls out each offer, reloads the component after a SIGHUP, and watches promoted modules. Any number of SIGHUPs
    /// during a rollout lead to one reload. Dropping the future abandons a candidate that is being made ready.
    pub async fn run(
        &self,
        queue: &OfferQueue,
        offers: &mut mpsc::Receiver<Offer>,
        hangup: &mut Hangup,
    ) -> Infallible {
        let mut reload_requested = false;
        let mut watch: Option<Watch> = None;
        loop {
            let verdict = async {
                match &watch {
                    Some(watch) => watch.until_verdict(&self.slot, &self.roster).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = hangup.next(), if !reload_requested => reload_requested = true,
                Some(permit) = queue.acquire(), if reload_requested => {
                    reload_requested = false;
                    if let Some(offer) = self.reload(permit).await {
                        watch = self.roll_out(offer).await.or(watch);
                    }
                }
                Some(offer) = offers.recv() => watch = self.roll_out(offer).await.or(watch),
                verdict = verdict => {
                    if let (Some(why), Some(watch)) = (verdict, &watch) {
                        self.roll_back_watched(watch, why).await;
                    }
                    watch = None;
                }
            }
        }
    }

    /// Rolls back at an operator's request: ends the trial, or else makes the previous module serve again. Returns the
    /// module that serves afterwards; `None` if there is no module to roll back to.
    ///
    /// # Errors
    ///
    /// One line, if the module serves but a restart would serve another one.
    pub async fn roll_back(&self) -> Option<Result<ModuleHash, String>> {
        if self.slot.candidate().is_some() {
            // The running trial notices this, and records it.
            self.slot.withdraw();
            return Some(Ok(self.slot.module()));
        }
        let replaced = self.slot.module();
        let restored = self.slot.roll_back(replaced)?.module;
        let why = OPERATOR_REQUEST.to_owned();
        self.roster.record(replaced, Step::RolledBack { why, trial: None, serving: restored });
        Some(self.archive.activate(restored).await.map(|()| restored))
    }

    /// Reads the component again from its file. `None` if it is unchanged, or cannot be served.
    async fn reload(&self, permit: OfferPermit) -> Option<Offer> {
        let began = Instant::now();
        let serving = self.slot.module();
        let component = self.component.display();
        tracing::info!(event = "rollout.reload_started", %component, %serving, "reading the component again");
        match candidate::read_source(&self.component, &self.trust).await {
            Ok((module, _)) if module == serving => {
                tracing::info!(event = "rollout.reload_unchanged", %serving, "the component already serves");
                self.archive.update_named_component(module).await;
                None
            }
            Ok((module, source)) => {
                let terms = self.terms.clone();
                Some(Offer { module, source, from: Origin::Reload, terms, began, permit })
            }
            Err(why) => {
                tracing::error!(
                    event = "rollout.refused",
                    %serving,
                    %why,
                    duration_ms = elapsed_ms(began),
                    "component refused; the serving module is unchanged"
                );
                None
            }
        }
    }

    /// Rolls out an offer. Returns the watch if the module was promoted and is to be watched.
    async fn roll_out(&self, offer: Offer) -> Option<Watch> {
        let Offer { module, source, from, terms, began, permit } = offer;
        self.roster.record(module, Step::Received { from, size: source.size() });
        fault::point("module received");
        let (step, control) = match self.build_and_smoke_test(module, source).await {
            Ok(candidate) => self.try_and_promote(candidate, from, &terms, began).await,
            Err(error) => {
                let why = match from {
                    Origin::Reload => file_error(&self.component, &error).to_string(),
                    Origin::Start | Origin::Restart | Origin::Push => error.to_string(),
                };
                (Step::Refused { why }, None)
            }
        };
        self.archive
            .remove_old(&[Some(self.slot.module()), self.slot.previous().map(|previous| previous.module)])
            .await;
        // Before the outcome is recorded: a client that receives it may offer the next module immediately.
        drop(permit);
        self.roster.record(module, step);
        control.and_then(|control| Watch::begin(self.slot.serving(), control, terms.watch.0))
    }

    /// Makes a candidate that has passed every check.
    async fn build_and_smoke_test(
        &self,
        module: ModuleHash,
        source: Source,
    ) -> Result<Candidate, ModuleError> {
        let candidate = self.builder.build(module, source, &self.archive).await?;
        self.smoke.run(&candidate, &self.roster).await.map_err(ModuleError)?;
        Ok(candidate)
    }

    /// Puts a candidate on trial, and promotes it if it is no worse than the control. Returns the step that ends the
    /// rollout; for a promoted module also the control's baseline counts.
    async fn try_and_promote(
        &self,
        candidate: Candidate,
        from: Origin,
        terms: &TermsConfig,
        began: Instant,
    ) -> (Step, Option<Counts>) {
        let candidate = LoadedModule::new(candidate, self.reach.clone(), self.builder.bounds.clone());
        let module = candidate.module;
        fault::point("candidate ready");
        let replaced = self.slot.module();
        let mut comparison: Option<Comparison> = None;
        let mut control = self.slot.serving().guest.tally.counts();
        if terms.canary.percent() > 0 {
            let trial = Trial { slot: &self.slot, roster: &self.roster, request_timeout: self.smoke.timeout };
            let result = trial.run(&candidate, terms).await;
            if let Some(why) = result.rejection {
                let trial = Some(result.comparison);
                return (Step::RolledBack { why, trial, serving: self.slot.module() }, None);
            }
            (comparison, control) = (Some(result.comparison), result.control);
        }
        fault::point("trial ended");
        // The archive first: if the process is killed in between, a restart serves one of the two modules, and it is complete.
        if let Err(why) = self.archive.promote(module, from).await {
            self.slot.withdraw();
            return (Step::Refused { why }, None);
        }
        self.slot.replace(candidate);
        fault::point("module promoted");
        let duration_ms = elapsed_ms(began);
        (Step::Promoted { trial: comparison, replaced: Some(replaced), duration_ms }, Some(control))
    }

    /// Rolls back a watched module that turned out to be worse than the module before it.
    async fn roll_back_watched(&self, watch: &Watch, why: String) {
        let replaced = watch.serving().module;
        let Some(restored) = self.slot.roll_back(replaced) else {
            tracing::error!(
                event = "rollout.rollback_impossible",
                module = %replaced,
                why,
                "the serving module is worse than the one before it, which is no longer available"
            );
            return;
        };
        let step = Step::RolledBack { why, trial: Some(watch.comparison()), serving: restored.module };
        self.roster.record(replaced, step);
        if let Err(why) = self.archive.activate(restored.module).await {
            log_activation_failure(restored.module, &why);
        }
    }
}
