//! The steps of a request, in order, and nothing else.
//!
//! 1. The request gets an id, which its response, its log lines and the component share.
//! 2. The host itself serves health paths and the API explorer.
//! 3. The host reads the body, within the limits ([`Limits`]).
//! 4. The request is admitted, and the module that serves now ([`Slot`]) is called.
//! 5. An error becomes a response ([`Rejection`]). If the service is overloaded, the body is drained first.
//! 6. The response streams back. Its end is logged ([`TrackedBody`]), and everything held for it is released.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header,
    request::Parts,
};
use http_body::Body;
use http_body_util::Full;
use tokio::time::Instant;

use crate::{
    config::{AccessLines, LimitsConfig, LogConfig, ShutdownConfig, TrustedProxies},
    http::{
        access::AccessRecord,
        explorer, head,
        health::Probe,
        limits::Limits,
        metered_body::MeteredBody,
        peer::Peer,
        readiness::Readiness,
        rejection::Rejection,
        response::{Content, ResponseGuard, TrackedBody, has_length},
    },
    lifecycle::shutdown::{Lifecycle, Phase},
    module::hash::ModuleHash,
    rollout::slot::{LoadedModule, Slot},
    sandbox::{guest::CallContext, request_body::RequestBody, stream::StreamEnd},
};

/// The id of a request, in the request and its response.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// How long the request may take, in milliseconds, for the component: it can use less time than that to try something again.
const DEADLINE: HeaderName = HeaderName::from_static("x-deadline-ms");
/// The longest request id that is accepted from a client, in bytes.
const MAX_REQUEST_ID: usize = 128;

/// Handles requests.
#[allow(missing_debug_implementations, reason = "linked code has no readable form")]
pub struct Service {
    /// The limits of what the service accepts.
    pub limits: Limits,
    /// The phase of the service.
    pub lifecycle: Lifecycle,
    /// The requests that have a line in the access log.
    pub access_lines: AccessLines,
    /// The load balancers that say where a request comes from.
    pub proxies: TrustedProxies,
    /// How long a stream may go on after its module was replaced; `None` if streams are not allowed to last.
    replaced_streams: Option<Duration>,
    /// Empty during the start.
    serving: OnceLock<Serving>,
}

/// What a service has once it has started.
#[allow(missing_debug_implementations, reason = "linked code has no readable form")]
pub struct Serving {
    /// The slot of the serving module.
    pub slot: Arc<Slot>,
    /// Whether the store works.
    pub readiness: Arc<Readiness>,
}

/// The requests that are served on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// All.
    Full,
    /// Health probes only, because the connection is beyond the limit. Other requests are rejected with 503.
    HealthOnly,
}

impl Service {
    /// A service that starts. Streams of a module that was replaced have as long to end as requests at a shutdown.
    pub fn new(limits: &LimitsConfig, shutdown: &ShutdownConfig, log: &LogConfig) -> Self {
        Self {
            limits: Limits::new(limits),
            lifecycle: Lifecycle::default(),
            access_lines: log.access_log,
            proxies: log.proxies(),
            replaced_streams: limits.stream_timeout.map(|_| shutdown.drain_timeout.0),
            serving: OnceLock::new(),
        }
    }

    /// Ends the start. Without effect on a service that has started.
    pub fn begin_serving(&self, serving: Serving) {
        if self.serving.set(serving).is_ok() {
            self.lifecycle.enter(Phase::Serving);
        }
    }

    /// The module that serves; `None` during the start.
    pub fn module(&self) -> Option<ModuleHash> {
        self.serving.get().map(|serving| serving.slot.module())
    }

    /// Handles one request from `peer`. `guard` is dropped when the last byte of the response has been handed to hyper.
    ///
    /// # Errors
    ///
    /// None: an error becomes a response, or cuts the body of the response.
    pub async fn handle<G: ResponseGuard>(
        &self,
        request: Request<MeteredBody>,
        peer: &Peer,
        admission: Admission,
        guard: G,
    ) -> Result<Response<TrackedBody<G>>, Infallible> {
        let (mut parts, mut body) = request.into_parts();
        let (id, id_value) = identify(&parts.headers);
        let mut record = AccessRecord::begin(&parts, peer, Arc::clone(&id), self.module(), self.access_lines);
        parts.headers.insert(REQUEST_ID, id_value.clone());
        let (version, path) = (parts.version, parts.uri.path().to_owned());
        let expects_continue = head::expects_continue(&parts);

        // The bytes after CONNECT are the payload of a tunnel, not a request.
        let mut unread = !body.is_end_stream() || parts.method == Method::CONNECT;
        let exchange = Exchange { id: &id, record: &mut record, guard: &guard };
        let response = match self.respond(parts, &mut body, admission, exchange, &mut unread).await {
            Ok(response) => response,
            Err(rejection) => {
                // A client that is rejected because of overload will retry, and should not need a new connection.
                if unread && rejection.is_overload() && !expects_continue {
                    unread = !Limits::drain_body(&mut body).await;
                }
                rejection.into_response(Some(&path), &id).map(|body| Content::Host(Full::new(body)))
            }
        };

        let (mut head, content) = response.into_parts();
        head.headers.insert(REQUEST_ID, id_value);
        head.headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // The bytes after an unread body might not be a request; after a trailer section, readers disagree about where it ends.
        if unread
            || body.has_trailers()
            || self.lifecycle.phase().is_draining()
            || admission == Admission::HealthOnly
        {
            head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let is_open_ended = !has_length(&head, &content);
        guard.begin_response(content.unread(), is_open_ended);
        if is_open_ended && version == Version::HTTP_10 {
            // The end of the connection is the end of the response, so it must not be announced as kept (RFC 9112, section 9.3).
            head.version = version;
        }
        record.set_response(&head, &content);
        Ok(Response::from_parts(head, TrackedBody::new(content, record, guard)))
    }

    /// When a stream of this module has to end.
    fn stream_end(&self, module: &Arc<LoadedModule>) -> Option<StreamEnd> {
        let time = self.replaced_streams?;
        let (lifecycle, module) = (self.lifecycle.clone(), Arc::clone(module));
        Some(Box::pin(async move {
            tokio::select! {
                () = lifecycle.stopping() => {}
                () = module.retired_for(time) => {}
            }
        }))
    }

    async fn respond<G: ResponseGuard>(
        &self,
        mut parts: Parts,
        body: &mut MeteredBody,
        admission: Admission,
        Exchange { id, record, guard }: Exchange<'_, G>,
        unread: &mut bool,
    ) -> Result<Response<Content>, Rejection> {
        head::check(&parts)?;
        if let Some(probe) = Probe::at(parts.uri.path()) {
            let readiness = self.serving.get().map(|serving| &serving.readiness);
            let response = probe.respond(&parts.method, self.lifecycle.phase(), readiness).await?;
            return Ok(response.map(Content::Host));
        }
        if admission == Admission::HealthOnly {
            return Err(Rejection::TooManyConnections);
        }
        let serving = self.serving.get().ok_or(Rejection::Starting)?;
        if head::is_server_wide(&parts) {
            let mut response = Response::new(Content::Host(Full::default()));
            *response.status_mut() = StatusCode::NO_CONTENT;
            return Ok(response);
        }
        if explorer::contains(parts.uri.path()) {
            return Ok(explorer::respond(&parts)?.map(Content::Host));
        }

        head::remove_connection_fields(&mut parts.headers, &[REQUEST_ID]);
        let deadline = self.limits.deadline();
        self.limits.check_capacity()?;
        let body = self.limits.read_body(body, deadline).await?;
        *unread = matches!(body.body, RequestBody::TooLarge(_));
        body.body.set_content_length(&mut parts.headers);
        let permit = self.limits.admit()?;
        let left = deadline.saturating_duration_since(Instant::now());
        // In place of what the client has sent.
        parts.headers.insert(DEADLINE, u64::try_from(left.as_millis()).unwrap_or(u64::MAX).into());
        let request = Request::from_parts(parts, body.body);
        // Pinned only now: another module may have been promoted while the body arrived.
        let pin = serving.slot.pin();
        let module = pin.module.module;
        record.set_module(module);
        let guest = Arc::clone(&pin.module.guest);
        let context = CallContext {
            request_id: Arc::clone(id),
            deadline,
            withdrawn: pin.withdrawn,
            stream_end: self.stream_end(&pin.module),
            call_guard: Box::new((permit, body.share, pin.permit, guard.begin_call())),
            guard: pin.module,
        };
        let response = guest.call(request, context).await;
        response.map(|body| body.map(Content::Guest)).map_err(|failure| Rejection::Guest { module, failure })
    }
}

/// What belongs to a request besides its head and its body.
struct Exchange<'a, G> {
    id: &'a Arc<str>,
    record: &'a mut AccessRecord,
    guard: &'a G,
}

/// The client's request id if it is valid, else a new UUID.
fn identify(headers: &HeaderMap) -> (Arc<str>, HeaderValue) {
    let mut given = headers.get_all(REQUEST_ID).iter();
    if let (Some(value), None) = (given.next(), given.next())
        && let Ok(text) = value.to_str()
        && (1..=MAX_REQUEST_ID).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return (Arc::from(text), value.clone());
    }
    new_request_id()
}

/// A new UUID.
pub fn new_request_id() -> (Arc<str>, HeaderValue) {
    let mut buffer = uuid::Uuid::encode_buffer();
    let text: &str = uuid::Uuid::new_v4().hyphenated().encode_lower(&mut buffer);
    // A UUID is a valid field value. The alternative is never used, and avoids a panic in the code.
    let value = HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"));
    (Arc::from(text), value)
}
