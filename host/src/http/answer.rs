//! An answer on its way to the client, and the line in the access log that its end writes.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use http::{Method, StatusCode, header, request, response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use crate::{
    http::health::Probe,
    module::hash::ModuleHash,
    sandbox::{failure::Failure, response_body::GuestBody},
};

/// Most characters of a path that a line repeats.
const MAX_PATH: usize = 1024;
/// Stands for what could not be read.
const UNKNOWN: &str = "-";

/// The body of an answer, from whoever made it.
#[allow(missing_debug_implementations, reason = "a guest's body has nothing to show")]
pub enum Content {
    /// The host.
    Host(Full<Bytes>),
    /// The component.
    Guest(GuestBody),
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

/// What the access log says of a request.
#[derive(Debug)]
pub struct Access {
    /// None, as the path, if no request could be read.
    method: Option<Method>,
    path: String,
    request_id: Arc<str>,
    module: ModuleHash,
    began: Instant,
    status: StatusCode,
    /// Bytes of body that the head announced.
    announced: Option<u64>,
    /// Bytes of body handed over.
    sent: u64,
    end: End,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It has not. If it stays like this, the client went away, or was too slow to wait for.
    Open,
    /// With its last byte.
    Whole,
    /// Its body failed, and the connection was cut.
    Cut,
}

impl Access {
    /// Begins with the head of the request.
    pub fn begin(request: &request::Parts, request_id: Arc<str>, module: ModuleHash) -> Self {
        Self {
            method: Some(request.method.clone()),
            path: request.uri.path().chars().take(MAX_PATH).collect(),
            request_id,
            module,
            began: Instant::now(),
            // What nginx logs for a client that left before its answer; no answer of ours has it.
            status: StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            announced: None,
            sent: 0,
            end: End::Open,
        }
    }

    /// Of a connection on which no request could be read, and that is told so with `status`.
    pub fn without_request(request_id: Arc<str>, module: ModuleHash, status: StatusCode) -> Self {
        Self {
            method: None,
            path: UNKNOWN.to_owned(),
            request_id,
            module,
            began: Instant::now(),
            status,
            announced: None,
            sent: 0,
            end: End::Open,
        }
    }

    /// The request is served by this module, whichever it was when it arrived.
    pub fn served_by(&mut self, module: ModuleHash) {
        self.module = module;
    }

    /// Goes on with the head of the answer.
    pub fn answered(&mut self, head: &response::Parts, content: &Content) {
        self.status = head.status;
        self.announced = head
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok())
            .or_else(|| content.size_hint().exact());
        let bodiless = self.method == Some(Method::HEAD)
            || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if bodiless || self.announced == Some(0) || content.is_end_stream() {
            self.end = End::Whole;
        }
    }

    /// Ends with a body that was sent in one piece.
    pub fn sent(&mut self, bytes: usize) {
        self.announced = u64::try_from(bytes).ok();
        self.handed_over(bytes);
    }

    fn handed_over(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if self.announced == Some(self.sent) {
            self.end = End::Whole;
        }
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        let Self { method, path, request_id, module, began, status, sent, end, .. } = self;
        let duration_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let method = method.as_ref().map_or(UNKNOWN, Method::as_str);
        let (status, module) = (status.as_u16(), module.short());
        let end = match end {
            End::Open => "unfinished",
            End::Whole => "whole",
            End::Cut => "cut",
        };
        // A load balancer asks for the health every few seconds, and the answer is no news.
        if Probe::at(path).is_some() {
            tracing::debug!(target: "access", method, path, status, duration_us, bytes = sent, end, request_id = &**request_id, module);
        } else {
            tracing::info!(target: "access", method, path, status, duration_us, bytes = sent, end, request_id = &**request_id, module);
        }
    }
}

/// The body of an answer, with what lives as long as it: its line in the access log, and a `hold`.
#[allow(missing_debug_implementations, reason = "a guest's body has nothing to show")]
pub struct Answer<H> {
    content: Content,
    access: Access,
    #[allow(dead_code, reason = "held for its drop")]
    hold: H,
}

impl<H> Answer<H> {
    /// Ties them together.
    pub fn new(content: Content, access: Access, hold: H) -> Self {
        Self { content, access, hold }
    }
}

impl<H: Unpin> Body for Answer<H> {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let frame = ready!(Pin::new(&mut self.content).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => self.access.handed_over(frame.data_ref().map_or(0, Bytes::len)),
            Some(Err(failure)) => {
                self.access.end = End::Cut;
                let request_id = &*self.access.request_id;
                tracing::error!(request_id, %failure, "an answer was cut");
            }
            None => self.access.end = End::Whole,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}
