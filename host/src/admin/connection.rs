//! One connection of an operator: one request, its response, and an orderly close.

use std::{convert::Infallible, sync::Arc};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Semaphore, oneshot},
    time::{Duration, timeout},
};

use super::{endpoint::Stream, response::Content, socket::ObservedSocket, stage::Stage};

/// Maximum number of bytes that hyper buffers when it reads. It answers a larger head, for example one with a long method,
/// with 431; a token, a path and the number of an event need less than 1 KiB.
pub(super) const READ_BUFFER: usize = 32 << 10;
/// Number of bytes that the kernel takes from the host before the client has read them; the kernel doubles it. So the host
/// soon notices a client that does not read.
const SEND_BUFFER: usize = 16 << 10;
/// Maximum number of connections of operators that have their response, and may continue to send.
pub(super) const MAX_LINGERING: usize = 32;
/// How long such a client may continue to send. A close would reset the connection, and the client could miss the response.
const LINGER: Duration = Duration::from_secs(2);
/// Maximum number of bytes that it may send in that time.
const LINGER_BYTES: u64 = 256 << 20;

/// An accepted connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: Box<dyn Stream>,
    pub(super) stage: Arc<Stage>,
    /// Fails once a newcomer has to close, or is no newcomer any more.
    pub(super) pushed_out: oneshot::Receiver<()>,
}

/// Why a connection ends.
enum End {
    /// hyper has finished with it.
    Done(hyper::Result<()>),
    TimedOut,
    PushedOut,
}

impl Connection {
    /// Passes the one request of the connection to `handle`, and closes the connection once it has the response.
    pub(super) async fn serve<H, F>(self, handle: H, lingering: &Semaphore)
    where
        H: Fn(Request<Incoming>) -> F,
        F: Future<Output = Response<Content>>,
    {
        let Self { socket, stage, mut pushed_out } = self;
        if let Err(error) = SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER) {
            return log_failure(&stage, &error.to_string());
        }
        let handler = service_fn(|request| {
            let response = handle(request);
            async move { Ok::<_, Infallible>(response.await) }
        });
        let socket = TokioIo::new(ObservedSocket { socket, stage: Arc::clone(&stage) });
        let mut connection = http1::Builder::new()
            .max_buf_size(READ_BUFFER)
            .keep_alive(false)
            .serve_connection(socket, handler);
        let end = tokio::select! {
            // A request that has arrived is handled, whatever else has happened.
            biased;
            done = &mut connection => End::Done(done),
            () = has_to_leave(&stage, &mut pushed_out) => End::PushedOut,
            () = stage.ended() => End::TimedOut,
        };
        match end {
            End::Done(Ok(())) => {}
            // hyper has sent a response to a head that it cannot read.
            End::Done(Err(error)) => log_failure(&stage, &error.to_string()),
            End::TimedOut => return log_failure(&stage, "the client takes too long"),
            End::PushedOut => {
                return log_failure(&stage, "too many connections without an operator's request");
            }
        }
        let socket = connection.into_parts().io.into_inner().socket;
        if stage.is_newcomer() {
            tokio::select! {
                () = close(socket) => {}
                () = has_to_leave(&stage, &mut pushed_out) => {}
                () = stage.ended() => {}
            }
        } else {
            stage.release_place();
            if let Ok(_place) = lingering.try_acquire() {
                close(socket).await;
            }
        }
    }
}

/// Waits until a connection without an authenticated request was pushed out by a newer one.
async fn has_to_leave(stage: &Stage, pushed_out: &mut oneshot::Receiver<()>) {
    let _ = pushed_out.await;
    if !stage.is_newcomer() {
        std::future::pending::<()>().await;
    }
}

fn log_failure(stage: &Stage, error: &str) {
    let client = stage.client.map(tracing::field::display);
    tracing::debug!(event = "admin.connection_failed", client, error, "operator connection failed");
}

/// Closes in two stages, so that a reset does not destroy the response while the client still sends its request.
async fn close(mut socket: Box<dyn Stream>) {
    let _ = socket.shutdown().await;
    let discard = async { tokio::io::copy(&mut socket.take(LINGER_BYTES), &mut tokio::io::sink()).await };
    let _ = timeout(LINGER, discard).await;
}
