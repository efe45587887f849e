//! A call in flight, and what ends it early: its deadline, and the withdrawal of its module.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    task::{Unconstrained, unconstrained},
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::sandbox::failure::Failure;

/// The work of a call: an instance that computes, or waits for the host.
pub type Work = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// A call in flight. It resolves when the guest has returned, or when the call is ended early; dropping it ends it, too.
#[allow(missing_debug_implementations, reason = "a future has no readable form")]
pub struct GuestCall {
    /// `None` once the call has ended.
    work: Option<Work>,
    deadline: Instant,
    withdrawn: Option<CancellationToken>,
    /// Created when the call first waits: most calls never do.
    ends: Option<Ends>,
}

/// What may end the call.
struct Ends {
    deadline: Pin<Box<Unconstrained<Sleep>>>,
    withdrawal: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl GuestCall {
    /// A call that fails with [`Failure::TimedOut`] at `deadline`, and with [`Failure::Withdrawn`] when the token says so.
    pub fn new(work: Work, deadline: Instant, withdrawn: Option<CancellationToken>) -> Self {
        Self { work: Some(work), deadline, withdrawn, ends: None }
    }

    fn poll_ends(&mut self, context: &mut Context<'_>) -> Poll<Failure> {
        let (deadline, withdrawn) = (self.deadline, &mut self.withdrawn);
        let ends = self.ends.get_or_insert_with(|| Ends {
            // A guest that uses up the budget of tokio's cooperative scheduling does not hold up its own deadline.
            deadline: Box::pin(unconstrained(sleep_until(deadline))),
            withdrawal: withdrawn.take().map(|token| Box::pin(token.cancelled_owned())),
        });
        if ends.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Failure::TimedOut);
        }
        match &mut ends.withdrawal {
            Some(withdrawal) => withdrawal.as_mut().poll(context).map(|()| Failure::Withdrawn),
            None => Poll::Pending,
        }
    }
}

impl Future for GuestCall {
    type Output = Result<(), Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let result = match work.as_mut().poll(context) {
            Poll::Ready(result) => result,
            Poll::Pending => match self.poll_ends(context) {
                Poll::Ready(failure) => Err(failure),
                Poll::Pending => return Poll::Pending,
            },
        };
        self.work = None;
        Poll::Ready(result)
    }
}
