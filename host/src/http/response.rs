//! A response in transit to the client. When it ends, its record in the access log is written.

use std::{
    any::Any,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{StatusCode, header, response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use crate::{
    http::access::AccessRecord,
    sandbox::{
        failure::Failure,
        response_body::{GuestBody, Unread},
    },
};

/// The body of a response.
#[allow(missing_debug_implementations, reason = "a guest's body has no readable form")]
pub enum Content {
    /// Written by the host.
    Host(Full<Bytes>),
    /// Streamed by the component.
    Guest(GuestBody),
}

impl Content {
    /// What the client has not read yet, if a component writes it.
    pub fn unread(&self) -> Option<Arc<Unread>> {
        match self {
            Self::Host(_) => None,
            Self::Guest(body) => Some(Arc::clone(body.unread())),
        }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match &mut *self {
            Self::Host(body) => Pin::new(body).poll_frame(context).map_err(|infallible| match infallible {}),
            Self::Guest(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Host(body) => body.is_end_stream(),
            Self::Guest(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Host(body) => body.size_hint(),
            Self::Guest(body) => body.size_hint(),
        }
    }
}

/// Whether the length of a response is known before its end.
pub fn has_length<B: Body>(head: &response::Parts, body: &B) -> bool {
    head.headers.contains_key(header::CONTENT_LENGTH) || body.size_hint().exact().is_some()
}

/// What the connection of a response knows about it. Dropped when the last byte has been handed to hyper.
pub trait ResponseGuard: Unpin {
    /// The whole request has arrived, and its call begins. What this returns counts the request as in flight until it is
    /// dropped: the call may outlast the response.
    fn begin_call(&self) -> Option<Arc<dyn Any + Send + Sync>>;
    /// The response begins. `unread` is what the client has not read yet if a component writes it; without a length, it is
    /// open-ended.
    fn begin_response(&self, unread: Option<Arc<Unread>>, is_open_ended: bool);
    /// Whether the connection is cut because its client reads the response too slowly.
    fn is_cut_for_reading(&self) -> bool;
}

/// The body of a response, with everything that lives as long as the body: its access log record, and its connection's guard.
#[allow(missing_debug_implementations, reason = "a guest's body has no readable form")]
pub struct TrackedBody<G: ResponseGuard> {
    content: Content,
    record: AccessRecord,
    guard: G,
}

impl<G: ResponseGuard> TrackedBody<G> {
    /// Ties `record` and `guard` to `content`: both are dropped with the body.
    pub fn new(content: Content, record: AccessRecord, guard: G) -> Self {
        Self { content, record, guard }
    }
}

impl<G: ResponseGuard> Drop for TrackedBody<G> {
    fn drop(&mut self) {
        if self.record.is_open() && self.guard.is_cut_for_reading() {
            let failure = self.content.unread().and_then(|unread| unread.take_failure());
            self.record.cut(&failure.unwrap_or(Failure::NotRead));
        }
    }
}

impl<G: ResponseGuard> Body for TrackedBody<G> {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let frame = ready!(Pin::new(&mut self.content).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => self.record.add_sent(frame.data_ref().map_or(0, Bytes::len)),
            Some(Err(failure)) => self.record.cut(failure),
            None => self.record.set_whole(),
        }
        // hyper asks for no more then.
        if self.record.is_open() && self.content.is_end_stream() {
            self.record.set_whole();
        }
        Poll::Ready(frame)
    }

    /// hyper would compare the length that a 304 announces with that of its body.
    fn is_end_stream(&self) -> bool {
        self.record.status() != StatusCode::NOT_MODIFIED && self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.record.status() {
            StatusCode::NOT_MODIFIED => SizeHint::default(),
            _ => self.content.size_hint(),
        }
    }
}
