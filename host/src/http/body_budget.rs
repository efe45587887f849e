//! The memory for the bodies of all requests together. Part of it is kept for small bodies, so that large or slow uploads never
//! prevent them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The largest body that is small, in bytes.
const MAX_SMALL: usize = 64 * 1024;
/// The part of the memory that is kept for small bodies.
const SMALL_PART: usize = 4;

/// The memory for bodies: a permit for each byte. Clones share it.
#[derive(Clone, Debug)]
pub struct BodyBudget {
    /// For small bodies only.
    reserved: Arc<Semaphore>,
    /// For all bodies.
    shared: Arc<Semaphore>,
}

/// The share of one body. Released on drop.
#[derive(Debug)]
pub struct BodyShare {
    budget: BodyBudget,
    announced: usize,
    bytes: usize,
    reserved: Option<OwnedSemaphorePermit>,
    shared: Option<OwnedSemaphorePermit>,
}

impl BodyBudget {
    /// Room for `total` bytes. A quarter is kept for small bodies; less, if the largest body would not fit beside that.
    pub fn new(total: usize, max_body: usize) -> Self {
        let reserved = (total / SMALL_PART).min(total.saturating_sub(max_body));
        Self {
            reserved: Arc::new(Semaphore::new(reserved)),
            shared: Arc::new(Semaphore::new(total.saturating_sub(reserved))),
        }
    }

    /// The share of a body that announces at least so many bytes. It takes room as they arrive.
    pub fn share(&self, announced: usize) -> BodyShare {
        BodyShare { budget: self.clone(), announced, bytes: 0, reserved: None, shared: None }
    }
}

impl BodyShare {
    /// Takes room for more bytes. Returns whether there was room.
    pub fn grow(&mut self, more: usize) -> bool {
        self.bytes = self.bytes.saturating_add(more);
        if self.bytes.max(self.announced) > MAX_SMALL {
            // It has turned out not to be small.
            let moved = self.reserved.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
            let grown = take(&self.budget.shared, &mut self.shared, more.saturating_add(moved));
            self.reserved = None;
            return grown;
        }
        take(&self.budget.reserved, &mut self.reserved, more)
            || take(&self.budget.shared, &mut self.shared, more)
    }
}

fn take(from: &Arc<Semaphore>, held: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> bool {
    let more =
        u32::try_from(bytes).ok().and_then(|bytes| Arc::clone(from).try_acquire_many_owned(bytes).ok());
    let Some(more) = more else { return false };
    match held {
        Some(permit) => permit.merge(more),
        None => *held = Some(more),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// What is free: for small bodies only, and for all.
    fn free(budget: &BodyBudget) -> (usize, usize) {
        (budget.reserved.available_permits(), budget.shared.available_permits())
    }

    #[test]
    fn the_largest_body_always_fits() {
        for (total, max_body, reserved) in
            [(64 * MIB, MIB, 16 * MIB), (4 * MIB, 4 * MIB, 0), (4 * MIB, 3 * MIB + 1, MIB - 1)]
        {
            let budget = BodyBudget::new(total, max_body);
            assert_eq!(free(&budget), (reserved, total - reserved));
            assert!(budget.share(max_body).grow(max_body));
        }
    }

    #[test]
    fn large_bodies_leave_a_quarter_for_small_ones() {
        let budget = BodyBudget::new(4 * MIB, MIB);
        let mut large: Vec<_> = (0..4).map(|_| budget.share(MIB)).collect();
        let grown: Vec<_> = large.iter_mut().map(|share| share.grow(MIB)).collect();
        assert_eq!(grown, [true, true, true, false]);
        let mut small: Vec<_> = (0..17).map(|_| budget.share(MAX_SMALL)).collect();
        let grown = small.iter_mut().filter_map(|share| share.grow(MAX_SMALL).then_some(())).count();
        assert_eq!((grown, free(&budget)), (16, (0, 0)));
        drop((large, small));
        assert_eq!(free(&budget), (MIB, 3 * MIB));
    }

    #[test]
    fn small_bodies_may_fill_everything() {
        let budget = BodyBudget::new(4 * MIB, MIB);
        let mut small: Vec<_> = (0..65).map(|_| budget.share(0)).collect();
        let grown = small.iter_mut().filter_map(|share| share.grow(MAX_SMALL).then_some(())).count();
        assert_eq!((grown, free(&budget)), (64, (0, 0)));
    }

    #[test]
    fn a_body_that_turns_out_large_gives_back_what_is_kept_for_small_ones() {
        let budget = BodyBudget::new(4 * MIB, MIB);
        let mut share = budget.share(0);
        assert!(share.grow(MAX_SMALL));
        assert_eq!(free(&budget), (MIB - MAX_SMALL, 3 * MIB));
        assert!(share.grow(1));
        assert_eq!(free(&budget), (MIB, 3 * MIB - MAX_SMALL - 1));
    }
}
