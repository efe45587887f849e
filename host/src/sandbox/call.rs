//! A call in flight: where it computes, and what ends it early.
//!
//! A call begins on the thread of its connection. An ordinary one ends there, without waking another thread. One that computes
//! for long continues in the background, on threads of a lower priority: otherwise a few such calls would use most of the time
//! of each thread, and hold up all connections.

use std::{
    future::{Future, poll_fn},
    mem,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::{
    task::{JoinHandle, unconstrained},
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::sandbox::{cpu::Clock, failure::Failure, record::CallRecord, workers::Workers};

/// The work of a call: an instance that computes, or waits for the host.
pub type Work = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// A call in flight. It resolves when the guest has returned, or when the call is ended early; dropping it ends it, too.
#[allow(missing_debug_implementations, reason = "a future has no readable form")]
pub struct GuestCall {
    work: Progress,
    record: Arc<CallRecord>,
    /// Where it continues if it computes for long; `None`: where it is.
    background: Option<Arc<Workers>>,
    limits: CallLimits,
    /// Created when the call first waits: most calls never do.
    ends: Option<Ends>,
}

/// What ends a call early.
#[derive(Debug)]
pub struct CallLimits {
    /// When it fails with [`Failure::TimedOut`].
    pub deadline: Instant,
    /// Tells when it fails with [`Failure::Withdrawn`].
    pub withdrawn: Option<CancellationToken>,
}

enum Progress {
    Here(Work),
    InBackground(BackgroundTask),
    Ended,
}

/// The rest of a call. Ended on drop.
struct BackgroundTask {
    task: JoinHandle<Result<(), Failure>>,
    work: Arc<Mutex<Option<Work>>>,
}

/// Waits for what ends a call early.
struct Ends {
    deadline: Pin<Box<Sleep>>,
    withdrawal: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl GuestCall {
    /// A call that has not begun.
    pub fn new(
        work: Work,
        record: Arc<CallRecord>,
        background: Option<Arc<Workers>>,
        limits: CallLimits,
    ) -> Self {
        Self { work: Progress::Here(work), record, background, limits, ends: None }
    }

    /// Changes the deadline.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.limits.deadline = deadline;
        if let Some(ends) = &mut self.ends {
            ends.deadline.as_mut().reset(deadline);
        }
    }

    fn poll_work(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if let Progress::Here(work) = &mut self.work {
            let clock = if self.background.is_some() { Clock::Passing } else { Clock::Thread };
            let polled = self.record.cpu.measure(clock, || work.as_mut().poll(context));
            if polled.is_ready() || !self.record.cpu.is_long() {
                return polled;
            }
            self.continue_in_background();
        }
        match &mut self.work {
            Progress::InBackground(BackgroundTask { task, .. }) => {
                let ended = ready!(Pin::new(task).poll(context));
                Poll::Ready(ended.unwrap_or_else(|error| Err(Failure::Trapped(format!("its task {error}")))))
            }
            // Without background threads.
            Progress::Here(_) | Progress::Ended => Poll::Pending,
        }
    }

    fn continue_in_background(&mut self) {
        let Some(background) = &self.background else { return };
        if let Progress::Here(work) = mem::replace(&mut self.work, Progress::Ended) {
            let (record, work) = (Arc::clone(&self.record), Arc::new(Mutex::new(Some(work))));
            let polled = Arc::clone(&work);
            let task = background.spawn(poll_fn(move |context| {
                let mut work = polled.lock().unwrap_or_else(PoisonError::into_inner);
                match work.as_mut() {
                    Some(work) => record.cpu.measure(Clock::Thread, || work.as_mut().poll(context)),
                    None => Poll::Pending,
                }
            }));
            self.work = Progress::InBackground(BackgroundTask { task, work });
        }
    }

    fn poll_ends(&mut self, context: &mut Context<'_>) -> Poll<Failure> {
        let CallLimits { deadline, withdrawn } = &mut self.limits;
        let ends = self.ends.get_or_insert_with(|| Ends {
            deadline: Box::pin(sleep_until(*deadline)),
            withdrawal: withdrawn.take().map(|token| Box::pin(token.cancelled_owned())),
        });
        // A call that uses up the budget of tokio's cooperative scheduling does not hold up its own deadline.
        if pin!(unconstrained(ends.deadline.as_mut())).poll(context).is_ready() {
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
        let result = match self.poll_work(context) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(ready!(self.poll_ends(context))),
        };
        self.work = Progress::Ended;
        Poll::Ready(result)
    }
}

impl Drop for BackgroundTask {
    /// A call that waits gives up its instance and its permit at once: its thread may not get to it soon.
    fn drop(&mut self) {
        if let Ok(mut work) = self.work.try_lock() {
            *work = None;
        }
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU16, thread, time::Duration};

    use tokio::sync::oneshot;

    use super::*;
    use crate::sandbox::{cpu::CpuMeter, tally::Tally};

    const LONG: Duration = Duration::from_secs(60);

    fn call(
        work: impl Future<Output = Result<(), Failure>> + Send + 'static,
        limits: CallLimits,
    ) -> GuestCall {
        let counted = Arc::new(Tally::new(LONG)).begin();
        let cpu = CpuMeter::new(counted.began(), LONG);
        let record = Arc::new(CallRecord { request_id: Arc::from("test"), counted, cpu });
        let background = Workers::start_in_background(NonZeroU16::MIN).unwrap();
        GuestCall::new(Box::pin(work), record, Some(Arc::new(background)), limits)
    }

    fn limits() -> CallLimits {
        CallLimits { deadline: Instant::now() + LONG, withdrawn: None }
    }

    fn thread_name() -> String {
        thread::current().name().unwrap_or_default().to_owned()
    }

    /// Computes for longer than a call may on the thread of its connection, however the thread is scheduled.
    fn compute() {
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_millis(10) {}
    }

    #[tokio::test]
    async fn a_waiting_call_ends_when_its_module_is_withdrawn() {
        let token = CancellationToken::new();
        let limits = CallLimits { withdrawn: Some(token.clone()), ..limits() };
        let mut call = call(std::future::pending(), limits);
        poll_fn(|context| {
            assert!(Pin::new(&mut call).poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        token.cancel();
        assert!(matches!(call.await, Err(Failure::Withdrawn)));
    }

    #[tokio::test]
    async fn a_call_that_yields_all_the_time_ends_at_its_deadline() {
        let limits = CallLimits { deadline: Instant::now(), withdrawn: None };
        let spinning = async {
            loop {
                tokio::task::consume_budget().await;
            }
        };
        assert!(matches!(call(spinning, limits).await, Err(Failure::TimedOut)));
    }

    #[tokio::test]
    async fn a_short_call_stays_on_its_thread() {
        let here = thread_name();
        let stays = async move {
            tokio::task::yield_now().await;
            assert_eq!(thread_name(), here);
            Ok(())
        };
        call(stays, limits()).await.unwrap();
    }

    #[tokio::test]
    async fn a_long_call_continues_in_the_background_until_it_is_dropped() {
        let (moved, moves) = oneshot::channel();
        let (held, dropped) = oneshot::channel::<()>();
        let computing = async {
            compute();
            tokio::task::yield_now().await;
            let _ = moved.send(thread_name());
            std::future::pending::<()>().await;
            drop(held);
            Ok(())
        };
        let mut call = call(computing, limits());
        let thread = tokio::select! {
            biased;
            _ = &mut call => None,
            thread = moves => thread.ok(),
        };
        assert_eq!(thread.as_deref(), Some("background-0"));
        drop(call);
        assert!(dropped.await.is_err());
    }
}
