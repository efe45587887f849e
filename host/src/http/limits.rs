//! The limits of the service: concurrent requests, the size of heads and bodies, the duration of a request.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Duration, Instant},
};

use crate::{
    config::LimitsConfig,
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
    body_bytes: Arc<Semaphore>,
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

/// A share of the memory that is set aside for bodies. Released on drop.
#[derive(Debug)]
pub struct BodyShare(OwnedSemaphorePermit);

impl Limits {
    /// The limits that `config` sets.
    pub fn new(config: &LimitsConfig) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(config.max_concurrent.into())),
            max_concurrent: config.max_concurrent.into(),
            body_bytes: Arc::new(Semaphore::new(config.max_buffered.bytes())),
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

    /// The number of requests that are in the component now.
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.max_concurrent)
            .unwrap_or(usize::MAX)
            .saturating_sub(self.requests.available_permits())
    }

    /// Waits until no request is in the component.
    pub async fn wait_until_idle(&self) {
        let _ = self.requests.acquire_many(self.max_concurrent).await;
    }

    /// Reads a whole body. A slow upload occupies a connection, never an instance.
    ///
    /// A body whose announced length is too large is not read; otherwise reading stops at the limit. In both cases the
    /// component decides on the response.
    ///
    /// # Errors
    ///
    /// [`LimitError::BodyTimeout`] or [`LimitError::Overloaded`], or the error of the body.
    pub async fn read_body<B>(&self, body: B, deadline: Instant) -> Result<BufferedBody, LimitError>
    where
        B: Body<Data = Bytes, Error = LimitError> + Unpin,
    {
        if body.is_end_stream() {
            return Ok(BufferedBody::default());
        }
        if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > self.max_body) {
            return Ok(self.too_large());
        }
        tokio::time::timeout_at(deadline, self.collect(body)).await.map_err(|_| LimitError::BodyTimeout)?
    }

    async fn collect<B>(&self, mut body: B) -> Result<BufferedBody, LimitError>
    where
        B: Body<Data = Bytes, Error = LimitError> + Unpin,
    {
        let mut whole = Bytes::new();
        let mut joined = BytesMut::new();
        let mut share: Option<BodyShare> = None;
        while let Some(frame) = body.frame().await {
            // A trailer section is read and discarded: no handler uses it.
            let Ok(data) = frame?.into_data() else { continue };
            let length = whole.len().saturating_add(joined.len()).saturating_add(data.len());
            if length > self.max_body {
                return Ok(self.too_large());
            }
            self.reserve(&mut share, data.len())?;
            // Most bodies arrive in one piece, which is passed on without a copy.
            if length == data.len() {
                whole = data;
            } else {
                joined.extend_from_slice(&std::mem::take(&mut whole));
                joined.extend_from_slice(&data);
            }
        }
        let bytes = if joined.is_empty() { whole } else { joined.freeze() };
        Ok(BufferedBody { body: RequestBody::Whole(Full::new(bytes)), share })
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

    fn reserve(&self, share: &mut Option<BodyShare>, bytes: usize) -> Result<(), LimitError> {
        let more = u32::try_from(bytes)
            .ok()
            .and_then(|bytes| Arc::clone(&self.body_bytes).try_acquire_many_owned(bytes).ok())
            .ok_or(LimitError::Overloaded)?;
        match share {
            Some(BodyShare(permit)) => permit.merge(more),
            None => *share = Some(BodyShare(more)),
        }
        Ok(())
    }
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
