//! The body of a request as it arrives, and the bounds of its framing.
//!
//! hyper bounds neither the number of chunks nor the white space in the line of a chunk's size, and it may read that white
//! space without an end in sight before it yields a frame. So the socket counts the bytes that are read, the body the data
//! that they contain, and the socket fails when they are too far apart.
//!
//! hyper reads from the socket only when it has parsed all that it had read and the frame before was taken. So whatever was
//! read and is not data then is framing. A request that follows the body on the connection is not counted: at most one read
//! contains some of it, and after the last frame nothing is counted.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::http::limits::LimitError;

/// Bytes beyond the data of a body: more than hyper accepts of chunk extensions and trailers, which is 16 KiB each.
const MAX_BEYOND_DATA: u64 = 128 * 1024;
/// Bytes beyond the data for each frame: two line ends, and a size of up to twelve digits.
const MAX_PER_FRAME: u64 = 16;
/// A chunk that arrives in two reads is two frames, so there may be one more for each read of this many bytes. The smallest
/// segment of TCP that is in use, of 536 bytes, is larger.
const READ_PER_FRAME: u64 = 512;

/// Counts what is read of the bodies on one connection. Its socket and the body of its request share it. Both live in one
/// task, so the lock is never contended.
#[derive(Clone, Debug)]
pub struct BodyMeter(Arc<Mutex<Counts>>);

#[derive(Debug)]
struct Counts {
    max_frames: u64,
    /// A body without an announced length is being read.
    active: bool,
    read: u64,
    data: u64,
    frames: u64,
    exceeded: bool,
}

impl BodyMeter {
    /// Bodies may have `max_frames` frames.
    pub fn new(max_frames: usize) -> Self {
        let max_frames = u64::try_from(max_frames).unwrap_or(u64::MAX);
        let counts = Counts { max_frames, active: false, read: 0, data: 0, frames: 0, exceeded: false };
        Self(Arc::new(Mutex::new(counts)))
    }

    /// Counts bytes that were read from the socket.
    ///
    /// # Errors
    ///
    /// If too many bytes before them were not data.
    pub fn count_read(&self, bytes: usize) -> io::Result<()> {
        let mut counts = self.counts();
        if !counts.active {
            return Ok(());
        }
        let allowed = counts.frames.saturating_mul(MAX_PER_FRAME).saturating_add(MAX_BEYOND_DATA);
        counts.exceeded |= counts.read.saturating_sub(counts.data) > allowed;
        counts.read = add(counts.read, bytes);
        if counts.exceeded {
            Err(io::Error::other("too many bytes around the data of a body"))
        } else {
            Ok(())
        }
    }

    /// Counts a frame with this many bytes of data. Returns whether there may be so many frames.
    fn count_frame(&self, data: usize) -> bool {
        let mut counts = self.counts();
        counts.data = add(counts.data, data);
        counts.frames = counts.frames.saturating_add(1);
        counts.frames <= counts.max_frames.saturating_add(counts.read / READ_PER_FRAME)
    }

    fn start(&self) {
        let mut counts = self.counts();
        *counts = Counts { active: true, read: 0, data: 0, frames: 0, exceeded: false, ..*counts };
    }

    fn stop(&self) {
        self.counts().active = false;
    }

    fn is_exceeded(&self) -> bool {
        self.counts().exceeded
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(count: u64, bytes: usize) -> u64 {
    count.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX))
}

/// The body of a request. Its framing is bounded if it has no announced length.
#[derive(Debug)]
pub struct MeteredBody {
    body: Incoming,
    /// `None` for a body with an announced length, whose framing is its length.
    meter: Option<BodyMeter>,
    has_trailers: bool,
}

impl MeteredBody {
    /// Counts `body` with the meter of its connection, from now until it ends or is dropped.
    pub fn new(body: Incoming, meter: BodyMeter) -> Self {
        let meter = body.size_hint().exact().is_none().then_some(meter);
        if let Some(meter) = &meter {
            meter.start();
        }
        Self { body, meter, has_trailers: false }
    }

    /// Whether a trailer section was read, even an empty one.
    ///
    /// Readers may disagree about where it ends. hyper looks for an empty line that ends with a carriage return and a line
    /// feed; other readers also accept a line feed alone, and would take what follows for the next request.
    pub fn has_trailers(&self) -> bool {
        self.has_trailers
    }

    fn check(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, LimitError> {
        self.has_trailers |= frame.is_trailers();
        match &self.meter {
            Some(meter) if !meter.count_frame(frame.data_ref().map_or(0, Bytes::len)) => {
                Err(LimitError::BodyPadded)
            }
            Some(_) | None => Ok(frame),
        }
    }
}

impl Body for MeteredBody {
    type Data = Bytes;
    type Error = LimitError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, LimitError>>> {
        let polled = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => Some(self.check(frame)),
            Some(Err(_)) if self.meter.as_ref().is_some_and(BodyMeter::is_exceeded) => {
                Some(Err(LimitError::BodyPadded))
            }
            Some(Err(_)) => Some(Err(LimitError::BodyMalformed)),
            None => None,
        };
        if let (None | Some(Err(_)), Some(meter)) = (&polled, &self.meter) {
            meter.stop();
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for MeteredBody {
    fn drop(&mut self) {
        if let Some(meter) = &self.meter {
            meter.stop();
        }
    }
}
