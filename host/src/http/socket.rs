//! The socket of one connection, as hyper sees it: it tells the clock what passes, keeps back what hyper says
//! on its own, and is closed in stages.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::{Duration, timeout},
};

use crate::http::clock::{Clock, Doing};

/// How long a client is waited for that is to read an answer, and to close its side.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes read at once of what is no longer wanted.
const DISCARD: usize = 4096;

/// A socket that is watched.
///
/// It tells the clock when the first byte of a request arrives, and when an answer has been written. What hyper
/// writes between two answers is a word of its own, such as an empty 400: nothing else can be written there,
/// for the clock is busy from before a request is handed over until all of its answer is flushed. That word
/// is kept back, so that a better one can be said in its place.
#[derive(Debug)]
pub struct Watched {
    socket: TcpStream,
    clock: Clock,
    kept_back: Vec<u8>,
}

impl Watched {
    /// Watches `socket` for `clock`.
    pub fn new(socket: TcpStream, clock: Clock) -> Self {
        Self { socket, clock, kept_back: Vec::new() }
    }

    /// What hyper has said on its own, and nobody has been told.
    pub fn take_kept_back(&mut self) -> Bytes {
        std::mem::take(&mut self.kept_back).into()
    }

    /// Writes a last answer. Whether it could be written says nothing of whether it is read.
    pub async fn write_last(&mut self, answer: &[u8]) -> bool {
        matches!(timeout(LINGER, self.socket.write_all(answer)).await, Ok(Ok(())))
    }

    /// Closes in stages (RFC 9112, section 9.6): what a client has sent meanwhile is read and thrown away
    /// until it closes its side, for closing over unread bytes would reset the connection and could cost the
    /// client the answer that it has not read yet.
    pub async fn close(mut self) {
        let closed = async {
            self.socket.shutdown().await?;
            let mut unwanted = [0; DISCARD];
            while self.socket.read(&mut unwanted).await? > 0 {}
            io::Result::Ok(())
        };
        // Whoever goes on for longer has had its time.
        let _ = timeout(LINGER, closed).await;
    }

    fn keeps_back(&self) -> bool {
        self.clock.doing().is_between_answers()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.clock.doing() == Doing::Cut {
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
        if buffer.filled().len() > before && self.clock.doing() == Doing::Idle {
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
        if self.keeps_back() {
            self.kept_back.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    /// hyper flushes only when it has nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(context);
        if matches!(flushed, Poll::Ready(Ok(()))) && self.clock.doing() == Doing::Flushing {
            self.clock.set(Doing::Idle);
        }
        flushed
    }

    /// Left to [`Watched::close`], once hyper has let go: there may be something to say before.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.keeps_back() {
            let before = self.kept_back.len();
            bytes.iter().for_each(|slice| self.kept_back.extend_from_slice(slice));
            return Poll::Ready(Ok(self.kept_back.len() - before));
        }
        Pin::new(&mut self.socket).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}
