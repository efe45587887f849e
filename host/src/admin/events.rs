//! What happens, as server-sent events (HTML Standard, section 9.2).

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
    desk::Desk,
    response::{Content, Refusal},
};
use crate::rollout::{events::Event, roster::Roster};

/// How often something is sent where nothing happens, so that a connection that is broken is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

impl Desk {
    /// Those after the one that `Last-Event-ID` names, and all that follow; without it only what follows.
    pub(super) fn events<B>(&self, request: &Request<B>) -> Result<Response<Content>, Refusal> {
        let roster = &self.swapper.roster;
        let after = match request.headers().get("last-event-id") {
            None => roster.last_event(),
            Some(id) => id.to_str().ok().and_then(|id| id.parse().ok()).ok_or_else(|| {
                Refusal::new(StatusCode::BAD_REQUEST, "Last-Event-ID is the number of an event, such as 7.")
            })?,
        };
        // A number of another process, from before a restart: begin anew.
        let after = if after > roster.last_event() { 0 } else { after };
        let stream = Stream { waiting: VecDeque::new(), more: Box::pin(more(Arc::clone(roster), after)) };
        let mut answer = Response::new(stream.boxed_unsync());
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(answer)
    }
}

type More = Pin<Box<dyn Future<Output = (Vec<Event>, Arc<Roster>, u64)> + Send>>;

/// Ends with the connection.
struct Stream {
    waiting: VecDeque<Bytes>,
    more: More,
}

/// What has happened after the event of this number; nothing, if nothing has for a while.
async fn more(roster: Arc<Roster>, after: u64) -> (Vec<Event>, Arc<Roster>, u64) {
    let mut last = roster.subscribe();
    let _ = timeout(HEARTBEAT, last.wait_for(|last| *last > after)).await;
    let events = roster.events_after(after);
    let after = events.last().map_or(after, |event| event.number);
    (events, roster, after)
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.waiting.is_empty() {
            let Poll::Ready((events, roster, after)) = self.more.as_mut().poll(context) else {
                return Poll::Pending;
            };
            self.more = Box::pin(more(roster, after));
            self.waiting.extend(events.iter().map(written));
            if events.is_empty() {
                self.waiting.push_back(Bytes::from_static(b":\n\n"));
            }
        }
        Poll::Ready(self.waiting.pop_front().map(|bytes| Ok(Frame::data(bytes))))
    }
}

fn written(event: &Event) -> Bytes {
    let data = serde_json::to_string(event).unwrap_or_default();
    Bytes::from(format!("id: {}\ndata: {data}\n\n", event.number))
}
