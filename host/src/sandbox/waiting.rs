//! Calls that only wait: for their readers, or for their end. Each occupies an instance, so only some may wait at once: if there
//! are more, the one that has waited longest has to end.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use tokio::{
    sync::oneshot,
    time::{Duration, Sleep, sleep},
};

/// The part of all calls, as a divisor, that may wait at once.
const WAITING_PART: usize = 4;

/// How long a call may go on whose response nobody wants: its client has left, or needs no content.
const UNWANTED_TIMEOUT: Duration = Duration::from_secs(1);

/// Calls that wait for the same.
#[derive(Debug)]
pub struct Waiting {
    max: usize,
    /// Tell a call to end; the one of the longest wait first.
    ends: Mutex<VecDeque<oneshot::Sender<()>>>,
}

/// The place of a call that waits. It is left on drop.
#[derive(Debug)]
pub struct Place {
    end: oneshot::Receiver<()>,
    waiting: Arc<Waiting>,
}

impl Waiting {
    /// Lets a part of `max_calls` calls wait.
    pub fn new(max_calls: usize) -> Self {
        Self { max: (max_calls / WAITING_PART).max(1), ends: Mutex::default() }
    }

    /// A call begins to wait.
    pub fn enter(waiting: &Arc<Self>) -> Place {
        let (sender, end) = oneshot::channel();
        let mut ends = waiting.ends();
        ends.push_back(sender);
        let longest = if ends.len() > waiting.max { ends.pop_front() } else { None };
        drop(ends);
        if let Some(longest) = longest {
            let _ = longest.send(());
        }
        Place { end, waiting: Arc::clone(waiting) }
    }

    fn ends(&self) -> MutexGuard<'_, VecDeque<oneshot::Sender<()>>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Is ready when the call has waited longest and has to end.
    pub fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.end).poll(context).map(|_| ())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.end.close();
        self.waiting.ends().retain(|end| !end.is_closed());
    }
}

/// What ends a call whose response nobody wants: it has had its time, or too many others have begun to be unwanted since.
#[derive(Debug)]
pub struct Unwanted {
    timer: Pin<Box<Sleep>>,
    place: Place,
}

impl Unwanted {
    /// A call begins to be unwanted.
    pub fn begin(limit: &Arc<Waiting>) -> Self {
        Self { timer: Box::pin(sleep(UNWANTED_TIMEOUT)), place: Waiting::enter(limit) }
    }

    /// Is ready when the call has to end.
    pub fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self.timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => self.place.poll_end(context),
        }
    }
}
