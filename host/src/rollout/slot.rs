//! The slot: which module serves.
//!
//! A request pins a module when it is admitted, until the last byte of its response is sent; a module that has been replaced
//! remains loaded for the requests that pin it. While a candidate is on trial it receives a share of the requests. The module
//! that served before remains loaded, without idle instances; the module before that one is freed with its last request.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use arc_swap::ArcSwap;

use crate::{
    config::Share,
    module::hash::ModuleHash,
    rollout::candidate::Candidate,
    sandbox::{
        guest::{Guest, InstanceBounds},
        instance::Reach,
    },
};

/// A module that can be called: it serves, has served, or is a candidate.
#[allow(missing_debug_implementations, reason = "linked code has no readable form")]
pub struct LoadedModule {
    /// Identifies the module.
    pub module: ModuleHash,
    /// The module, ready to be called.
    pub guest: Arc<Guest>,
}

impl LoadedModule {
    /// Wraps a candidate with what it may reach and the limits of its instances.
    pub fn new(candidate: Candidate, reach: Reach, bounds: InstanceBounds) -> Arc<Self> {
        let Candidate { module, linked } = candidate;
        Arc::new(Self { module, guest: Arc::new(Guest::new(linked, reach, bounds)) })
    }
}

impl Drop for LoadedModule {
    fn drop(&mut self) {
        tracing::debug!(event = "module.freed", module = %self.module, "module freed");
    }
}

/// Assigns requests to the serving module and to the candidate.
#[allow(missing_debug_implementations, reason = "linked code has no readable form")]
pub struct Slot {
    routing: ArcSwap<Routing>,
    /// Remains loaded, so that a rollback neither compiles nor loads. Its lock is taken for every change of the routing, so
    /// that changes happen one after another.
    previous: Mutex<Option<Arc<LoadedModule>>>,
}

/// The modules that receive requests.
struct Routing {
    serving: Arc<LoadedModule>,
    trial: Option<Trial>,
}

struct Trial {
    candidate: Arc<LoadedModule>,
    share: Share,
    /// Requests that were assigned since the trial began.
    requests: AtomicU32,
}

impl Trial {
    /// Whether the next request goes to the candidate: its share of each hundred requests, spread so that it does not follow
    /// any pattern in the requests.
    fn takes_next_request(&self) -> bool {
        /// Has no factor in common with 100, so that each number below 100 comes once in a hundred requests.
        const STRIDE: u32 = 61;
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let (hundred, number) = (number / 100, number % 100);
        (number * STRIDE + hundred % 100 * STRIDE) % 100 < u32::from(self.share.percent())
    }
}

impl Slot {
    /// A slot in which this module serves.
    pub fn new(serving: Arc<LoadedModule>) -> Self {
        Self { routing: ArcSwap::from_pointee(Routing { serving, trial: None }), previous: Mutex::default() }
    }

    /// Pins the module for a request that is admitted now. The module remains loaded until the pin is dropped, whichever
    /// module serves by then.
    pub fn pin(&self) -> Arc<LoadedModule> {
        let routing = self.routing.load();
        match &routing.trial {
            Some(trial) if trial.takes_next_request() => Arc::clone(&trial.candidate),
            _ => Arc::clone(&routing.serving),
        }
    }

    /// The hash of the serving module.
    pub fn module(&self) -> ModuleHash {
        self.routing.load().serving.module
    }

    /// The serving module.
    pub fn serving(&self) -> Arc<LoadedModule> {
        Arc::clone(&self.routing.load().serving)
    }

    /// The module on trial.
    pub fn candidate(&self) -> Option<Arc<LoadedModule>> {
        self.routing.load().trial.as_ref().map(|trial| Arc::clone(&trial.candidate))
    }

    /// The module that served before, and serves again after a rollback.
    pub fn previous(&self) -> Option<Arc<LoadedModule>> {
        self.lock().clone()
    }

    /// Puts a candidate on trial with this share of the requests. A share of 0 pauses it.
    pub fn set_trial(&self, candidate: &Arc<LoadedModule>, share: Share) {
        let _lock = self.lock();
        let trial = Trial { candidate: Arc::clone(candidate), share, requests: AtomicU32::default() };
        self.set_routing(self.serving(), Some(trial));
    }

    /// Ends the trial: the candidate receives no more requests.
    pub fn withdraw(&self) {
        let _lock = self.lock();
        if let Some(candidate) = self.candidate() {
            candidate.guest.keep_instances(false);
        }
        self.set_routing(self.serving(), None);
    }

    /// Makes another module serve every request that is admitted from now on, and ends the trial. The replaced module drops
    /// its idle instances, because they take room in the pool that both modules share.
    pub fn replace(&self, serving: Arc<LoadedModule>) {
        let mut previous = self.lock();
        let replaced = self.set_routing(serving, None);
        replaced.guest.keep_instances(false);
        *previous = Some(replaced);
    }

    /// Makes the previous module serve again, if there is one and `module` still serves. Returns the module that serves now.
    /// The other module is not kept.
    pub fn roll_back(&self, module: ModuleHash) -> Option<Arc<LoadedModule>> {
        let mut previous = self.lock();
        if self.module() != module {
            return None;
        }
        let restored = previous.take()?;
        restored.guest.keep_instances(true);
        let replaced = self.set_routing(Arc::clone(&restored), None);
        replaced.guest.keep_instances(false);
        Some(restored)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<LoadedModule>>> {
        self.previous.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the module that served before the call.
    fn set_routing(&self, serving: Arc<LoadedModule>, trial: Option<Trial>) -> Arc<LoadedModule> {
        let before = self.routing.swap(Arc::new(Routing { serving, trial }));
        Arc::clone(&before.serving)
    }
}
