//! Streams: responses without a length whose calls go on after their heads, such as event streams. They may last for long.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use http::{HeaderMap, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The part of all calls, as a divisor, that may be streams at once.
const STREAMS_PART: usize = 2;

/// When a stream has to end: the service stops, or the module was replaced some time ago.
pub type StreamEnd = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The limits of streams.
#[derive(Debug)]
pub struct StreamLimits {
    /// The longest pause between two chunks.
    timeout: Duration,
    permits: Arc<Semaphore>,
}

/// A stream that may last.
#[allow(missing_debug_implementations, reason = "a future has no readable form")]
pub struct Stream {
    /// The longest pause between two chunks.
    pub timeout: Duration,
    /// Resolves when the stream has to end.
    pub end: StreamEnd,
    /// Whether its format allows an end at any time (HTML standard, section 9.2: server-sent events).
    pub has_events: bool,
    #[allow(dead_code, reason = "held for its drop")]
    permit: OwnedSemaphorePermit,
}

impl StreamLimits {
    /// Allows streams in a part of `max_calls` calls.
    pub fn new(timeout: Duration, max_calls: usize) -> Self {
        Self { timeout, permits: Arc::new(Semaphore::new((max_calls / STREAMS_PART).max(1))) }
    }

    /// Begins a stream; `None` if there are too many.
    pub fn begin(&self, head: &HeaderMap, end: StreamEnd) -> Option<Stream> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        let media_type = head.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        let has_events = media_type.eq_ignore_ascii_case("text/event-stream");
        Some(Stream { timeout: self.timeout, end, has_events, permit })
    }
}
