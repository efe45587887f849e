//! What operators use of the rollout: its state, and the commands that it obeys.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::spawn_blocking,
    time::timeout,
};

use crate::{
    config::{TermsConfig, TrustConfig},
    module::{component::ModuleError, hash::ModuleHash, source::Source},
    rollout::{
        archive::ModuleArchive,
        machine::Phase,
        offer::{OfferPermit, OfferQueue, Upload},
        owner::{RollBack, RollBackError, Status},
        roster::Roster,
        slot::Slot,
    },
};

/// How long a rollback command waits until it is acknowledged. The slowest part is the disk of the module folder.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(25);

/// How long reading the pointer may take.
const POINTER_TIMEOUT: Duration = Duration::from_secs(1);

/// The rollout of this service, as operators see it.
#[allow(missing_debug_implementations, reason = "linked code has no readable form")]
pub struct Rollouts {
    /// Assigns requests to modules.
    pub slot: Arc<Slot>,
    /// All known modules, and the events.
    pub roster: Arc<Roster>,
    /// The modules that outlive this process.
    pub archive: Arc<ModuleArchive>,
    /// The terms of a rollout, unless a push brings its own.
    pub terms: TermsConfig,
    /// The trust that a component needs.
    pub trust: TrustConfig,
    /// The number of smoke requests.
    pub smoke_requests: usize,
    /// The queue of offered modules.
    pub queue: OfferQueue,
    /// The owner's commands.
    pub rollbacks: mpsc::Sender<RollBack>,
    /// The owner's state.
    pub status: watch::Receiver<Status>,
}

/// Why a rollback command has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The owner rejected it, or could not carry it out.
    RollBack(RollBackError),
    /// The service is shutting down.
    ShuttingDown,
    /// It is not acknowledged yet.
    TimedOut,
}

impl Rollouts {
    /// Withdraws the candidate, or lets the previous module serve again, for the operator with this name. Returns the module that serves now and after a
    /// restart.
    ///
    /// # Errors
    ///
    /// [`CommandError`] if that is not so.
    pub async fn roll_back(&self, by: &str) -> Result<ModuleHash, CommandError> {
        let (reply, replied) = oneshot::channel();
        let command = async {
            self.rollbacks
                .send(RollBack { by: by.to_owned(), reply })
                .await
                .map_err(|_| CommandError::ShuttingDown)?;
            replied.await.map_err(|_| CommandError::ShuttingDown)
        };
        match timeout(ROLLBACK_TIMEOUT, command).await {
            Ok(reply) => reply?.map_err(CommandError::RollBack),
            Err(_) => Err(CommandError::TimedOut),
        }
    }

    /// Reads a module that is kept, to roll it out again.
    ///
    /// # Errors
    ///
    /// [`ModuleError`] if it is not kept, was changed, or is not trusted as required.
    pub async fn read_kept(&self, module: ModuleHash) -> Result<Source, ModuleError> {
        let component = self.archive.read_component(module).await.map_err(ModuleError)?;
        let trust = self.trust.clone();
        // A signature covers all of its bytes.
        let source = spawn_blocking(move || Source::from_component(component, &trust)).await;
        source.unwrap_or_else(|error| Err(ModuleError(error.to_string())))
    }

    /// The module that a restart would serve, unless `--component` changes. `None` if that cannot be read.
    pub async fn module_after_restart(&self) -> Option<ModuleHash> {
        timeout(POINTER_TIMEOUT, self.archive.module_after_restart()).await.ok()?.ok()
    }

    /// Present state of the rollout.
    pub fn status(&self) -> Status {
        *self.status.borrow()
    }

    /// The permit to offer a module. `None` while another one is received or rolled out, or a rollback is in progress.
    pub fn acquire(&self) -> Option<OfferPermit> {
        let permit = self.queue.try_acquire()?;
        (self.status().phase == Phase::Settled).then_some(permit)
    }

    /// Why no module is accepted now, as a sentence that says for how long, if that is known.
    pub fn busy_detail(&self) -> String {
        let status = self.status();
        let module = status.module.map(|module| format!(" {}", module.short())).unwrap_or_default();
        match (status.phase, status.seconds_left()) {
            (Phase::OnTrial, Some(left)) => format!(
                "Module{module} is on trial for another {left} s, or longer with few requests, and may be watched afterwards: \
                 wait for its outcome, or end its rollout with a rollback."
            ),
            (Phase::Watched, Some(left)) => format!(
                "Module{module} was promoted and is watched for another {left} s: wait until then, or roll it back."
            ),
            (Phase::Restoring | Phase::Reverting | Phase::Unrecorded | Phase::Withdrawing, _) => {
                "A rollback is in progress: try again in a moment.".to_owned()
            }
            (Phase::Settled, _) => match self.queue.upload() {
                Some(Upload { from, began }) => format!(
                    "Another component has been arriving from {from} for {} s: try again in a moment.",
                    began.elapsed().as_secs()
                ),
                None => "Another component is being read: try again in a moment.".to_owned(),
            },
            _ => format!(
                "Module{module} is being prepared: wait for its outcome, or end its rollout with a rollback."
            ),
        }
    }
}
