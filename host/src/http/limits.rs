//! The limits of the service: concurrent requests, the size of heads and bodies, the duration of a request.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Uri};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Duration, Instant, Sleep, sleep_until},
};

use crate::{
    config::LimitsConfig,
    http::{
        body_budget::{BodyBudget, BodyShare},
        pace::Pace,
    },
    lifecycle::memory,
    sandbox::request_body::{RequestBody, TooLarge},
};

/// Maximum size of a request head, in bytes: the request line and the header fields, as they are written.
pub const MAX_HEAD: usize = 32 * 1024;
/// Maximum number of header fields in a request.
pub const MAX_FIELDS: usize = 100;
/// Maximum size of a body that is read only to be discarded, in bytes. It may already be on its way, in the buffers of
/// both ends.
const MAX_DRAINED: usize = 64 * 1024;
/// Maximum number of frames of a body, for each MiB that it may have: chunks of 16 bytes. Each costs about as much time as
/// 4 KiB of data.
const FRAMES_PER_MIB: usize = 65_536;
/// How long a rejection waits for such a body: a few round trips, which a client hardly notices.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(250);

/// Why a request is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitError {
    /// The limit of concurrent requests is reached, or their bodies fill the memory that is set aside for bodies.
    Overloaded,
    /// The head is larger than [`MAX_HEAD`].
    HeadTooLarge,
    /// The head has more than [`MAX_FIELDS`] fields.
    TooManyFields,
    /// The target alone is larger than [`MAX_HEAD`].
    TargetTooLong,
    /// The head had started to arrive, and was not complete when its timeout expired.
    HeadTimeout,
    /// The body was not complete at the request's deadline.
    BodyTimeout,
    /// The body arrives too slowly.
    BodyTooSlow,
    /// The body ended early, or its framing was invalid.
    BodyMalformed,
    /// The body consists of too many frames, or there are too many bytes around its data.
    BodyPadded,
}

/// The limits of the whole service. Clones share them.
#[derive(Clone, Debug)]
pub struct Limits {
    requests: Arc<Semaphore>,
    max_concurrent: u32,
    bodies: BodyBudget,
    max_body: usize,
    request_timeout: Duration,
}

/// Permits one request to be in the component. Released on drop.
#[derive(Debug)]
pub struct RequestPermit(#[allow(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// A request body, and its share of the memory that is set aside for bodies.
#[derive(Debug, Default)]
pub struct BufferedBody {
    /// The body.
    pub body: RequestBody,
    /// Must live as long as the body.
    pub share: Option<BodyShare>,
}

impl Limits {
    /// The limits that `config` sets.
    pub fn new(config: &LimitsConfig) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(config.max_concurrent.into())),
            max_concurrent: config.max_concurrent.into(),
            bodies: BodyBudget::new(config.max_buffered.bytes(), config.max_body.bytes()),
            max_body: config.max_body.bytes(),
            request_timeout: config.request_timeout.0,
        }
    }

    /// Logs a warning if the instances that `config` allows may together need more memory than this process may use.
    pub fn warn_of_memory(config: &LimitsConfig) {
        let max_memory = u64::try_from(config.max_memory.bytes()).unwrap_or(u64::MAX);
        let needed = max_memory.saturating_mul(config.max_concurrent.into());
        let available = memory::limit();
        if needed > available {
            tracing::warn!(
                event = "memory.overcommitted",
                max_memory,
                max_concurrent = config.max_concurrent,
                needed,
                available,
                "all instances together may need more memory than this process may use; lower --max-concurrent or \
                 --max-memory, or allow the process more memory"
            );
        }
    }

    /// The deadline of a request that starts now.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.request_timeout
    }

    /// Maximum number of frames of a body.
    pub fn max_frames(&self) -> usize {
        self.max_body.div_ceil(1024 * 1024).saturating_mul(FRAMES_PER_MIB)
    }

    /// Checks the size of a request head.
    ///
    /// # Errors
    ///
    /// [`LimitError::TargetTooLong`] or [`LimitError::HeadTooLarge`].
    pub fn check_head(method: &Method, target: &Uri, fields: &HeaderMap) -> Result<(), LimitError> {
        /// Bytes around a name and a value: a colon, a space, and the end of the line.
        const DELIMITERS: usize = 4;
        /// Bytes of a request line beside its method and its target: two spaces, the version, and the end of the line.
        const REQUEST_LINE: usize = 2 + "HTTP/1.1".len() + 2;
        let target = target_length(target);
        if target > MAX_HEAD {
            return Err(LimitError::TargetTooLong);
        }
        let fields: usize =
            fields.iter().map(|(name, value)| name.as_str().len() + value.len() + DELIMITERS).sum();
        let line = method.as_str().len().saturating_add(target).saturating_add(REQUEST_LINE);
        if line.saturating_add(fields) > MAX_HEAD { Err(LimitError::HeadTooLarge) } else { Ok(()) }
    }

    /// Rejects a request before its body is read, if it could not be admitted now.
    ///
    /// # Errors
    ///
    /// [`LimitError::Overloaded`].
    pub fn check_capacity(&self) -> Result<(), LimitError> {
        if self.requests.available_permits() == 0 { Err(LimitError::Overloaded) } else { Ok(()) }
    }

    /// Admits one more request.
    ///
    /// # Errors
    ///
    /// [`LimitError::Overloaded`], immediately: requests do not queue.
    pub fn admit(&self) -> Result<RequestPermit, LimitError> {
        Arc::clone(&self.requests).try_acquire_owned().map(RequestPermit).map_err(|_| LimitError::Overloaded)
    }

    /// Waits until no request is in the component.
    pub async fn wait_until_idle(&self) {
        let _ = self.requests.acquire_many(self.max_concurrent).await;
    }

    /// Reads a whole body. A slow upload occupies a connection, never an instance, and is rejected before it can occupy memory
    /// for long.
    ///
    /// A body whose announced length is too large is not read; otherwise reading stops at the limit. In both cases the
    /// component decides on the response.
    ///
    /// # Errors
    ///
    /// [`LimitError::BodyTimeout`], [`LimitError::BodyTooSlow`] or [`LimitError::Overloaded`], or the error of the body.
    pub async fn read_body<B>(&self, mut body: B, deadline: Instant) -> Result<BufferedBody, LimitError>
    where
        B: Body<Data = Bytes, Error = LimitError> + Unpin,
    {
        if body.is_end_stream() {
            return Ok(BufferedBody::default());
        }
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > self.max_body {
            return Ok(self.too_large());
        }
        let mut whole = Bytes::new();
        let mut joined = BytesMut::new();
        let mut share = self.bodies.share(announced);
        let mut pace = Pace::begin(Instant::now());
        let mut timer = pin!(sleep_until(deadline.min(pace.deadline())));
        while let Some(frame) = next_frame(&mut body, timer.as_mut(), &pace, deadline).await? {
            // A trailer section is read and discarded: no handler uses it.
            let Ok(data) = frame.into_data() else { continue };
            let length = whole.len().saturating_add(joined.len()).saturating_add(data.len());
            if length > self.max_body {
                return Ok(self.too_large());
            }
            pace.add(data.len(), Instant::now());
            if !share.grow(data.len()) {
                return Err(LimitError::Overloaded);
            }
            // Most bodies arrive in one piece, which is passed on without a copy.
            if length == data.len() {
                whole = data;
            } else {
                joined.extend_from_slice(&std::mem::take(&mut whole));
                joined.extend_from_slice(&data);
            }
        }
        let bytes = if joined.is_empty() { whole } else { joined.freeze() };
        Ok(BufferedBody { body: RequestBody::Whole(Full::new(bytes)), share: Some(share) })
    }

    /// Reads and discards the rest of the body of a rejected request. Returns whether the body has ended, so that what
    /// follows on the connection is the next request.
    ///
    /// Waiting for a body that is large or slow would cost the client more than a new connection.
    pub async fn drain_body<B>(body: B) -> bool
    where
        B: Body<Data = Bytes, Error = LimitError> + Unpin,
    {
        if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > MAX_DRAINED) {
            return false;
        }
        tokio::time::timeout(DRAIN_TIMEOUT, discard(body)).await.unwrap_or(false)
    }

    fn too_large(&self) -> BufferedBody {
        let max = u64::try_from(self.max_body).unwrap_or(u64::MAX);
        BufferedBody { body: RequestBody::TooLarge(TooLarge::new(max)), share: None }
    }
}

/// Waits for the next part of a body, until the deadline of the request or of its pace.
async fn next_frame<B>(
    body: &mut B,
    mut timer: Pin<&mut Sleep>,
    pace: &Pace,
    deadline: Instant,
) -> Result<Option<Frame<Bytes>>, LimitError>
where
    B: Body<Data = Bytes, Error = LimitError> + Unpin,
{
    poll_fn(|context| {
        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(context) {
            return Poll::Ready(frame.transpose());
        }
        while timer.as_mut().poll(context).is_ready() {
            // A timer that is too early by now is reset only when it fires.
            let latest = deadline.min(pace.deadline());
            if latest <= timer.deadline() {
                let is_over = deadline <= pace.deadline();
                let error = if is_over { LimitError::BodyTimeout } else { LimitError::BodyTooSlow };
                return Poll::Ready(Err(error));
            }
            timer.as_mut().reset(latest);
        }
        Poll::Pending
    })
    .await
}

/// The length of a target as it is written, in bytes: a path, alone or after a scheme and an authority.
fn target_length(uri: &Uri) -> usize {
    const AFTER_SCHEME: usize = "://".len();
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    let scheme = uri.scheme_str().map_or(0, |scheme| scheme.len() + AFTER_SCHEME);
    scheme.saturating_add(authority).saturating_add(path)
}

/// Whether `body` ends within [`MAX_DRAINED`] bytes.
async fn discard<B>(mut body: B) -> bool
where
    B: Body<Data = Bytes, Error = LimitError> + Unpin,
{
    let mut left = MAX_DRAINED;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return false };
        left = rest;
    }
    true
}
