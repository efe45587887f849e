//! A response in transit to the client, and the access log record that is written when it ends.

use std::{
    any::Any,
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
    log::text::client_text,
    module::hash::ModuleHash,
    sandbox::{
        failure::Failure,
        response_body::{GuestBody, Unread},
        tally::Fault,
    },
};

/// The method and path of a record if no request could be read.
const UNKNOWN: &str = "-";

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

/// The access log record of a request. It is written when this is dropped.
#[derive(Debug)]
pub struct AccessRecord {
    /// None if no request could be read.
    method: Option<Method>,
    path: String,
    request_id: Arc<str>,
    /// None if the service was still starting.
    module: Option<ModuleHash>,
    began: Instant,
    status: StatusCode,
    /// Bytes of body that the response head announced.
    announced: Option<u64>,
    /// Bytes of body handed over to hyper.
    sent: u64,
    end: End,
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It has not ended. If this is its state on drop, the client has disconnected, or was too slow.
    Open,
    /// With its last byte.
    Whole,
    /// Its body failed, and the connection was cut.
    Cut,
}

impl AccessRecord {
    /// Starts the record of a request.
    pub fn begin(request: &request::Parts, request_id: Arc<str>, module: Option<ModuleHash>) -> Self {
        Self {
            method: Some(request.method.clone()),
            path: client_text(request.uri.path()).into_owned(),
            request_id,
            module,
            began: Instant::now(),
            // The status that nginx logs for a client that disconnected before its response. It is never sent.
            status: StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            announced: None,
            sent: 0,
            end: End::Open,
        }
    }

    /// Starts the record of a connection whose request could not be read, and which gets `status` as its response.
    pub fn without_request(request_id: Arc<str>, module: Option<ModuleHash>, status: StatusCode) -> Self {
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

    /// Sets the module that serves the request. Another one may have served when the request arrived.
    pub fn set_module(&mut self, module: ModuleHash) {
        self.module = Some(module);
    }

    /// Adds what the head of the response says.
    pub fn set_response(&mut self, head: &response::Parts, content: &Content) {
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

    /// Completes the record of a response whose body of `bytes` was sent in one piece.
    pub fn set_sent(&mut self, bytes: usize) {
        self.announced = u64::try_from(bytes).ok();
        self.add_sent(bytes);
    }

    /// The connection is cut because of this failure.
    fn cut(&mut self, failure: &Failure) {
        self.end = End::Cut;
        let request_id = &*self.request_id;
        if Fault::of(failure).is_some() {
            tracing::error!(event = "request.response_cut", request_id, %failure, "response cut");
        } else {
            tracing::info!(event = "request.response_cut", request_id, %failure, "response cut");
        }
    }

    fn add_sent(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if self.announced == Some(self.sent) {
            self.end = End::Whole;
        }
    }
}

impl Drop for AccessRecord {
    fn drop(&mut self) {
        let Self { method, path, request_id, module, began, status, sent, end, .. } = self;
        let duration_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let method = client_text(method.as_ref().map_or(UNKNOWN, Method::as_str));
        let method = &*method;
        let (status, module) = (status.as_u16(), module.as_ref().map(ModuleHash::short));
        let end = match end {
            End::Open => "unfinished",
            End::Whole => "whole",
            End::Cut => "cut",
        };
        let request_id = &**request_id;
        // Load balancers probe every few seconds, which would drown the records of other requests.
        if Probe::at(path).is_some() {
            tracing::debug!(
                target: "access", method, path, status, duration_us, bytes = sent, end, request_id, module
            );
        } else {
            tracing::info!(
                target: "access", method, path, status, duration_us, bytes = sent, end, request_id, module
            );
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
        if self.record.end == End::Open && self.guard.is_cut_for_reading() {
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
            None => self.record.end = End::Whole,
        }
        // hyper asks for no more then.
        if self.record.end == End::Open && self.content.is_end_stream() {
            self.record.end = End::Whole;
        }
        Poll::Ready(frame)
    }

    /// hyper would compare the length that a 304 announces with that of its body.
    fn is_end_stream(&self) -> bool {
        self.record.status != StatusCode::NOT_MODIFIED && self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.record.status {
            StatusCode::NOT_MODIFIED => SizeHint::default(),
            _ => self.content.size_hint(),
        }
    }
}
