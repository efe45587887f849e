//! One connection: HTTP/1.1 on one socket, and the clock that ends it when it lingers.
//!
//! hyper's own header timeout cannot tell a silent connection from a slow request. Here one timer watches
//! the connection through its phases: idle, receiving a head, busy.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::{
    config::LimitsConfig,
    limits::MAX_HEAD,
    service::{Admission, Service},
    shutdown::{Lifecycle, Phase},
};

/// What a connection may hold back of what it reads, in bytes. hyper takes in heads up to about this and
/// answers 431 to larger ones; the exact bound, well below, is in `limits`.
const READ_BUFFER: usize = 2 * MAX_HEAD;
/// The most fields in a head; beyond it 431.
const MAX_FIELDS: usize = 100;
/// How long a busy connection may outlast the time of its request, to write an answer to a slow reader.
const GRACE: Duration = Duration::from_secs(2);
/// How long a silent connection is kept once no more are accepted: a client that has just connected, or has
/// just read an answer, may be about to ask.
const LINGER: Duration = Duration::from_secs(1);
/// How long a connection beyond the limit is listened to: long enough to be told so, or for a health probe.
const SPARE_PATIENCE: Duration = Duration::from_secs(2);
/// Bytes read at once of what is no longer wanted.
const DISCARD: usize = 4096;

/// How long a connection may stay in each of its phases.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    idle: Duration,
    head: Duration,
    busy: Duration,
}

impl From<&LimitsConfig> for Patience {
    fn from(config: &LimitsConfig) -> Self {
        Self {
            idle: config.idle_timeout.0,
            head: config.header_timeout.0,
            busy: config.request_timeout.0.saturating_add(GRACE),
        }
    }
}

impl Patience {
    fn with(self, admission: Admission) -> Self {
        match admission {
            Admission::Full => self,
            Admission::HealthOnly => Self { idle: SPARE_PATIENCE, head: SPARE_PATIENCE, busy: self.busy },
        }
    }
}

/// How many requests are under way on all connections.
#[derive(Clone, Debug, Default)]
pub struct BusyCount(Arc<AtomicUsize>);

impl BusyCount {
    /// The present count.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Serves HTTP/1.1 on `socket` until the client leaves, patience ends, or the service does.
pub async fn serve(
    socket: TcpStream,
    service: Arc<Service>,
    admission: Admission,
    patience: Patience,
    busy: BusyCount,
) {
    let lifecycle = service.lifecycle.clone();
    let clock = Clock::new();
    let watched = Watched { socket, clock: clock.clone() };
    let handler = {
        let clock = clock.clone();
        service_fn(move |request| {
            let guard = Busy::enter(clock.clone(), busy.clone());
            let service = Arc::clone(&service);
            async move { service.handle(request, admission, guard).await }
        })
    };
    let connection = http1::Builder::new()
        .max_buf_size(READ_BUFFER)
        .max_headers(MAX_FIELDS)
        .half_close(false)
        .serve_connection(TokioIo::new(watched), handler);
    watch(connection, clock, patience.with(admission), &lifecycle).await;
}

/// Drives `connection` until it ends, or until it has outlasted its phase.
///
/// If an answer is under way then, or its body has failed, the socket is reset instead of closed: without a
/// Content-Length, an HTTP/1.0 client takes an orderly end for the end of the answer.
async fn watch<F>(connection: F, clock: Clock, patience: Patience, lifecycle: &Lifecycle)
where
    F: Future<Output = hyper::Result<()>>,
{
    let mut connection = std::pin::pin!(connection);
    match drive(connection.as_mut(), &clock, patience, lifecycle).await {
        Some(Ok(())) => {}
        Some(Err(error)) => {
            tracing::debug!(%error, "a connection broke off");
            if error.is_user() {
                clock.set(Doing::Cut);
            }
        }
        None => {
            tracing::debug!("a connection was closed for its silence, or at the end of the service");
            if clock.get().0 == Doing::Busy {
                clock.set(Doing::Cut);
            }
        }
    }
}

/// Polls `connection` until it ends; none if it has to be ended.
async fn drive<F: Future>(
    mut connection: Pin<&mut F>,
    clock: &Clock,
    patience: Patience,
    lifecycle: &Lifecycle,
) -> Option<F::Output> {
    let mut phases = lifecycle.subscribe();
    let mut timer = std::pin::pin!(tokio::time::sleep_until(clock.due(patience, lifecycle.phase())));
    while lifecycle.phase() != Phase::Cutting {
        let advanced = phases.changed();
        let mut advanced = std::pin::pin!(advanced);
        let ended = std::future::poll_fn(|context| {
            if let Poll::Ready(output) = connection.as_mut().poll(context) {
                return Poll::Ready(Some(Some(output)));
            }
            if advanced.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            // The connection moves through its phases only while it is polled, so that looking here is
            // enough. A timer that is early for the present phase is only set anew once it fires.
            loop {
                let due = clock.due(patience, lifecycle.phase());
                if due <= Instant::now() {
                    return Poll::Ready(Some(None));
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
    None
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Idle,
    Head,
    Busy,
    /// All is answered, and the client is given a moment to read it before the socket is closed.
    Closing,
    /// The socket is to be reset.
    Cut,
}

/// What a connection is doing, and since when. Shared by its socket, its request and its timer, which all
/// live in one task: the lock is never waited for.
#[derive(Clone, Debug)]
struct Clock(Arc<Mutex<(Doing, Instant)>>);

impl Clock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((Doing::Idle, Instant::now()))))
    }

    fn get(&self) -> (Doing, Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, doing: Doing) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (doing, Instant::now());
    }

    /// When this has gone on for too long.
    fn due(&self, patience: Patience, phase: Phase) -> Instant {
        let (doing, since) = self.get();
        match (doing, phase) {
            (Doing::Idle, Phase::Stopping(stopped)) => stopped.max(since + LINGER),
            (Doing::Idle, _) => since + patience.idle,
            (Doing::Head, _) => since + patience.head,
            (Doing::Busy, _) => since + patience.busy,
            (Doing::Closing | Doing::Cut, _) => since + LINGER,
        }
    }
}

/// A request under way: from its head to the last byte of its answer.
struct Busy {
    clock: Clock,
    count: BusyCount,
}

impl Busy {
    fn enter(clock: Clock, count: BusyCount) -> Self {
        clock.set(Doing::Busy);
        count.0.fetch_add(1, Ordering::Relaxed);
        Self { clock, count }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        // Unless the connection is being cut under it.
        if self.clock.get().0 == Doing::Busy {
            self.clock.set(Doing::Idle);
        }
        self.count.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A socket that tells the clock when the first byte of a request arrives.
struct Watched {
    socket: TcpStream,
    clock: Clock,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.clock.get().0 == Doing::Cut {
            // Not to wait at the end of a connection is to reset it.
            let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(context, buffer);
        if buffer.filled().len() > before && self.clock.get().0 == Doing::Idle {
            self.clock.set(Doing::Head);
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    /// Closes in stages (RFC 9112, section 9.6): what a client has sent meanwhile is read and thrown away
    /// until it closes its side, for closing over unread bytes would reset the connection and could cost the
    /// client the answer that it has not read yet.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.clock.get().0 != Doing::Closing {
            ready!(Pin::new(&mut self.socket).poll_shutdown(context))?;
            self.clock.set(Doing::Closing);
        }
        let mut scratch = [0; DISCARD];
        loop {
            let mut unwanted = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut self.socket).poll_read(context, &mut unwanted));
            if read.is_err() || unwanted.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}
