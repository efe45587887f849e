//! Instances that wait for their next request.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use wasmtime_wasi_http::p2::bindings::Proxy;

use crate::sandbox::instance::InstanceState;

/// One instance of a component.
pub(super) struct Instance {
    pub(super) store: wasmtime::Store<InstanceState>,
    /// Its exports; `None` before it is instantiated.
    pub(super) proxy: Option<Proxy>,
    /// The number of requests that it has received.
    pub(super) requests: u32,
}

/// Idle instances. There are never more than there were concurrent calls.
#[derive(Default)]
pub(super) struct IdleInstances {
    stacks: [Mutex<Vec<Instance>>; STACKS],
    /// Whether instances are accepted. Read while a stack is locked.
    open: AtomicBool,
}

/// The number of threads that have their own stack.
const STACKS: usize = 16;

thread_local! {
    /// The stack that this thread uses first.
    static OWN_STACK: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Ordering::Relaxed) % STACKS
    };
}

impl IdleInstances {
    /// Takes the instance that became idle last on this thread, because its memory is most likely still in a cache, or
    /// else any instance.
    pub(super) fn pop(&self) -> Option<Instance> {
        let (before, from_own) = self.stacks.split_at(OWN_STACK.with(|own| *own));
        let mut stacks = from_own.iter().chain(before);
        stacks.find_map(|stack| stack.lock().unwrap_or_else(PoisonError::into_inner).pop())
    }

    /// Adds an instance, or drops it if instances are not accepted.
    pub(super) fn push(&self, instance: Instance) {
        if let Some(stack) = self.stacks.get(OWN_STACK.with(|own| *own)) {
            let mut stack = stack.lock().unwrap_or_else(PoisonError::into_inner);
            if self.open.load(Ordering::Relaxed) {
                stack.push(instance);
            }
        }
    }

    /// Sets whether instances are accepted. If not, drops the idle ones.
    pub(super) fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Relaxed);
        if open {
            return;
        }
        for stack in &self.stacks {
            // A thread that locks this stack later sees that no instances are accepted.
            let instances = std::mem::take(&mut *stack.lock().unwrap_or_else(PoisonError::into_inner));
            drop(instances);
        }
    }
}
