//! The queue of the writer thread, and the commits that it takes from the queue at once.

use std::{
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Instant,
};

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::store::contract::{Commit, Outcome, StoreError};

/// Maximum number of commits in a batch, so that the first caller does not wait for an endless stream of later ones.
const MAX_BATCH: usize = 256;

/// A batch stops growing at this many bytes: about what the slowest common disks write in a tenth of a second. With the
/// commit that crosses the limit, a batch stays below three times this.
const MAX_BATCH_BYTES: usize = 4 << 20;

/// How often the thread yields the processor before it closes a batch. With 64 connections on two processors, yielding
/// once made batches of 4 to 14 commits on average over a run, and yielding 16 times made batches of 5 to 20 (in five of
/// six runs over 11), without a difference for one connection.
const YIELDS_BEFORE_CLOSING: u32 = 16;

/// A message to the writer thread.
pub(super) enum Message {
    Commit(PendingCommit),
    Probe(oneshot::Sender<Result<(), StoreError>>),
    Close,
}

/// A queued commit. Its caller may have stopped waiting.
pub(super) struct PendingCommit {
    pub(super) commit: Commit,
    pub(super) reply: oneshot::Sender<Result<Outcome, StoreError>>,
    /// Its share of the queue's bytes, released once the reply is sent.
    pub(super) _bytes: OwnedSemaphorePermit,
}

/// The messages that the thread takes from the queue at once.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) commits: Vec<PendingCommit>,
    pub(super) probes: Vec<oneshot::Sender<Result<(), StoreError>>>,
    bytes: usize,
}

impl Batch {
    /// Takes the first message and all that wait behind it, within the limits of a batch.
    pub(super) fn collect(first: Message, messages: &mut mpsc::Receiver<Message>) -> Self {
        let mut batch = Self::default();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Commit(pending) => {
                    batch.bytes = batch.bytes.saturating_add(pending.commit.bytes);
                    batch.commits.push(pending);
                }
                Message::Probe(reply) => batch.probes.push(reply),
                // Messages in the queue can still be received; callers that wait for room in it are rejected.
                Message::Close => messages.close(),
            }
            let full = batch.commits.len() >= MAX_BATCH || batch.bytes >= MAX_BATCH_BYTES;
            next = if full { None } else { next_waiting(messages) };
        }
        batch
    }
}

/// What a wait for a message ended with.
pub(super) enum Received {
    Message(Message),
    /// The deadline.
    Late,
    /// The end of the queue: it is closed and empty.
    Closed,
}

/// Waits for the next message, until the deadline if there is one.
pub(super) fn receive(messages: &mut mpsc::Receiver<Message>, deadline: Option<Instant>) -> Received {
    // Not a timer of the runtime, which a store may outlive.
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match messages.poll_recv(&mut context) {
            Poll::Ready(Some(message)) => return Received::Message(message),
            Poll::Ready(None) => return Received::Closed,
            Poll::Pending => {}
        }
        match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            None => thread::park(),
            Some(left) if left.is_zero() => return Received::Late,
            Some(left) => thread::park_timeout(left),
        }
    }
}

/// Wakes a thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// The next message in the queue. If the queue is empty, yields the processor first to threads that are about to send:
/// that makes batches several times larger on a busy machine, and costs microseconds on an idle one.
fn next_waiting(messages: &mut mpsc::Receiver<Message>) -> Option<Message> {
    (0..YIELDS_BEFORE_CLOSING).find_map(|_| {
        messages.try_recv().ok().or_else(|| {
            thread::yield_now();
            None
        })
    })
}
