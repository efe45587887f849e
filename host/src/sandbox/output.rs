//! Turns what a component prints into log lines with the request id.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

/// Maximum length of a log line, in bytes; a longer line is logged in pieces.
const MAX_LINE: usize = 4096;
/// Maximum number of bytes that one request may log; the rest is discarded, and a final line says so. More than any
/// sensible message needs, and less than what would let a guest flood the log.
const MAX_OUTPUT: usize = 64 * 1024;
/// Overhead that a line counts besides its own bytes: about what the log adds to it.
const LINE_COST: usize = 256;
/// Maximum number of bytes accepted in one write.
const WRITE_PERMIT: usize = 64 * 1024;

/// The output of one request: both streams, and the remaining bytes.
#[derive(Debug)]
struct Output {
    request_id: Arc<str>,
    remaining: usize,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// One of the two streams that a component prints to.
#[derive(Clone, Copy, Debug)]
enum Stream {
    /// Standard output, logged at `info`.
    Stdout,
    /// Standard error, logged at `warn`: a panic reports its location there.
    Stderr,
}

impl Output {
    fn new(request_id: Arc<str>) -> Self {
        Self { request_id, remaining: MAX_OUTPUT, stdout: Vec::new(), stderr: Vec::new() }
    }

    fn append(&mut self, stream: Stream, bytes: &[u8]) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let line_ends = part.last() == Some(&b'\n');
            for piece in part.strip_suffix(b"\n").unwrap_or(part).chunks(MAX_LINE) {
                if self.remaining == 0 {
                    return;
                }
                if self.line(stream).len().saturating_add(piece.len()) > MAX_LINE {
                    self.emit(stream);
                }
                self.line(stream).extend_from_slice(piece);
            }
            if line_ends {
                // A line may end as on Windows, also if its last two bytes were written apart.
                let line = self.line(stream);
                line.truncate(line.strip_suffix(b"\r").unwrap_or(line).len());
                self.emit(stream);
            }
        }
    }

    fn line(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    fn emit(&mut self, stream: Stream) {
        let line = std::mem::take(self.line(stream));
        if line.is_empty() || self.remaining == 0 {
            return;
        }
        let request_id = &*self.request_id;
        match self.remaining.checked_sub(line.len().saturating_add(LINE_COST)) {
            Some(remaining) => {
                self.remaining = remaining;
                let text = String::from_utf8_lossy(&line);
                match stream {
                    Stream::Stdout => tracing::info!(target: "guest", request_id, "{text}"),
                    Stream::Stderr => tracing::warn!(target: "guest", request_id, "{text}"),
                }
            }
            None => {
                self.remaining = 0;
                tracing::warn!(target: "guest", request_id, "(output limit of a request exceeded: the rest is discarded)");
            }
        }
    }
}

impl Drop for Output {
    /// Logs an unterminated last line.
    fn drop(&mut self) {
        self.emit(Stream::Stdout);
        self.emit(Stream::Stderr);
    }
}

/// A sink that logs each line written to it.
#[derive(Clone, Debug)]
pub struct LineLog {
    /// `None` between requests.
    output: Arc<Mutex<Option<Output>>>,
    stream: Stream,
}

impl LineLog {
    /// Creates the standard output and standard error of one instance.
    pub fn pair() -> (Self, Self) {
        let output = Arc::new(Mutex::new(None));
        (
            Self { output: Arc::clone(&output), stream: Stream::Stdout },
            Self { output, stream: Stream::Stderr },
        )
    }

    /// Attributes the output of both streams to this request from now on.
    pub fn begin(&self, request_id: Arc<str>) {
        *self.output() = Some(Output::new(request_id));
    }

    /// The id of the current request.
    pub fn request_id(&self) -> Option<Arc<str>> {
        self.output().as_ref().map(|output| Arc::clone(&output.request_id))
    }

    /// Ends the request.
    pub fn end(&self) {
        *self.output() = None;
    }

    fn append(&self, bytes: &[u8]) {
        if let Some(output) = &mut *self.output() {
            output.append(self.stream, bytes);
        }
    }

    fn output(&self) -> MutexGuard<'_, Option<Output>> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IsTerminal for LineLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LineLog {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for LineLog {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.append(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_PERMIT)
    }
}

#[async_trait]
impl Pollable for LineLog {
    async fn ready(&mut self) {}
}

impl AsyncWrite for LineLog {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.append(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
