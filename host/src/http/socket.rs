//! The socket of one connection, as hyper uses it. It reports to the activity tracker, withholds what hyper writes
//! without a request, and is closed in stages.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    sync::Semaphore,
    time::{Duration, timeout},
};

use crate::http::{
    activity::{Activity, ActivityTracker},
    departure::Departure,
    metered_body::BodyMeter,
};

/// How long the host waits for a client to read a final response, and then to close its side.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes discarded by one read.
const DISCARD: usize = 4096;

/// A socket that reports to the tracker when the first byte of a request arrives, and when a response has been written.
///
/// Between two responses, hyper writes only its own response to an unreadable request, such as an empty 400. Nothing
/// else can be written then, because the tracker is busy from before a request is handed over until all of its response
/// is flushed. The socket withholds those bytes, so that the host can send a better response.
#[allow(missing_debug_implementations, reason = "a future has no readable form")]
pub struct TrackedSocket {
    socket: TcpStream,
    tracker: ActivityTracker,
    meter: BodyMeter,
    withheld: Vec<u8>,
    /// A permit for each client that may be watched: it takes a file.
    watches: Arc<Semaphore>,
    /// Watches the client of a call that lasts, or of a response without a length.
    departure: Option<Departure>,
}

impl TrackedSocket {
    /// Reports the activity on `socket` to `tracker`, and the bytes that are read from it to `meter`.
    /// Clients are watched as long as there are permits in `watches`.
    pub fn new(
        socket: TcpStream,
        tracker: ActivityTracker,
        meter: BodyMeter,
        watches: Arc<Semaphore>,
    ) -> Self {
        Self { socket, tracker, meter, withheld: Vec::new(), watches, departure: None }
    }

    /// The bytes that hyper wrote between two responses, and that were not sent.
    pub fn take_withheld(&mut self) -> Bytes {
        std::mem::take(&mut self.withheld).into()
    }

    /// Writes a final response. Returns whether it could be written, which does not mean that the client reads it.
    pub async fn write_last(&mut self, response: &[u8]) -> bool {
        matches!(timeout(LINGER, self.socket.write_all(response)).await, Ok(Ok(())))
    }

    /// Closes in stages (RFC 9112, section 9.6): shuts down writing, then reads and discards until the client closes
    /// its side. A close with unread bytes would reset the connection, and could cost the client the response that it
    /// has not read yet.
    pub async fn close(mut self) {
        let closed = async {
            self.socket.shutdown().await?;
            let mut discarded = [0; DISCARD];
            while self.socket.read(&mut discarded).await? > 0 {}
            io::Result::Ok(())
        };
        // A client that still sends after this time risks the reset.
        let _ = timeout(LINGER, closed).await;
    }

    fn withholds(&self) -> bool {
        self.tracker.get().is_between_responses()
    }

    /// Reports the result of a write.
    fn track(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => self.tracker.wait_for_reader(),
            Poll::Ready(Ok(bytes)) => self.tracker.add_sent(bytes),
            Poll::Ready(Err(_)) => {}
        }
        written
    }

    /// Whether the client of the present request has left. hyper does not look for that.
    fn has_client_left(&mut self, context: &mut Context<'_>) -> bool {
        let Some(sign) = self.tracker.watch() else {
            self.departure = None;
            return false;
        };
        if self.departure.is_none() {
            self.departure = Departure::watch(&self.socket, &self.watches);
        }
        self.departure.as_mut().is_some_and(|departure| departure.poll(context, sign).is_ready())
    }
}

impl Drop for TrackedSocket {
    fn drop(&mut self) {
        if self.tracker.get() == Activity::Cut {
            // Zero linger time makes the close a reset.
            let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for TrackedSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(context, buffer);
        let read = buffer.filled().len().saturating_sub(before);
        if read > 0 {
            self.meter.count_read(read)?;
            if self.tracker.get() == Activity::Idle {
                self.tracker.set(Activity::ReadingHead);
            }
        }
        polled
    }
}

impl AsyncWrite for TrackedSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.withholds() {
            self.withheld.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.track(written)
    }

    /// hyper flushes only when it has nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(context);
        if matches!(flushed, Poll::Ready(Ok(()))) && self.tracker.get() == Activity::Flushing {
            self.tracker.set(Activity::Idle);
        }
        if self.has_client_left(context) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        flushed
    }

    /// Does nothing: once hyper has released the socket, [`TrackedSocket::close`] shuts it down, after a final response
    /// if one is due.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.withholds() {
            let before = self.withheld.len();
            bytes.iter().for_each(|slice| self.withheld.extend_from_slice(slice));
            return Poll::Ready(Ok(self.withheld.len() - before));
        }
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, bytes);
        self.track(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}
