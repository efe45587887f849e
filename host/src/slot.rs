//! The slot: which module serves.
//!
//! A request takes the module that serves when it is admitted, and holds on to it until the last byte of its answer has
//! gone; a module that has been replaced goes on for the requests that hold it. The one that served before is kept
//! ready to be called, without instances; what came before that one is freed with its last request.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::{
    candidate::Candidate,
    guest::{Guest, InstanceBounds},
    instance::Reach,
    module::ModuleHash,
};

/// A module that serves, did, or may.
#[allow(missing_debug_implementations, reason = "linked code has nothing to show")]
pub struct Serving {
    /// Names the module.
    pub module: ModuleHash,
    /// The module, ready to be called.
    pub guest: Arc<Guest>,
}

impl Serving {
    /// What a candidate becomes, with what it may reach and the bounds it works within.
    pub fn new(candidate: Candidate, reach: Reach, bounds: InstanceBounds) -> Self {
        let Candidate { module, linked } = candidate;
        Self { module, guest: Arc::new(Guest::new(linked, reach, bounds)) }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        tracing::debug!(module = %self.module, "module freed");
    }
}

/// Where the module that serves is found.
#[allow(missing_debug_implementations, reason = "linked code has nothing to show")]
pub struct Slot {
    serving: ArcSwap<Serving>,
    /// Kept warm: to go back to it takes no compiling and no loading.
    previous: Mutex<Option<Arc<Serving>>>,
}

impl Slot {
    /// A slot in which this module serves.
    pub fn new(serving: Serving) -> Self {
        Self { serving: ArcSwap::from_pointee(serving), previous: Mutex::default() }
    }

    /// The module that serves now. It stays whole for as long as it is held, whatever serves then.
    pub fn pin(&self) -> Arc<Serving> {
        self.serving.load_full()
    }

    /// Names the module that serves now.
    pub fn module(&self) -> ModuleHash {
        self.serving.load().module
    }

    /// Has another module serve whatever is admitted from now on. Its predecessor keeps no idle instances: with them it
    /// would hold room that the two have in common.
    pub fn replace(&self, serving: Serving) {
        // Locked throughout, so that two replacements follow one another.
        let mut previous = self.previous.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced = self.serving.swap(Arc::new(serving));
        replaced.guest.keep_instances(false);
        *previous = Some(replaced);
    }
}
