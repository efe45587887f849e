//! The body of a guest's response, which may be sent while the call that writes it still runs.

use std::{
    any::Any,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::sandbox::{call::GuestCall, failure::Failure, tally::CountedRequest};

/// A value that lives exactly as long as its call: a permit, a pinned module.
pub type CallGuard = Arc<dyn Any + Send + Sync>;

/// The body of a guest's response. Reading it drives the call that writes it.
///
/// The body ends cleanly only if the call does. If the call fails, the body ends with that failure: the connection is
/// cut, and no client mistakes a part of a response for the whole.
#[allow(missing_debug_implementations, reason = "a call in flight has no readable form")]
pub struct GuestBody {
    /// Receives what the guest writes.
    pub inner: HyperOutgoingBody,
    /// The call, unless it has ended.
    pub call: Option<GuestCall>,
    /// Identifies the request in log lines.
    pub request_id: Arc<str>,
    /// Counts a failure after the head.
    pub counted: Arc<CountedRequest>,
    /// Dropped with the body, or after the call if that takes longer.
    pub guard: CallGuard,
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if let Some(call) = &mut self.call
            && let Poll::Ready(result) = Pin::new(call).poll(context)
        {
            self.call = None;
            if let Err(failure) = result {
                return Poll::Ready(Some(Err(self.record(failure))));
            }
        }
        match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
            Some(Err(error)) => {
                let failure = Failure::Trapped(format!("its response body failed: {error}"));
                Poll::Ready(Some(Err(self.record(failure))))
            }
            // The stream has ended, but only the end of the call says whether the response is complete.
            None if self.call.is_some() => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.call.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl GuestBody {
    fn record(&self, failure: Failure) -> Failure {
        self.counted.fail_after_head(&failure);
        failure
    }
}

impl Drop for GuestBody {
    /// Lets a guest whose response is complete finish its work, within its deadline. If the client has disconnected
    /// instead, the guest's next write fails.
    fn drop(&mut self) {
        if let Some(call) = self.call.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (guard, request_id) = (Arc::clone(&self.guard), Arc::clone(&self.request_id));
            let counted = Arc::clone(&self.counted);
            runtime.spawn(async move {
                if let Err(failure) = call.await {
                    counted.fail_after_head(&failure);
                    tracing::warn!(
                        event = "request.failed_after_response",
                        request_id = &*request_id,
                        %failure,
                        "call failed after its response was sent or dropped"
                    );
                }
                drop(guard);
            });
        }
    }
}
