//! The access log: one record for each response, which is written when the response ends.

use std::{sync::Arc, time::Instant};

use http::{HeaderMap, HeaderName, Method, StatusCode, header, request, response};
use http_body::Body;

use crate::{
    config::AccessLines,
    http::{
        health::Probe,
        peer::{Client, Peer},
    },
    log::{text::client_text, time::milliseconds},
    module::hash::ModuleHash,
    sandbox::{failure::Failure, tally::Fault},
};

/// The method and path of a record if no request could be read.
const UNKNOWN: &str = "-";
/// The trace of a request (W3C Trace Context), and the one that AWS load balancers add.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const AMZN_TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// The record of a request. It is written when this is dropped.
#[derive(Debug)]
pub struct AccessRecord {
    lines: AccessLines,
    /// None if no request could be read.
    method: Option<Method>,
    path: String,
    client: Client,
    user_agent: Option<String>,
    traceparent: Option<String>,
    amzn_trace_id: Option<String>,
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
    /// Starts the record of a request from `peer`, if such requests have `lines`.
    pub fn begin(
        request: &request::Parts,
        peer: &Peer,
        request_id: Arc<str>,
        module: Option<ModuleHash>,
        lines: AccessLines,
    ) -> Self {
        // The status that nginx logs for a client that disconnected before its response. It is never sent.
        let status = StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST);
        let path = client_text(request.uri.path()).into_owned();
        let mut record = Self::new(path, request_id, module, status, lines);
        record.method = Some(request.method.clone());
        if lines != AccessLines::Off {
            record.client = peer.client(&request.headers);
            record.user_agent = text(&request.headers, &header::USER_AGENT);
            record.traceparent = text(&request.headers, &TRACEPARENT);
            record.amzn_trace_id = text(&request.headers, &AMZN_TRACE_ID);
        }
        record
    }

    /// Starts the record of a connection whose request could not be read, and which gets `status` as its response.
    pub fn without_request(
        peer: &Peer,
        request_id: Arc<str>,
        module: Option<ModuleHash>,
        status: StatusCode,
        lines: AccessLines,
    ) -> Self {
        let mut record = Self::new(UNKNOWN.to_owned(), request_id, module, status, lines);
        record.client.address = peer.address();
        record
    }

    fn new(
        path: String,
        request_id: Arc<str>,
        module: Option<ModuleHash>,
        status: StatusCode,
        lines: AccessLines,
    ) -> Self {
        Self {
            lines,
            method: None,
            path,
            client: Client { address: None, disputed: None },
            user_agent: None,
            traceparent: None,
            amzn_trace_id: None,
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
    pub fn set_response<B: Body>(&mut self, head: &response::Parts, content: &B) {
        self.status = head.status;
        self.announced = head
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok())
            .or_else(|| content.size_hint().exact());
        let bodiless = self.method == Some(Method::HEAD)
            || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if bodiless || self.announced == Some(0) || content.is_end_stream() {
            self.set_whole();
        }
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether the response has not ended.
    pub fn is_open(&self) -> bool {
        self.end == End::Open
    }

    /// The response has ended with its last byte.
    pub fn set_whole(&mut self) {
        self.end = End::Whole;
    }

    /// Completes the record of a response whose body of `bytes` was sent in one piece.
    pub fn set_sent(&mut self, bytes: usize) {
        self.announced = u64::try_from(bytes).ok();
        self.add_sent(bytes);
    }

    /// Adds bytes of the body that were handed over to hyper.
    pub fn add_sent(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if self.announced == Some(self.sent) {
            self.set_whole();
        }
    }

    /// The connection is cut because of this failure.
    pub fn cut(&mut self, failure: &Failure) {
        self.end = End::Cut;
        let request_id = &*self.request_id;
        if Fault::of(failure).is_some() {
            tracing::error!(event = "request.response_cut", request_id, %failure, "response cut");
        } else {
            tracing::info!(event = "request.response_cut", request_id, %failure, "response cut");
        }
    }

    fn is_logged(&self) -> bool {
        match self.lines {
            AccessLines::All => true,
            AccessLines::Errors => self.status.as_u16() >= 400 || self.end != End::Whole,
            AccessLines::Off => false,
        }
    }
}

/// What is logged of a field that a client sent. A copy: the field itself would keep the whole head of the request in memory.
fn text(fields: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = String::from_utf8_lossy(fields.get(name)?.as_bytes());
    Some(client_text(&value).into_owned())
}

impl Drop for AccessRecord {
    fn drop(&mut self) {
        if !self.is_logged() {
            return;
        }
        let Self { method, path, request_id, module, began, status, sent, end, .. } = self;
        let duration_ms = milliseconds(began.elapsed());
        let method = client_text(method.as_ref().map_or(UNKNOWN, Method::as_str));
        let method = &*method;
        let (status, module) = (status.as_u16(), module.as_ref().map(ModuleHash::short));
        let end = match end {
            End::Open => "unfinished",
            End::Whole => "whole",
            End::Cut => "cut",
        };
        let client = self.client.address.map(tracing::field::display);
        let client_disputed = self.client.disputed.map(|claims| {
            claims.map(|claim| claim.map_or("unknown".to_owned(), |address| address.to_string())).join(" or ")
        });
        let [user_agent, traceparent, amzn_trace_id] =
            [&self.user_agent, &self.traceparent, &self.amzn_trace_id].map(Option::as_deref);
        let request_id = &**request_id;
        // Load balancers probe every few seconds, which would drown the records of other requests.
        if Probe::at(path).is_some() {
            tracing::debug!(
                target: "access", method, path, status, duration_ms, bytes = sent, end, client,
                client_disputed, user_agent, traceparent, amzn_trace_id, request_id, module
            );
        } else {
            tracing::info!(
                target: "access", method, path, status, duration_ms, bytes = sent, end, client,
                client_disputed, user_agent, traceparent, amzn_trace_id, request_id, module
            );
        }
    }
}
