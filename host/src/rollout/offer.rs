//! Modules that are offered for a rollout, one at a time.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::{
    config::TermsConfig,
    module::{hash::ModuleHash, source::Source},
    rollout::events::Origin,
};

/// A module that was offered for a rollout.
#[derive(Debug)]
pub struct Offer {
    /// Identifies the module.
    pub module: ModuleHash,
    /// The component, compiled or not.
    pub source: Source,
    /// Where the module came from.
    pub from: Origin,
    /// The name of the operator who offered it; `None` if no operator did.
    pub by: Option<String>,
    /// The terms of its rollout.
    pub terms: TermsConfig,
    /// When it was received.
    pub began: Instant,
    /// No other module is accepted until the rollout of this one is over.
    pub permit: OfferPermit,
}

/// The permit to offer a module; returned when dropped.
#[derive(Debug)]
pub struct OfferPermit(#[allow(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// A component that is being received.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Who sends it, and from where.
    pub from: String,
    /// When it began.
    pub began: Instant,
}

/// The note of an upload; removed when dropped.
#[derive(Debug)]
pub struct UploadNote(Arc<Mutex<Option<Upload>>>);

impl Drop for UploadNote {
    fn drop(&mut self) {
        *lock(&self.0) = None;
    }
}

/// The queue of offered modules, one at a time. Clones share it.
#[derive(Clone, Debug)]
pub struct OfferQueue {
    permits: Arc<Semaphore>,
    offers: mpsc::Sender<Offer>,
    /// What the holder of the permit is receiving.
    upload: Arc<Mutex<Option<Upload>>>,
}

impl OfferQueue {
    /// A queue, and the receiver of its offers.
    pub fn new() -> (Self, mpsc::Receiver<Offer>) {
        let (offers, receiver) = mpsc::channel(1);
        (Self { permits: Arc::new(Semaphore::new(1)), offers, upload: Arc::default() }, receiver)
    }

    /// The permit to offer a module. `None` while another one is received or rolled out.
    pub fn try_acquire(&self) -> Option<OfferPermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok().map(OfferPermit)
    }

    /// The permit to offer a module, once no other one is received or rolled out. `None` if the service is shutting down.
    pub async fn acquire(&self) -> Option<OfferPermit> {
        Arc::clone(&self.permits).acquire_owned().await.ok().map(OfferPermit)
    }

    /// Notes that the holder of the permit receives a component from this client, so that others can be told.
    pub fn note_upload(&self, from: String) -> UploadNote {
        *lock(&self.upload) = Some(Upload { from, began: Instant::now() });
        UploadNote(Arc::clone(&self.upload))
    }

    /// The upload in progress.
    pub fn upload(&self) -> Option<Upload> {
        lock(&self.upload).clone()
    }

    /// Offers a module. False if offers are no longer accepted, because the service is shutting down.
    pub fn offer(&self, offer: Offer) -> bool {
        // There is one permit, and the channel has room for one offer.
        self.offers.try_send(offer).is_ok()
    }
}

fn lock(upload: &Mutex<Option<Upload>>) -> MutexGuard<'_, Option<Upload>> {
    upload.lock().unwrap_or_else(PoisonError::into_inner)
}
