//! Another module takes the place of the one that serves, while requests go on.
//!
//! One at a time: a component is stored, compiled, loaded, linked, tried and asked its smoke requests, one after the
//! other. Only what has passed all of them gets requests, at first a share of them ([`trial`](crate::rollout::trial)), and goes
//! back by itself if it is worse. Whatever fails leaves everything as it was.

use std::{convert::Infallible, path::PathBuf, sync::Arc, time::Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::{
    config::{TermsConfig, TrustConfig},
    lifecycle::{fault, shutdown::Hangup},
    module::{
        component::ModuleError,
        hash::ModuleHash,
        source::{Source, refused},
    },
    rollout::{
        candidate::{self, Candidate, Workshop, since},
        events::{Comparison, Origin, Step},
        kept::Kept,
        roster::Roster,
        slot::{Serving, Slot},
        smoke::Smoke,
        trial::{Trial, Watched},
    },
    sandbox::{instance::Reach, tally::Counts},
};

/// Points at which tests kill this process, besides those of the module folder.
pub const POINTS: [&str; 4] = ["module received", "module made", "trial ended", "module promoted"];

/// What it takes to serve another module.
#[allow(missing_debug_implementations, reason = "linked code has nothing to show")]
pub struct Swapper {
    /// Where a reload finds it.
    pub component: PathBuf,
    /// Which files are accepted.
    pub trust: TrustConfig,
    /// What makes it ready.
    pub workshop: Arc<Workshop>,
    /// What it must answer before it serves.
    pub smoke: Smoke,
    /// What it may reach once it serves.
    pub reach: Reach,
    /// Where it serves.
    pub slot: Arc<Slot>,
    /// Where it is told what happens.
    pub roster: Arc<Roster>,
    /// What outlives this process.
    pub kept: Kept,
    /// On which terms a module comes to serve.
    pub terms: TermsConfig,
}

/// A module that is to serve.
#[derive(Debug)]
pub struct Offer {
    /// Names it.
    pub module: ModuleHash,
    /// What it is.
    pub source: Source,
    /// What brings it.
    pub from: Origin,
    /// On which terms it comes to serve.
    pub terms: TermsConfig,
    /// When it was received.
    pub began: Instant,
    /// No other is taken before this one has come to serve or has not.
    pub turn: Turn,
}

/// The right to offer a module; given back when dropped.
#[derive(Debug)]
pub struct Turn(#[allow(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// Where modules are offered. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Counter {
    turn: Arc<Semaphore>,
    offers: mpsc::Sender<Offer>,
}

impl Counter {
    /// A place to offer modules at, and where they come out.
    pub fn new() -> (Self, mpsc::Receiver<Offer>) {
        let (offers, received) = mpsc::channel(1);
        (Self { turn: Arc::new(Semaphore::new(1)), offers }, received)
    }

    /// The right to offer a module, unless another one is being made ready or on trial.
    pub fn take_turn(&self) -> Option<Turn> {
        Arc::clone(&self.turn).try_acquire_owned().ok().map(Turn)
    }

    async fn wait_for_turn(&self) -> Option<Turn> {
        Arc::clone(&self.turn).acquire_owned().await.ok().map(Turn)
    }

    /// Offers a module. False if nobody takes it any more, because the service is about to end.
    pub fn offer(&self, offer: Offer) -> bool {
        // There is one turn and one place: it is free.
        self.offers.try_send(offer).is_ok()
    }
}

impl Swapper {
    /// Takes what is offered, and reads the component anew when it is told to; told again meanwhile, once more. Watches
    /// what has come to serve. When this is dropped, whatever is being made ready is let go.
    pub async fn run(
        &self,
        counter: &Counter,
        offers: &mut mpsc::Receiver<Offer>,
        hangup: &mut Hangup,
    ) -> Infallible {
        let mut told = false;
        let mut watched: Option<Watched> = None;
        loop {
            let worse = async {
                match &watched {
                    Some(watched) => watched.until_worse(&self.slot, &self.roster).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = hangup.next(), if !told => told = true,
                Some(turn) = counter.wait_for_turn(), if told => {
                    told = false;
                    if let Some(offer) = self.reload(turn).await {
                        watched = self.take(offer).await.or(watched);
                    }
                }
                Some(offer) = offers.recv() => watched = self.take(offer).await.or(watched),
                why = worse => {
                    if let (Some(why), Some(watched)) = (why, &watched) {
                        self.turn_back(watched, why).await;
                    }
                    watched = None;
                }
            }
        }
    }

    /// Has the module before the one that serves serve again, or takes back the one that is on trial. What is told is
    /// the module that serves then; none if there is none to go back to.
    ///
    /// # Errors
    ///
    /// One line, if it serves but a restart would serve another one.
    pub async fn go_back(&self) -> Option<Result<ModuleHash, String>> {
        if self.slot.candidate().is_some() {
            // Whoever conducts the trial notices, and tells it.
            self.slot.withdraw();
            return Some(Ok(self.slot.module()));
        }
        let left = self.slot.module();
        let again = self.slot.go_back(left)?.module;
        let why = "an operator has gone back".to_owned();
        self.roster.note(left, Step::RolledBack { why, trial: None, serving: again });
        Some(self.kept.activate(again).await.map(|()| again))
    }

    /// Reads the component again from its file. None if there is nothing new, or it cannot be served.
    async fn reload(&self, turn: Turn) -> Option<Offer> {
        let began = Instant::now();
        let serving = self.slot.module();
        tracing::info!(component = %self.component.display(), %serving, "reload begun");
        match candidate::read(&self.component, &self.trust).await {
            Ok((module, _)) if module == serving => {
                tracing::info!(%serving, "reload ended: the component is the one that serves");
                self.kept.now_named(module).await;
                None
            }
            Ok((module, source)) => {
                let terms = self.terms.clone();
                Some(Offer { module, source, from: Origin::Reload, terms, began, turn })
            }
            Err(why) => {
                tracing::error!(%serving, %why, duration_ms = since(began), "refused: nothing has changed");
                None
            }
        }
    }

    /// Takes an offer to its end. Gives what is to be watched then.
    async fn take(&self, offer: Offer) -> Option<Watched> {
        let Offer { module, source, from, terms, began, turn } = offer;
        self.roster.note(module, Step::Received { from, size: source.size() });
        fault::point("module received");
        let (step, usual) = match self.make(module, source).await {
            Ok(candidate) => self.put_on_trial(candidate, from, &terms, began).await,
            Err(error) => {
                let why = match from {
                    Origin::Reload => refused(&self.component, &error).to_string(),
                    Origin::Start | Origin::Restart | Origin::Push => error.to_string(),
                };
                (Step::Refused { why }, None)
            }
        };
        self.kept
            .tidy(&[Some(self.slot.module()), self.slot.previous().map(|previous| previous.module)])
            .await;
        // Whoever hears how it ended may offer the next one.
        drop(turn);
        self.roster.note(module, step);
        usual.and_then(|usual| Watched::begin(self.slot.serving(), usual, terms.watch.0))
    }

    /// Makes a candidate of it that has passed every check.
    async fn make(&self, module: ModuleHash, source: Source) -> Result<Candidate, ModuleError> {
        let candidate = self.workshop.make(module, source, &self.kept).await?;
        self.smoke.test(&candidate, &self.roster).await.map_err(ModuleError)?;
        Ok(candidate)
    }

    /// Gives it requests, and serves it if it is no worse. Tells how it ended, and what the module before it usually does
    /// if it serves.
    async fn put_on_trial(
        &self,
        candidate: Candidate,
        from: Origin,
        terms: &TermsConfig,
        began: Instant,
    ) -> (Step, Option<Counts>) {
        let candidate = Serving::new(candidate, self.reach.clone(), self.workshop.bounds);
        let module = candidate.module;
        fault::point("module made");
        let replaced = self.slot.module();
        let mut trial: Option<Comparison> = None;
        let mut usual = self.slot.serving().guest.tally.counts();
        if terms.canary.percent() > 0 {
            let conducted =
                Trial { slot: &self.slot, roster: &self.roster, request_timeout: self.smoke.timeout };
            let ended = conducted.run(&candidate, terms).await;
            if let Some(why) = ended.why {
                let step = Step::RolledBack { why, trial: Some(ended.seen), serving: self.slot.module() };
                return (step, None);
            }
            (trial, usual) = (Some(ended.seen), ended.usual);
        }
        fault::point("trial ended");
        // First what outlives this process: a restart serves either of them, whole.
        if let Err(why) = self.kept.promote(module, from).await {
            self.slot.withdraw();
            return (Step::Refused { why }, None);
        }
        self.slot.replace(candidate);
        fault::point("module promoted");
        let duration_ms = since(began);
        (Step::Promoted { trial, replaced: Some(replaced), duration_ms }, Some(usual))
    }

    /// Goes back from a module that has turned out to be worse.
    async fn turn_back(&self, watched: &Watched, why: String) {
        let left = watched.serving().module;
        let Some(again) = self.slot.go_back(left) else {
            tracing::error!(module = %left, why, "it does worse, and there is no module to go back to");
            return;
        };
        let step = Step::RolledBack { why, trial: Some(watched.seen()), serving: again.module };
        self.roster.note(left, step);
        if let Err(why) = self.kept.activate(again.module).await {
            tracing::error!(module = %again.module, why, "a restart would not serve it");
        }
    }
}
