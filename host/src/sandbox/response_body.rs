//! The body of a response on its way to the client. The host owns it: the call that writes it may end long before its client has
//! read it.

use std::{
    any::Any,
    collections::VecDeque,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::sandbox::{failure::Failure, room::Room};

/// The body of a component's response, as the client reads it.
///
/// The body ends cleanly only if the component has finished it. Otherwise it ends with the failure: the connection is cut, and no
/// client mistakes a part of a response for the whole.
#[derive(Debug)]
pub struct GuestBody {
    unread: Arc<Unread>,
    #[allow(dead_code, reason = "held for its drop")]
    guard: Arc<dyn Any + Send + Sync>,
}

/// What a component has written and its client has not read yet. The call and the body share it.
#[derive(Debug, Default)]
pub struct Unread(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Bytes>,
    /// The bytes of `chunks`.
    queued: u64,
    /// Chunks that have not been written to the socket: those that wait, and those that the connection has taken.
    held: usize,
    end: Option<End>,
    /// The client has left, or has what it needs.
    dropped: bool,
    /// Woken when there is more to read.
    reader: Option<Waker>,
    /// Woken when everything has been written to the socket, or when the body is dropped.
    writer: Option<Waker>,
}

#[derive(Debug)]
enum End {
    /// The response is complete. Contains its trailers, if it has some.
    Complete(Option<HeaderMap>),
    Failed(Failure),
    /// The body has told its reader how it ended.
    Told,
}

/// A chunk, and its room in memory. Released when the connection has written it to the socket.
struct Chunk {
    bytes: Bytes,
    unread: Arc<Unread>,
    _room: Option<Room>,
}

impl Unread {
    /// Adds a chunk. Without `room`, it is the only one of its response, or one of the last.
    pub fn push(self: &Arc<Self>, bytes: Bytes, room: Option<Room>) {
        let length = length_of(&bytes);
        let chunk = Bytes::from_owner(Chunk { bytes, unread: Arc::clone(self), _room: room });
        let mut state = self.state();
        state.held = state.held.saturating_add(1);
        // Nobody reads what comes after a failure, or what the client has left.
        if state.end.is_none() && !state.dropped {
            state.queued = state.queued.saturating_add(length);
            state.chunks.push_back(chunk);
            state.wake_reader();
        }
    }

    /// Ends the body cleanly.
    pub fn complete(&self, trailers: HeaderMap) {
        let mut state = self.state();
        state.end = Some(End::Complete((!trailers.is_empty()).then_some(trailers)));
        state.wake_reader();
    }

    /// Ends the body with a failure. What has not been read is dropped.
    pub fn fail(&self, failure: Failure) {
        let mut state = self.state();
        let chunks = mem::take(&mut state.chunks);
        state.queued = 0;
        state.end = Some(End::Failed(failure));
        state.wake_reader();
        drop(state);
        // A chunk locks the state when it is dropped.
        drop(chunks);
    }

    /// Whether the body has failed, which its reader may not have been told yet. If not, wakes the task when there is more to read.
    pub fn poll_failed(&self, context: &Context<'_>) -> bool {
        let mut state = self.state();
        state.reader = Some(context.waker().clone());
        matches!(state.end, Some(End::Failed(_)))
    }

    /// The failure of the body, if its reader has not been told yet.
    pub fn take_failure(&self) -> Option<Failure> {
        let mut state = self.state();
        match state.end.take() {
            Some(End::Failed(failure)) => {
                state.end = Some(End::Told);
                Some(failure)
            }
            end => {
                state.end = end;
                None
            }
        }
    }

    /// Whether everything has been written to the socket. If not, wakes the task when it has.
    pub fn poll_sent(&self, context: &Context<'_>) -> bool {
        let mut state = self.state();
        state.writer = Some(context.waker().clone());
        state.held == 0
    }

    /// Whether the body has been dropped. If not, wakes the task when it is.
    pub fn poll_dropped(&self, context: &Context<'_>) -> bool {
        let mut state = self.state();
        state.writer = Some(context.waker().clone());
        state.dropped
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let mut state = self.unread.state();
        state.held = state.held.saturating_sub(1);
        if state.held == 0 {
            state.wake_writer();
        }
    }
}

impl GuestBody {
    /// The body that is read from `unread`. `guard` is dropped with it.
    pub fn new(unread: Arc<Unread>, guard: Arc<dyn Any + Send + Sync>) -> Self {
        Self { unread, guard }
    }

    /// What has not been read yet.
    pub fn unread(&self) -> &Arc<Unread> {
        &self.unread
    }
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let mut state = self.unread.state();
        if let Some(chunk) = state.chunks.pop_front() {
            state.queued = state.queued.saturating_sub(length_of(&chunk));
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        match state.end.replace(End::Told) {
            Some(End::Failed(failure)) => Poll::Ready(Some(Err(failure))),
            Some(End::Complete(Some(trailers))) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Some(End::Complete(None) | End::Told) => Poll::Ready(None),
            None => {
                state.end = None;
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let state = self.unread.state();
        state.chunks.is_empty() && matches!(state.end, Some(End::Complete(None) | End::Told))
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.unread.state();
        match state.end {
            Some(End::Complete(None) | End::Told) => SizeHint::with_exact(state.queued),
            _ => SizeHint::default(),
        }
    }
}

impl Drop for GuestBody {
    fn drop(&mut self) {
        let mut state = self.unread.state();
        let chunks = mem::take(&mut state.chunks);
        state.dropped = true;
        state.wake_writer();
        drop(state);
        drop(chunks);
    }
}

fn length_of(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
