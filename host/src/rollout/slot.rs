//! The slot: which module serves.
//!
//! A request takes a module when it is admitted, and holds on to it until the last byte of its answer has gone; a module
//! that has been replaced goes on for the requests that hold it. While a candidate is on trial it gets a share of the
//! requests. The module that served before is kept ready to be called, without instances; what came before that one is
//! freed with its last request.

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
    pub fn new(candidate: Candidate, reach: Reach, bounds: InstanceBounds) -> Arc<Self> {
        let Candidate { module, linked } = candidate;
        Arc::new(Self { module, guest: Arc::new(Guest::new(linked, reach, bounds)) })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        tracing::debug!(module = %self.module, "module freed");
    }
}

/// Where the module that serves a request is found.
#[allow(missing_debug_implementations, reason = "linked code has nothing to show")]
pub struct Slot {
    lineup: ArcSwap<Lineup>,
    /// Kept warm: to go back to it takes no compiling and no loading. Locked while the lineup changes, so that changes
    /// follow one another.
    previous: Mutex<Option<Arc<Serving>>>,
}

/// Who gets requests.
struct Lineup {
    serving: Arc<Serving>,
    trial: Option<Trial>,
}

struct Trial {
    candidate: Arc<Serving>,
    share: Share,
    /// Requests that came while this trial lasted.
    turn: AtomicU32,
}

impl Trial {
    /// Whether the next request is the candidate's: so many of each hundred, and not in step with anything that repeats.
    fn is_next(&self) -> bool {
        /// Has no factor in common with 100, so that each number below 100 comes once in a hundred turns.
        const STRIDE: u32 = 61;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let (hundred, turn) = (turn / 100, turn % 100);
        (turn * STRIDE + hundred % 100 * STRIDE) % 100 < u32::from(self.share.percent())
    }
}

impl Slot {
    /// A slot in which this module serves.
    pub fn new(serving: Arc<Serving>) -> Self {
        Self { lineup: ArcSwap::from_pointee(Lineup { serving, trial: None }), previous: Mutex::default() }
    }

    /// The module for a request that is admitted now. It stays whole for as long as it is held, whatever serves then.
    pub fn pin(&self) -> Arc<Serving> {
        let lineup = self.lineup.load();
        match &lineup.trial {
            Some(trial) if trial.is_next() => Arc::clone(&trial.candidate),
            _ => Arc::clone(&lineup.serving),
        }
    }

    /// Names the module that serves now.
    pub fn module(&self) -> ModuleHash {
        self.lineup.load().serving.module
    }

    /// The module that serves now.
    pub fn serving(&self) -> Arc<Serving> {
        Arc::clone(&self.lineup.load().serving)
    }

    /// The module that is on trial.
    pub fn candidate(&self) -> Option<Arc<Serving>> {
        self.lineup.load().trial.as_ref().map(|trial| Arc::clone(&trial.candidate))
    }

    /// The module that served before, and can again.
    pub fn previous(&self) -> Option<Arc<Serving>> {
        self.changing().clone()
    }

    /// Gives a candidate a share of the requests; none, to let it rest.
    pub fn try_out(&self, candidate: &Arc<Serving>, share: Share) {
        let _changing = self.changing();
        let trial = Trial { candidate: Arc::clone(candidate), share, turn: AtomicU32::default() };
        self.line_up(self.serving(), Some(trial));
    }

    /// Gives the candidate no more requests.
    pub fn withdraw(&self) {
        let _changing = self.changing();
        if let Some(candidate) = self.candidate() {
            candidate.guest.keep_instances(false);
        }
        self.line_up(self.serving(), None);
    }

    /// Has another module serve whatever is admitted from now on; no candidate is on trial then. Its predecessor keeps no
    /// idle instances: with them it would hold room that the two have in common.
    pub fn replace(&self, serving: Arc<Serving>) {
        let mut previous = self.changing();
        let replaced = self.line_up(serving, None);
        replaced.guest.keep_instances(false);
        *previous = Some(replaced);
    }

    /// Has the module before this one serve again, if there is one and `module` still serves. Gives the one that does
    /// now. The other one is not kept.
    pub fn go_back(&self, module: ModuleHash) -> Option<Arc<Serving>> {
        let mut previous = self.changing();
        if self.module() != module {
            return None;
        }
        let again = previous.take()?;
        again.guest.keep_instances(true);
        let replaced = self.line_up(Arc::clone(&again), None);
        replaced.guest.keep_instances(false);
        Some(again)
    }

    fn changing(&self) -> MutexGuard<'_, Option<Arc<Serving>>> {
        self.previous.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line_up(&self, serving: Arc<Serving>, trial: Option<Trial>) -> Arc<Serving> {
        let lineup = self.lineup.swap(Arc::new(Lineup { serving, trial }));
        Arc::clone(&lineup.serving)
    }
}
