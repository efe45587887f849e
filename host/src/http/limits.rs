//! What the service takes on: requests at once, the size of a body, the time a request may take.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Duration, Instant},
};

use crate::{config::LimitsConfig, sandbox::request_body::RequestBody};

/// The largest head of a request, in bytes: its target and its fields, as they are written.
pub const MAX_HEAD: usize = 32 * 1024;
/// The most fields in a head.
pub const MAX_FIELDS: usize = 100;
/// The largest body that is read only to be thrown away, in bytes: it may be on its way already, in the buffers
/// of both ends.
const MAX_DRAINED: usize = 64 * 1024;
/// How long a refusal waits for such a body: a few round trips, and less than anyone minds.
const DRAIN_TIME: Duration = Duration::from_millis(250);

/// Why a request is not taken on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitError {
    /// As many requests as allowed are under way, or their bodies fill the memory set aside for them.
    Overloaded,
    /// The head is larger than [`MAX_HEAD`].
    HeadTooLarge,
    /// The head has more than [`MAX_FIELDS`] fields.
    TooManyFields,
    /// The target alone is larger than [`MAX_HEAD`].
    TargetTooLong,
    /// The head had begun, and had not arrived when its time was over.
    HeadLate,
    /// The body had not arrived when the request's time was over.
    BodyLate,
    /// The body broke off, or was framed wrongly.
    BodyBroken,
}

/// The bounds of the whole service. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Limits {
    requests: Arc<Semaphore>,
    max_concurrent: u32,
    buffered: Arc<Semaphore>,
    max_body: usize,
    request_timeout: Duration,
}

/// The right to have a request in the component; given back when dropped.
#[derive(Debug)]
pub struct RequestPermit(#[allow(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// A request's body, and its share of the memory set aside for bodies.
#[derive(Debug, Default)]
pub struct BufferedBody {
    /// The body.
    pub body: RequestBody,
    /// Given back when dropped: keep it as long as the body.
    pub share: Option<BodyShare>,
}

/// A share of the memory set aside for bodies; given back when dropped.
#[derive(Debug)]
pub struct BodyShare(OwnedSemaphorePermit);

impl Limits {
    /// The bounds that `config` sets.
    pub fn new(config: &LimitsConfig) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(config.max_concurrent.into())),
            max_concurrent: config.max_concurrent.into(),
            buffered: Arc::new(Semaphore::new(config.max_buffered.bytes())),
            max_body: config.max_body.bytes(),
            request_timeout: config.request_timeout.0,
        }
    }

    /// When a request that begins now must have ended.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.request_timeout
    }

    /// Checks the size of a request's head.
    ///
    /// # Errors
    ///
    /// [`LimitError::TargetTooLong`] or [`LimitError::HeadTooLarge`].
    pub fn check_head(parts: &Parts) -> Result<(), LimitError> {
        /// What stands around a name and a value: a colon, a space, the end of the line.
        const FRAME: usize = 4;
        let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
        if target > MAX_HEAD {
            return Err(LimitError::TargetTooLong);
        }
        let fields: usize =
            parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FRAME).sum();
        if target.saturating_add(fields) > MAX_HEAD { Err(LimitError::HeadTooLarge) } else { Ok(()) }
    }

    /// Refuses early, before a body is read that there would be no room to handle.
    ///
    /// # Errors
    ///
    /// [`LimitError::Overloaded`].
    pub fn check_room(&self) -> Result<(), LimitError> {
        if self.requests.available_permits() == 0 { Err(LimitError::Overloaded) } else { Ok(()) }
    }

    /// Takes on one more request.
    ///
    /// # Errors
    ///
    /// [`LimitError::Overloaded`], at once: requests do not queue.
    pub fn admit(&self) -> Result<RequestPermit, LimitError> {
        Arc::clone(&self.requests).try_acquire_owned().map(RequestPermit).map_err(|_| LimitError::Overloaded)
    }

    /// Requests in the component right now.
    pub fn under_way(&self) -> usize {
        usize::try_from(self.max_concurrent)
            .unwrap_or(usize::MAX)
            .saturating_sub(self.requests.available_permits())
    }

    /// Waits until no request is in the component.
    pub async fn all_done(&self) {
        let _ = self.requests.acquire_many(self.max_concurrent).await;
    }

    /// Reads a whole body. A client that is slow at it holds its connection, never an instance.
    ///
    /// A body that is announced as too large is not read at all, and one that turns out to be is not read on:
    /// what the client is told then is up to the component.
    ///
    /// # Errors
    ///
    /// [`LimitError::BodyLate`], [`LimitError::BodyBroken`] or [`LimitError::Overloaded`].
    pub async fn read_body<B>(&self, body: B, deadline: Instant) -> Result<BufferedBody, LimitError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        if body.is_end_stream() {
            return Ok(BufferedBody::default());
        }
        if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > self.max_body) {
            return Ok(self.too_large());
        }
        tokio::time::timeout_at(deadline, self.collect(body)).await.map_err(|_| LimitError::BodyLate)?
    }

    async fn collect<B>(&self, mut body: B) -> Result<BufferedBody, LimitError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let mut whole = Bytes::new();
        let mut joined = BytesMut::new();
        let mut share: Option<BodyShare> = None;
        while let Some(frame) = body.frame().await {
            // A trailer section is read and let go: no handler here has a use for it.
            let Ok(data) = frame.map_err(|_| LimitError::BodyBroken)?.into_data() else { continue };
            let length = whole.len().saturating_add(joined.len()).saturating_add(data.len());
            if length > self.max_body {
                return Ok(self.too_large());
            }
            self.widen(&mut share, data.len())?;
            // Most bodies come in one piece, which is passed on as it is.
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

    /// Reads what is left of the body of a request that is refused, and holds none of it. Tells whether that was all:
    /// then what follows on the connection is the next request.
    ///
    /// A body that is large, or slow to arrive, is not worth the wait: a new connection costs its client less.
    pub async fn drain<B>(body: B) -> bool
    where
        B: Body<Data = Bytes> + Unpin,
    {
        if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > MAX_DRAINED) {
            return false;
        }
        tokio::time::timeout(DRAIN_TIME, discard(body)).await.unwrap_or(false)
    }

    fn too_large(&self) -> BufferedBody {
        let max = u64::try_from(self.max_body).unwrap_or(u64::MAX);
        BufferedBody { body: RequestBody::TooLarge(max), share: None }
    }

    fn widen(&self, share: &mut Option<BodyShare>, bytes: usize) -> Result<(), LimitError> {
        let more = u32::try_from(bytes)
            .ok()
            .and_then(|bytes| Arc::clone(&self.buffered).try_acquire_many_owned(bytes).ok())
            .ok_or(LimitError::Overloaded)?;
        match share {
            Some(BodyShare(held)) => held.merge(more),
            None => *share = Some(BodyShare(more)),
        }
        Ok(())
    }
}

/// Whether `body` has come to its end within [`MAX_DRAINED`].
async fn discard<B>(mut body: B) -> bool
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut left = MAX_DRAINED;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return false };
        left = rest;
    }
    true
}
