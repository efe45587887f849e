//! The slot: which modules receive requests.
//!
//! One module serves. During a trial or a watch a second one, the minority, receives a share of the requests: the candidate
//! on trial, or the module before the one that is watched. A request pins a module when it is admitted, until the last byte
//! of its response is sent; a module that has been replaced remains loaded for the requests that pin it.
//!
//! Only the task of the rollout's owner ([`owner`](crate::rollout::owner)) changes the slot, its comparison of modules included;
//! a drain ends a trial.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Duration, Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{LimitsConfig, Share},
    lifecycle::memory,
    module::hash::ModuleHash,
    rollout::{candidate::Candidate, share::Sampler},
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
    /// Cancelled to cut the requests that the module received while it was a candidate.
    withdrawn: CancellationToken,
    /// Since when the module receives no requests; `None` while it does.
    retired: watch::Sender<Option<Instant>>,
}

impl LoadedModule {
    /// Wraps a candidate with what it may reach and the limits of its instances.
    pub fn new(candidate: Candidate, reach: Reach, bounds: InstanceBounds) -> Arc<Self> {
        let Candidate { module, linked } = candidate;
        let guest = Arc::new(Guest::new(linked, reach, bounds));
        Arc::new(Self {
            module,
            guest,
            withdrawn: CancellationToken::new(),
            retired: watch::Sender::new(None),
        })
    }

    /// Waits until the module has received no requests for some time.
    pub async fn retired_for(self: Arc<Self>, time: Duration) {
        let mut retired = self.retired.subscribe();
        loop {
            let since = *retired.borrow_and_update();
            let timer = async {
                match since {
                    Some(since) => sleep_until(since + time).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = timer => return,
                _ = retired.changed() => {}
            }
        }
    }

    fn set_retired(&self, is_retired: bool) {
        self.retired.send_if_modified(|since| {
            let changes = since.is_some() != is_retired;
            if changes {
                *since = is_retired.then(Instant::now);
            }
            changes
        });
    }

    /// Cuts the requests in flight that this module received as a candidate.
    pub fn cut_requests(&self) {
        self.withdrawn.cancel();
    }
}

impl Drop for LoadedModule {
    fn drop(&mut self) {
        tracing::debug!(event = "module.freed", module = %self.module, "module freed");
    }
}

/// A module that is pinned for one request.
#[allow(missing_debug_implementations, reason = "linked code has no readable form")]
pub struct Pin {
    /// The module. It remains loaded until the pin is dropped.
    pub module: Arc<LoadedModule>,
    /// Cancelled if the module is withdrawn because it is worse. `None` if nothing judges it.
    pub withdrawn: Option<CancellationToken>,
    /// The request's place in the minority's share of the permits. Must live as long as the call.
    pub permit: Option<OwnedSemaphorePermit>,
}

/// Assigns requests to modules.
#[allow(missing_debug_implementations, reason = "linked code has no readable form")]
pub struct Slot {
    routing: ArcSwap<Routing>,
    /// Remains loaded, so that a rollback neither compiles nor loads.
    previous: ArcSwapOption<LoadedModule>,
    limits: MinorityLimits,
}

/// What bounds the requests in flight of a module that has a share of the requests.
#[derive(Clone, Copy, Debug)]
pub struct MinorityLimits {
    /// Maximum number of requests in the component at once, on all modules. A minority has its share of them.
    pub max_concurrent: u16,
    /// Maximum number of instances that together fill the memory that a minority may use.
    pub max_instances: usize,
}

/// The part of the memory, as a divisor, that the instances of a minority may fill together.
const MINORITY_MEMORY_PART: usize = 4;

impl MinorityLimits {
    /// The limits that follow from `config`, and from the memory that this process may use.
    pub fn new(config: &LimitsConfig) -> Self {
        let memory = usize::try_from(memory::limit()).unwrap_or(usize::MAX);
        Self {
            max_concurrent: config.max_concurrent,
            max_instances: memory / MINORITY_MEMORY_PART / config.max_memory.bytes().max(1),
        }
    }
}

/// The modules that receive requests.
struct Routing {
    serving: Arc<LoadedModule>,
    minority: Option<Minority>,
    /// The serving module is watched, and the minority is its control.
    watched: bool,
}

impl Routing {
    fn modules(&self) -> impl Iterator<Item = &Arc<LoadedModule>> {
        self.minority.iter().map(|minority| &minority.module).chain([&self.serving])
    }

    fn contains(&self, module: &Arc<LoadedModule>) -> bool {
        self.modules().any(|other| Arc::ptr_eq(other, module))
    }
}

struct Minority {
    module: Arc<LoadedModule>,
    sampler: Sampler,
    permits: Arc<Semaphore>,
}

impl Minority {
    /// A permit for the next request, if it is one of the minority's share. What does not fit goes to the serving module:
    /// so a module that hangs never holds more than its share of the permits.
    fn admit_next(&self) -> Option<OwnedSemaphorePermit> {
        if !self.sampler.chooses_next() {
            return None;
        }
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }
}

impl Slot {
    /// A slot in which this module serves.
    pub fn new(serving: Arc<LoadedModule>, limits: MinorityLimits) -> Self {
        let routing = Routing { serving, minority: None, watched: false };
        Self { routing: ArcSwap::from_pointee(routing), previous: ArcSwapOption::empty(), limits }
    }

    /// Pins the module for a request that is admitted now. It remains loaded until the pin is dropped, whichever module
    /// serves by then.
    pub fn pin(&self) -> Pin {
        let routing = self.routing.load();
        let minority = routing.minority.as_ref();
        if let Some((minority, permit)) = minority.and_then(|some| Some((some, some.admit_next()?))) {
            let withdrawn = (!routing.watched).then(|| minority.module.withdrawn.clone());
            return Pin { module: Arc::clone(&minority.module), withdrawn, permit: Some(permit) };
        }
        let withdrawn = routing.watched.then(|| routing.serving.withdrawn.clone());
        Pin { module: Arc::clone(&routing.serving), withdrawn, permit: None }
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
        let routing = self.routing.load();
        routing.minority.as_ref().filter(|_| !routing.watched).map(|minority| Arc::clone(&minority.module))
    }

    /// The module beside a watched one, and its share of the requests.
    pub fn control(&self) -> Option<(Arc<LoadedModule>, Share)> {
        let routing = self.routing.load();
        let minority = routing.minority.as_ref().filter(|_| routing.watched);
        minority.map(|minority| (Arc::clone(&minority.module), minority.sampler.share()))
    }

    /// The module that served before, and serves again after a rollback.
    pub fn previous(&self) -> Option<Arc<LoadedModule>> {
        self.previous.load_full()
    }

    /// Puts a candidate on trial with this share of the requests. A share of 0 pauses it.
    pub fn set_trial(&self, candidate: &Arc<LoadedModule>, share: Share) {
        self.set_routing(self.serving(), Some(self.minority(candidate, share)), false);
    }

    /// Lets the serving module receive all requests: a trial or a watch ends.
    pub fn remove_minority(&self) {
        let before = self.set_routing(self.serving(), None, false);
        if let Some(minority) = &before.minority {
            // Idle instances occupy the pool that all modules share.
            minority.module.guest.keep_instances(false);
        }
    }

    /// Makes another module serve. The module that it replaces keeps `control` of the requests, if there is a watch.
    pub fn promote(&self, serving: Arc<LoadedModule>, control: Option<Share>) {
        let replaced = self.serving();
        let minority = control.map(|share| self.minority(&replaced, share));
        self.set_routing(serving, minority, control.is_some());
        replaced.guest.keep_instances(control.is_some());
        self.previous.store(Some(replaced));
    }

    /// Changes the share of the control.
    pub fn set_control(&self, share: Share) {
        if let Some((control, _)) = self.control() {
            self.set_routing(self.serving(), Some(self.minority(&control, share)), true);
        }
    }

    /// Makes a module serve all requests in place of one that is rolled back, which is not kept. Returns the latter.
    pub fn restore(&self, serving: Arc<LoadedModule>) -> Arc<LoadedModule> {
        serving.guest.keep_instances(true);
        let before = self.set_routing(serving, None, false);
        before.serving.guest.keep_instances(false);
        self.previous.store(None);
        Arc::clone(&before.serving)
    }

    fn minority(&self, module: &Arc<LoadedModule>, share: Share) -> Minority {
        let permits = usize::from(self.limits.max_concurrent) * usize::from(share.percent()) / 100;
        let permits = permits.min(self.limits.max_instances).max(1);
        Minority {
            module: Arc::clone(module),
            sampler: Sampler::new(share),
            permits: Arc::new(Semaphore::new(permits)),
        }
    }

    /// Returns the routing before the call.
    fn set_routing(
        &self,
        serving: Arc<LoadedModule>,
        minority: Option<Minority>,
        watched: bool,
    ) -> Arc<Routing> {
        let after = Arc::new(Routing { serving, minority, watched });
        let before = self.routing.swap(Arc::clone(&after));
        before.modules().for_each(|module| module.set_retired(!after.contains(module)));
        after.modules().for_each(|module| module.set_retired(false));
        before
    }
}
