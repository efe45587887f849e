//! Connections of clients that have not proved yet that they are operators.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// Maximum number of connections without an authenticated request. Each costs a file, a task, and a buffer of 32 KiB, all of them
/// together less than 32 MiB. An operator is pushed out only by clients that open this many connections before the head of the
/// operator's request has arrived.
pub(super) const MAX_NEWCOMERS: usize = 512;

/// The connections without an authenticated request, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// How many were let in.
    count: u64,
    /// A connection whose sender is dropped has to close.
    connections: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Newcomers {
    /// Lets a connection in, and closes the oldest one if there is no room for both. Never waits. The receiver fails once the
    /// connection has to close, or is no longer a newcomer.
    pub(super) fn let_in(self: &Arc<Self>) -> (Newcomer, oneshot::Receiver<()>) {
        let (sender, pushed_out) = oneshot::channel();
        let mut open = self.open();
        if open.connections.len() >= MAX_NEWCOMERS {
            open.connections.pop_first();
        }
        open.count += 1;
        let number = open.count;
        open.connections.insert(number, sender);
        (Newcomer { number, all: Arc::clone(self) }, pushed_out)
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection without an authenticated request. Its place is free once this is dropped.
#[derive(Debug)]
pub(super) struct Newcomer {
    number: u64,
    all: Arc<Newcomers>,
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        self.all.open().connections.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room() {
        let newcomers = Arc::new(Newcomers::default());
        let mut all: Vec<_> = (0..MAX_NEWCOMERS).map(|_| newcomers.let_in()).collect();
        let closed = |pushed_out: &mut oneshot::Receiver<()>| {
            pushed_out.try_recv() == Err(oneshot::error::TryRecvError::Closed)
        };
        // The place of one that has left is free.
        drop(all.remove(7));
        all.push(newcomers.let_in());
        assert!(!all.iter_mut().any(|(_, pushed_out)| closed(pushed_out)));
        all.push(newcomers.let_in());
        let open: Vec<_> = all.iter_mut().map(|(_, pushed_out)| !closed(pushed_out)).collect();
        assert!(!open[0] && open[1..].iter().all(|open| *open));
        // One that was pushed out has no place to free.
        drop(all.remove(0));
        assert_eq!(newcomers.open().connections.len(), MAX_NEWCOMERS);
    }
}
