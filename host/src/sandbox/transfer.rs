//! Moves what a component writes as its response to where its client reads it, as far as there is room.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, response::Parts};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::sandbox::{
    failure::Failure,
    request_body::TooLarge,
    response_body::Unread,
    room::{RoomWait, UnreadLimit},
    written::{Part, ResponseContent, Written},
};

/// The body of a response between its component and its client.
#[allow(missing_debug_implementations, reason = "a body has no readable form")]
pub struct Transfer {
    /// What the component writes, until its end.
    written: Option<Written>,
    /// The status of the response, once there is one.
    status: Option<StatusCode>,
    /// A chunk that waits for room, and the wait.
    next: Option<Bytes>,
    room: Option<RoomWait>,
    limit: Arc<UnreadLimit>,
    /// Whether the component has finished the body.
    finished: bool,
    /// What the client has not read yet.
    unread: Arc<Unread>,
    /// Whether the body of the request is too large.
    too_large: Option<TooLarge>,
}

impl Transfer {
    /// A transfer that begins when the component has responded to a request whose body may be too large.
    pub fn new(limit: Arc<UnreadLimit>, too_large: Option<TooLarge>) -> Self {
        Self {
            written: None,
            status: None,
            next: None,
            room: None,
            limit,
            finished: false,
            unread: Arc::default(),
            too_large,
        }
    }

    /// Begins, and returns the head.
    ///
    /// # Errors
    ///
    /// Those of [`Written::new`].
    pub fn begin(
        &mut self,
        response: Response<HyperOutgoingBody>,
        head_only: bool,
    ) -> Result<Parts, Failure> {
        let (head, written) = Written::new(response, head_only)?;
        (self.status, self.written) = (Some(head.status), Some(written));
        Ok(head)
    }

    /// Takes what the component has written. Returns whether there was anything, and room for it. With `is_last`, the call has
    /// ended: what it leaves behind, a few chunks at most, needs no room.
    ///
    /// # Errors
    ///
    /// [`Failure`] if the response must be cut.
    pub fn take(&mut self, is_last: bool, context: &mut Context<'_>) -> Result<bool, Failure> {
        let mut moved = false;
        loop {
            if self.next.is_some() {
                if !self.push_next(is_last, context)? {
                    return Ok(moved);
                }
                moved = true;
            }
            let Some(written) = &mut self.written else { return Ok(moved) };
            let has_content = written.content() == ResponseContent::Sent;
            let Poll::Ready(part) = written.poll_part(context) else { return Ok(moved) };
            self.check_request_body()?;
            match part? {
                Part::Chunk(bytes) => self.next = Some(bytes),
                Part::End(trailers) => {
                    self.written = None;
                    self.finished = true;
                    self.unread.complete(if has_content { trailers } else { HeaderMap::new() });
                    return Ok(true);
                }
                Part::Lost => {
                    self.written = None;
                    return Ok(moved);
                }
            }
        }
    }

    /// Passes a chunk on. Returns whether there was room.
    fn push_next(&mut self, is_last: bool, context: &mut Context<'_>) -> Result<bool, Failure> {
        let Some(bytes) = self.next.take() else { return Ok(true) };
        let room = if self.unread.poll_sent(context) {
            None
        } else if let Some(room) = self.limit.try_reserve(bytes.len()) {
            Some(room)
        } else if is_last {
            None
        } else {
            let wait = self.room.get_or_insert_with(|| self.limit.wait(bytes.len()));
            match Pin::new(wait).poll(context) {
                Poll::Ready(room) => Some(room.map_err(|_| Failure::NotRead)?),
                Poll::Pending => {
                    self.next = Some(bytes);
                    return Ok(false);
                }
            }
        };
        self.room = None;
        self.unread.push(bytes, room);
        Ok(true)
    }

    /// Holds a component that was told that the body of its request is too large to 413.
    ///
    /// # Errors
    ///
    /// [`Failure::BodyTooLarge`].
    pub fn check_request_body(&self) -> Result<(), Failure> {
        let failure = self.too_large.as_ref().and_then(|too_large| too_large.failure(self.status));
        failure.map_or(Ok(()), Err)
    }

    /// What the client has not read yet.
    pub fn unread(&self) -> &Arc<Unread> {
        &self.unread
    }

    /// What the component writes now.
    pub fn written(&self) -> Option<&Written> {
        self.written.as_ref()
    }

    /// Whether the component writes what nobody gets.
    pub fn is_discarded(&self) -> bool {
        self.written.as_ref().is_some_and(|written| written.content() == ResponseContent::None)
    }

    /// Whether the component has finished the body.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether the component waits for its reader.
    pub fn waits(&self) -> bool {
        self.next.is_some()
    }

    /// Drops what the component writes. It notices that when it next writes.
    pub fn stop(&mut self) {
        (self.written, self.next, self.room) = (None, None, None);
    }

    /// The failure to report for this one: a component that does not expect a body to be too large may fail in any way.
    pub fn blame(&self, failure: Failure) -> Failure {
        self.too_large.as_ref().and_then(|too_large| too_large.failure(None)).unwrap_or(failure)
    }

    /// Why there is no whole response although the call has ended without a failure.
    pub fn unfinished(&self) -> Failure {
        match self.status {
            Some(_) => Failure::IncompleteResponse,
            None => Failure::NoResponse,
        }
    }
}
