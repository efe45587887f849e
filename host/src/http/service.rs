//! The steps of a request, in their order, and nothing else.
//!
//! 1. it gets an id, which its answer, its log lines and the component all see;
//! 2. a health path and the API explorer are answered here;
//! 3. its body is read, within the limits ([`Limits`]);
//! 4. it is admitted, and the module that serves now is called ([`Slot`]);
//! 5. what failed becomes an answer ([`Reject`]); if only room was wanting, its body is drained before;
//! 6. the answer streams back; its end is logged ([`Answer`]), and everything held for it is released.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts,
};
use http_body::Body;
use http_body_util::Full;

use crate::{
    http::{
        answer::{Access, Answer, Content},
        explorer, head,
        health::Probe,
        limits::Limits,
        reject::Reject,
    },
    lifecycle::shutdown::{Lifecycle, Phase},
    rollout::slot::Slot,
    sandbox::{guest::Terms, request_body::RequestBody},
    store::Store,
};

/// Names a request, in the request, its answer and the log.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request id that is taken from a client, in bytes.
const MAX_REQUEST_ID: usize = 128;

/// What answers requests.
#[allow(missing_debug_implementations, reason = "linked code has nothing to show")]
pub struct Service {
    /// The module that serves.
    pub slot: Arc<Slot>,
    /// What the service takes on.
    pub limits: Limits,
    /// The state store, asked for its health.
    pub store: Arc<dyn Store>,
    /// The phase the service is in.
    pub lifecycle: Lifecycle,
}

/// Whether a connection's requests are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// They are.
    Full,
    /// The connection is one too many: it is told so, though health is still answered.
    HealthOnly,
}

impl Service {
    /// Answers one request. `hold` is dropped when the last byte of the answer has been handed over.
    ///
    /// # Errors
    ///
    /// None: whatever fails becomes an answer, or cuts the answer's body.
    pub async fn handle<B, H>(
        &self,
        request: Request<B>,
        admission: Admission,
        hold: H,
    ) -> Result<Response<Answer<H>>, Infallible>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (mut parts, mut body) = request.into_parts();
        let (id, id_value) = identify(&parts.headers);
        let mut access = Access::begin(&parts, Arc::clone(&id), self.slot.module());
        parts.headers.insert(REQUEST_ID, id_value.clone());
        let path = parts.uri.path().to_owned();
        let asks_first = head::asks_first(&parts);

        // To a client of a proxy, what follows CONNECT is no request.
        let mut unread = !body.is_end_stream() || parts.method == Method::CONNECT;
        let answer = match self.answer(parts, &mut body, admission, &id, &mut access, &mut unread).await {
            Ok(answer) => answer,
            Err(reject) => {
                // Whoever is refused for want of room comes again, and would need another connection for that.
                if unread && reject.is_for_want_of_room() && !asks_first {
                    unread = !Limits::drain(body).await;
                }
                reject.into_response(Some(&path), &id).map(|body| Content::Host(Full::new(body)))
            }
        };

        let (mut head, content) = answer.into_parts();
        head.headers.insert(REQUEST_ID, id_value);
        head.headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // What follows a body that was not read cannot be trusted to be a request.
        if unread || self.lifecycle.phase() != Phase::Serving || admission == Admission::HealthOnly {
            head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        access.answered(&head, &content);
        Ok(Response::from_parts(head, Answer::new(content, access, hold)))
    }

    async fn answer<B>(
        &self,
        mut parts: Parts,
        body: B,
        admission: Admission,
        id: &Arc<str>,
        access: &mut Access,
        unread: &mut bool,
    ) -> Result<Response<Content>, Reject>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        head::check(&parts)?;
        if let Some(probe) = Probe::at(parts.uri.path()) {
            let answer = probe.answer(&parts.method, &self.lifecycle, &*self.store).await?;
            return Ok(answer.map(Content::Host));
        }
        if admission == Admission::HealthOnly {
            return Err(Reject::TooManyConnections);
        }
        if head::is_for_the_server(&parts) {
            let mut answer = Response::new(Content::Host(Full::default()));
            *answer.status_mut() = StatusCode::NO_CONTENT;
            return Ok(answer);
        }
        if explorer::is_at(parts.uri.path()) {
            return Ok(explorer::answer(&parts)?.map(Content::Host));
        }

        let deadline = self.limits.deadline();
        self.limits.check_room()?;
        let body = self.limits.read_body(body, deadline).await?;
        *unread = matches!(body.body, RequestBody::TooLarge(_));
        body.body.announce(&mut parts.headers);
        let permit = self.limits.admit()?;
        let request = Request::from_parts(parts, body.body);
        // Only now: while its body was on its way, another module may have come to serve.
        let serving = self.slot.pin();
        access.served_by(serving.module);
        let guest = Arc::clone(&serving.guest);
        let hold = Arc::new((permit, body.share, serving));
        let terms = Terms { request_id: Arc::clone(id), deadline, hold };
        Ok(guest.call(request, terms).await?.map(Content::Guest))
    }
}

/// The caller's id if it is a good one, else a new UUID.
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
    // A UUID is a valid field value; the alternative only spares a panic here.
    let value = HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"));
    (Arc::from(text), value)
}
