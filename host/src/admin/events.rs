//! The events of rollouts, as server-sent events (HTML Standard, section 9.2).

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::time::{Duration, timeout};

use super::{
    api::AdminApi,
    response::{ApiError, Content},
};
use crate::rollout::{events::Event, roster::Roster};

/// How often a comment is sent while there are no events, so that both sides notice a broken connection.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A comment of the event stream.
const COMMENT: &[u8] = b":\n\n";

impl AdminApi {
    /// The events after the one that `Last-Event-ID` names, and all later ones. Without that field, only later ones.
    pub(super) fn events<B>(&self, request: &Request<B>) -> Result<Response<Content>, ApiError> {
        let roster = &self.rollouts.roster;
        let after = match request.headers().get("last-event-id") {
            None => roster.last_event(),
            Some(id) => id.to_str().ok().and_then(|id| id.parse().ok()).ok_or_else(|| {
                ApiError::new(
                    StatusCode::BAD_REQUEST,
                    "Last-Event-ID must be the number of an event, such as 7.",
                )
            })?,
        };
        // A number that is too high comes from the process before a restart: send all events of this process.
        let after = if after > roster.last_event() { 0 } else { after };
        let next = Box::pin(next_events(Arc::clone(roster), after));
        let stream = EventStream { pending: VecDeque::new(), next };
        let mut response = Response::new(stream.boxed_unsync());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

type NextEvents = Pin<Box<dyn Future<Output = (Vec<Event>, Arc<Roster>, u64)> + Send>>;

/// A response body that ends only with its connection. It is polled only while the client reads, so it never holds more
/// than the events that the roster keeps.
struct EventStream {
    pending: VecDeque<Bytes>,
    next: NextEvents,
}

/// Waits for events after the one with this number. Returns them, with the number of the last one; no events if none
/// occurred within [`HEARTBEAT`].
async fn next_events(roster: Arc<Roster>, after: u64) -> (Vec<Event>, Arc<Roster>, u64) {
    let mut last = roster.subscribe();
    let _ = timeout(HEARTBEAT, last.wait_for(|last| *last > after)).await;
    let events = roster.events_after(after);
    let after = events.last().map_or(after, |event| event.number);
    (events, roster, after)
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.pending.is_empty() {
            let Poll::Ready((events, roster, after)) = self.next.as_mut().poll(context) else {
                return Poll::Pending;
            };
            self.next = Box::pin(next_events(roster, after));
            self.pending.extend(events.iter().map(encode));
            if events.is_empty() {
                self.pending.push_back(Bytes::from_static(COMMENT));
            }
        }
        Poll::Ready(self.pending.pop_front().map(|bytes| Ok(Frame::data(bytes))))
    }
}

fn encode(event: &Event) -> Bytes {
    let data = serde_json::to_string(event).unwrap_or_default();
    Bytes::from(format!("id: {}\ndata: {data}\n\n", event.number))
}
