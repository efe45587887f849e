//! The memory for what components have written and clients have not read yet.
//!
//! The bytes of a response belong to the host as soon as they are written, so that the call can end however slowly its client
//! reads. If they fill the memory that is set aside for them, further calls wait. Only some calls may wait at once, because
//! each occupies an instance: if there are more, the response that has waited longest is cut.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::sandbox::waiting::{Place, Waiting};

/// What a chunk costs besides its bytes: the structures around it.
const CHUNK_COST: usize = 256;

/// The memory for unread bytes of all responses.
#[derive(Debug)]
pub struct UnreadLimit {
    bytes: Arc<Semaphore>,
    max_bytes: usize,
    waiting: Arc<Waiting>,
}

/// Room for a chunk. Released on drop.
#[derive(Debug)]
pub struct Room(#[allow(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// The response has waited longest, and must be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitedLongest;

/// A wait for room. It ends on drop, too.
#[allow(missing_debug_implementations, reason = "a future has no readable form")]
pub struct RoomWait {
    place: Place,
    room: Pin<Box<dyn Future<Output = Option<Room>> + Send>>,
}

impl UnreadLimit {
    /// Sets aside `max_bytes`. `waiting` limits the calls that wait for room.
    pub fn new(max_bytes: usize, waiting: Arc<Waiting>) -> Self {
        let max_bytes = max_bytes.min(Semaphore::MAX_PERMITS);
        Self { bytes: Arc::new(Semaphore::new(max_bytes)), max_bytes, waiting }
    }

    /// Room for a chunk of this size, if there is any now.
    pub fn try_reserve(&self, bytes: usize) -> Option<Room> {
        let permits = self.permits(bytes);
        Arc::clone(&self.bytes).try_acquire_many_owned(permits).ok().map(Room)
    }

    /// Waits for room for a chunk of this size.
    pub fn wait(&self, bytes: usize) -> RoomWait {
        let room = Arc::clone(&self.bytes).acquire_many_owned(self.permits(bytes));
        RoomWait {
            place: Waiting::enter(&self.waiting),
            // The semaphore is never closed.
            room: Box::pin(async { room.await.ok().map(Room) }),
        }
    }

    /// A chunk that is larger than the limit needs all of it.
    fn permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.saturating_add(CHUNK_COST).min(self.max_bytes)).unwrap_or(u32::MAX)
    }
}

impl Future for RoomWait {
    type Output = Result<Room, WaitedLongest>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.place.poll_end(context).is_ready() {
            return Poll::Ready(Err(WaitedLongest));
        }
        self.room.as_mut().poll(context).map(|room| room.ok_or(WaitedLongest))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const CHUNK: usize = 1024;

    /// Two calls may wait.
    fn waiting() -> Arc<Waiting> {
        Arc::new(Waiting::new(8))
    }

    async fn is_ready(wait: &mut RoomWait) -> Option<Result<(), WaitedLongest>> {
        poll_fn(|context| {
            Poll::Ready(match Pin::new(&mut *wait).poll(context) {
                Poll::Ready(result) => Some(result.map(drop)),
                Poll::Pending => None,
            })
        })
        .await
    }

    #[tokio::test]
    async fn room_is_given_back_to_those_that_wait() {
        let limit = Arc::new(UnreadLimit::new(2 * (CHUNK + CHUNK_COST), waiting()));
        let (first, second) = (limit.try_reserve(CHUNK).unwrap(), limit.try_reserve(CHUNK).unwrap());
        assert!(limit.try_reserve(1).is_none());
        let (mut earlier, mut later) = (limit.wait(CHUNK), limit.wait(CHUNK));
        assert_eq!((is_ready(&mut earlier).await, is_ready(&mut later).await), (None, None));
        drop(first);
        assert_eq!((is_ready(&mut later).await, is_ready(&mut earlier).await), (None, Some(Ok(()))));
        drop(second);
        assert_eq!(is_ready(&mut later).await, Some(Ok(())));
    }

    #[tokio::test]
    async fn the_response_that_has_waited_longest_is_cut_if_too_many_wait() {
        let limit = Arc::new(UnreadLimit::new(CHUNK, waiting()));
        let all = limit.try_reserve(CHUNK).unwrap();
        let (mut longest, left, mut third) = (limit.wait(CHUNK), limit.wait(CHUNK), limit.wait(CHUNK));
        assert_eq!(is_ready(&mut longest).await, Some(Err(WaitedLongest)));
        assert_eq!(is_ready(&mut third).await, None);
        // It no longer waits, and makes room for another.
        drop(left);
        let mut fourth = limit.wait(CHUNK);
        assert_eq!((is_ready(&mut third).await, is_ready(&mut fourth).await), (None, None));
        drop(all);
        assert_eq!(is_ready(&mut third).await, Some(Ok(())));
    }

    #[test]
    fn a_chunk_larger_than_the_limit_needs_all_of_it() {
        let limit = UnreadLimit::new(CHUNK, waiting());
        let all = limit.try_reserve(100 * CHUNK);
        assert!(all.is_some() && limit.try_reserve(1).is_none());
    }
}
