//! One connection: HTTP/1.1 on one socket, until the client disconnects, a timeout expires, or the service stops.

use std::{future::Future, pin::Pin, sync::Arc, task::Poll};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::Semaphore, time::Instant};

use crate::{
    http::{
        activity::{Activity, ActivityTracker, InFlightCount, Timeouts},
        final_response::{FinalResponse, rejection_of_parse_error},
        limits::{LimitError, MAX_FIELDS, MAX_HEAD},
        metered_body::{BodyMeter, MeteredBody},
        rejection::Rejection,
        service::{Admission, Service},
        socket::TrackedSocket,
    },
    lifecycle::shutdown::{Lifecycle, Phase},
};

/// Maximum number of bytes that hyper buffers when it reads. It accepts heads up to about this size and gives up on
/// larger ones; `limits` has the exact bound, which is well below.
const READ_BUFFER: usize = 2 * MAX_HEAD;

/// Serves HTTP/1.1 on `socket`.
pub async fn serve(
    socket: TcpStream,
    service: Arc<Service>,
    admission: Admission,
    timeouts: Timeouts,
    in_flight: InFlightCount,
    watches: Arc<Semaphore>,
) {
    let tracker = ActivityTracker::new(in_flight);
    let meter = BodyMeter::new(service.limits.max_frames());
    let socket = TrackedSocket::new(socket, tracker.clone(), meter.clone(), watches);
    let handler = {
        let (tracker, service) = (tracker.clone(), Arc::clone(&service));
        service_fn(move |request: Request<Incoming>| {
            let guard = tracker.start_request(request.version());
            let request = request.map(|body| MeteredBody::new(body, meter.clone()));
            let service = Arc::clone(&service);
            async move { service.handle(request, admission, guard).await }
        })
    };
    let mut connection = http1::Builder::new()
        .max_buf_size(READ_BUFFER)
        .max_headers(MAX_FIELDS)
        .half_close(true)
        .serve_connection(TokioIo::new(socket), handler);
    let timeouts = timeouts.for_admission(admission);
    let end = drive(Pin::new(&mut connection), &tracker, timeouts, &service.lifecycle).await;

    // Read first, because `into_parts` drops the request in flight, which changes the activity.
    let activity = tracker.get();
    if matches!(end, End::TimedOut | End::Failed) && !activity.is_between_responses() {
        tracker.set(Activity::Cut);
    }
    let parts = connection.into_parts();
    finish(parts.io.into_inner(), &tracker, activity, &end, &parts.read_buf, &service).await;
}

/// Why a connection is no longer driven.
#[derive(Debug)]
enum End {
    /// hyper has finished with it.
    Done(hyper::Result<()>),
    /// Its present activity has timed out.
    TimedOut,
    /// Its response has failed, and its client does not read what came before.
    Failed,
    /// The service cuts all connections.
    Cut,
}

/// Polls `connection` until it ends, or until its activity times out.
async fn drive<F>(
    mut connection: Pin<&mut F>,
    tracker: &ActivityTracker,
    timeouts: Timeouts,
    lifecycle: &Lifecycle,
) -> End
where
    F: Future<Output = hyper::Result<()>>,
{
    let mut phases = lifecycle.subscribe();
    let mut timer = std::pin::pin!(tokio::time::sleep_until(tracker.deadline(timeouts, lifecycle.phase())));
    while lifecycle.phase() != Phase::Cutting {
        let phase_changed = phases.changed();
        let mut phase_changed = std::pin::pin!(phase_changed);
        let ended = std::future::poll_fn(|context| {
            let mut polled = connection.as_mut().poll(context);
            // hyper reads a body at the next poll after the body was requested. Without other connections, that poll
            // would follow immediately; under load, it would follow after all other connections.
            if polled.is_pending() && tracker.take_started() {
                polled = connection.as_mut().poll(context);
            }
            if let Poll::Ready(output) = polled {
                return Poll::Ready(Some(End::Done(output)));
            }
            if tracker.poll_failed(context) {
                return Poll::Ready(Some(End::Failed));
            }
            if phase_changed.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            // The activity changes only while the connection is polled, so it is enough to look at it here. A timer
            // that is too early for the present activity is reset only when it fires.
            loop {
                let (now, watch) = (Instant::now(), tracker.watch_starts_at());
                let deadline = tracker.deadline(timeouts, lifecycle.phase());
                if deadline <= now {
                    return Poll::Ready(Some(End::TimedOut));
                }
                if watch.is_some_and(|watch| watch <= now) {
                    // The socket begins with it at the next poll.
                    tracker.start_watch();
                    return Poll::Ready(None);
                }
                let next = watch.map_or(deadline, |watch| watch.min(deadline));
                if timer.deadline() > next || timer.is_elapsed() {
                    timer.as_mut().reset(next);
                }
                if timer.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await;
        if let Some(end) = ended {
            return end;
        }
    }
    End::Cut
}

/// Writes a final response if one is due, and closes or resets the socket.
async fn finish(
    mut socket: TrackedSocket,
    tracker: &ActivityTracker,
    activity: Activity,
    end: &End,
    unread: &[u8],
    service: &Service,
) {
    tracing::debug!(event = "connection.closed", ?end, doing = ?activity, "connection closed");
    if !activity.is_between_responses() {
        // Without a Content-Length, an HTTP/1.0 client takes an orderly close for the end of the response. So a
        // response that is incomplete is reset. If the client itself has disconnected, a close is enough.
        if matches!(end, End::Done(Ok(())) | End::TimedOut | End::Failed | End::Cut) || has_body_failed(end) {
            tracker.set(Activity::Cut);
        }
        return;
    }
    let withheld = socket.take_withheld();
    if let Some(rejection) = final_rejection(end, unread) {
        let response = FinalResponse::new(rejection, service.module());
        if socket.write_last(&response.to_bytes()).await {
            response.sent();
        }
        socket.close().await;
    } else if !withheld.is_empty() {
        socket.write_last(&withheld).await;
        socket.close().await;
    } else if matches!(end, End::Done(Ok(()))) {
        socket.close().await;
    }
}

/// Whether the body of a response has failed.
fn has_body_failed(end: &End) -> bool {
    matches!(end, End::Done(Err(error)) if error.is_user())
}

/// The rejection to send to a client whose request could not be read.
fn final_rejection(end: &End, unread: &[u8]) -> Option<Rejection> {
    match end {
        End::Done(Err(error)) => rejection_of_parse_error(error, unread),
        // RFC 9112, section 2.2: an empty line before a request is not part of it.
        End::TimedOut if !unread.trim_ascii_start().is_empty() => Some(LimitError::HeadTimeout.into()),
        End::Done(Ok(())) | End::TimedOut | End::Failed | End::Cut => None,
    }
}
