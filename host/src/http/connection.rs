//! One connection: HTTP/1.1 on one socket, until the client leaves, patience ends, or the service does.

use std::{future::Future, pin::Pin, sync::Arc, task::Poll};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::Instant};

use crate::{
    http::{
        clock::{BusyCount, Clock, Doing, Patience},
        limits::{LimitError, MAX_FIELDS, MAX_HEAD},
        refusal::{Refusal, unreadable},
        reject::Reject,
        service::{Admission, Service},
        socket::Watched,
    },
    lifecycle::shutdown::{Lifecycle, Phase},
    rollout::slot::Slot,
};

/// What a connection may hold back of what it reads, in bytes. hyper takes in heads up to about this and
/// gives up on larger ones; the exact bound, well below, is in `limits`.
const READ_BUFFER: usize = 2 * MAX_HEAD;

/// Serves HTTP/1.1 on `socket`.
pub async fn serve(
    socket: TcpStream,
    service: Arc<Service>,
    admission: Admission,
    patience: Patience,
    busy: BusyCount,
) {
    let (lifecycle, slot) = (service.lifecycle.clone(), Arc::clone(&service.slot));
    let clock = Clock::new(busy);
    let watched = Watched::new(socket, clock.clone());
    let handler = {
        let clock = clock.clone();
        service_fn(move |request| {
            let guard = clock.enter();
            let service = Arc::clone(&service);
            async move { service.handle(request, admission, guard).await }
        })
    };
    let mut connection = http1::Builder::new()
        .max_buf_size(READ_BUFFER)
        .max_headers(MAX_FIELDS)
        .half_close(false)
        .serve_connection(TokioIo::new(watched), handler);
    let end = drive(Pin::new(&mut connection), &clock, patience.with(admission), &lifecycle).await;

    // Looked at first: to take the connection apart drops the request under way.
    let doing = clock.doing();
    let parts = connection.into_parts();
    finish(parts.io.into_inner(), &clock, doing, &end, &parts.read_buf, &slot).await;
}

/// Why a connection is not driven any more.
#[derive(Debug)]
enum End {
    /// hyper is done with it.
    Done(hyper::Result<()>),
    /// It has outlasted the phase it was in.
    Overdue,
    /// Everything is cut.
    Cut,
}

/// Polls `connection` until it ends, or until it has outlasted its phase.
async fn drive<F>(
    mut connection: Pin<&mut F>,
    clock: &Clock,
    patience: Patience,
    lifecycle: &Lifecycle,
) -> End
where
    F: Future<Output = hyper::Result<()>>,
{
    let mut phases = lifecycle.subscribe();
    let mut timer = std::pin::pin!(tokio::time::sleep_until(clock.due(patience, lifecycle.phase())));
    while lifecycle.phase() != Phase::Cutting {
        let advanced = phases.changed();
        let mut advanced = std::pin::pin!(advanced);
        let ended = std::future::poll_fn(|context| {
            let mut polled = connection.as_mut().poll(context);
            // hyper reads a body the next time it is polled after the body was asked for. It would be at once if
            // there were no other connections; under load, it would be after all of them.
            if polled.is_pending() && clock.take_begun() {
                polled = connection.as_mut().poll(context);
            }
            if let Poll::Ready(output) = polled {
                return Poll::Ready(Some(End::Done(output)));
            }
            if advanced.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            // The connection moves through its phases only while it is polled, so that looking here is
            // enough. A timer that is early for the present phase is only set anew once it fires.
            loop {
                let due = clock.due(patience, lifecycle.phase());
                if due <= Instant::now() {
                    return Poll::Ready(Some(End::Overdue));
                }
                if timer.deadline() > due || timer.is_elapsed() {
                    timer.as_mut().reset(due);
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

/// Says a last word where there is one to say, and closes.
async fn finish(mut socket: Watched, clock: &Clock, doing: Doing, end: &End, unread: &[u8], slot: &Slot) {
    tracing::debug!(?end, ?doing, "a connection has ended");
    if !doing.is_between_answers() {
        // Without a Content-Length, an HTTP/1.0 client takes an orderly end for the end of the answer: what is
        // under way, or has failed, is reset. If the client itself has left, closing is enough.
        if matches!(end, End::Done(Ok(())) | End::Overdue | End::Cut) || failed(end) {
            clock.set(Doing::Cut);
        }
        return;
    }
    let kept_back = socket.take_kept_back();
    if let Some(reject) = last_word(end, unread) {
        let refusal = Refusal::new(reject, slot.module());
        if socket.write_last(&refusal.bytes()).await {
            refusal.sent();
        }
        socket.close().await;
    } else if !kept_back.is_empty() {
        socket.write_last(&kept_back).await;
        socket.close().await;
    } else if matches!(end, End::Done(Ok(()))) {
        socket.close().await;
    }
}

/// Whether the body of an answer has failed.
fn failed(end: &End) -> bool {
    matches!(end, End::Done(Err(error)) if error.is_user())
}

/// What is still to be said between two answers, to a client whose request could not be read.
fn last_word(end: &End, unread: &[u8]) -> Option<Reject> {
    match end {
        End::Done(Err(error)) => unreadable(error, unread),
        // RFC 9112, section 2.2: an empty line before a request is no part of it.
        End::Overdue if !unread.trim_ascii_start().is_empty() => Some(LimitError::HeadLate.into()),
        End::Done(Ok(())) | End::Overdue | End::Cut => None,
    }
}
