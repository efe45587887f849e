//! The body of a guest's answer, on its way while the call that makes it may still go on.

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

use crate::sandbox::{failure::Failure, tally::Tally};

/// Something that lives exactly as long as the call it was given to: a permit, a pinned module.
pub type Hold = Arc<dyn Any + Send + Sync>;

/// A call under way: resolves when the guest has returned.
pub type Run = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// The body of a guest's answer. Reading it drives the call that makes it.
///
/// It ends cleanly only if the call did. If the call fails, the body ends with that failure, so that the
/// connection is cut and no client takes half an answer for a whole one.
#[allow(missing_debug_implementations, reason = "a call under way has nothing to show")]
pub struct GuestBody {
    /// What the guest writes to.
    pub inner: HyperOutgoingBody,
    /// The call, unless it has ended.
    pub run: Option<Run>,
    /// Names the request in log lines.
    pub request_id: Arc<str>,
    /// Where a failure counts that comes after the head.
    pub tally: Arc<Tally>,
    /// Released with the body, or the call if that takes longer.
    pub hold: Hold,
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if let Some(run) = &mut self.run
            && let Poll::Ready(ended) = run.as_mut().poll(context)
        {
            self.run = None;
            if let Err(failure) = ended {
                return Poll::Ready(Some(Err(self.failed(failure))));
            }
        }
        match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
            Some(Err(error)) => {
                let failure = Failure::Trapped(format!("its answer broke off: {error}"));
                Poll::Ready(Some(Err(self.failed(failure))))
            }
            // The stream is at its end, but only the end of the call says whether that is a good one.
            None if self.run.is_some() => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.run.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl GuestBody {
    fn failed(&self, failure: Failure) -> Failure {
        self.tally.failed((&failure).into());
        failure
    }
}

impl Drop for GuestBody {
    /// Lets a guest that has answered in full finish what it is doing, within its deadline. If the client has
    /// gone instead, the guest learns of it by its next write.
    fn drop(&mut self) {
        if let Some(run) = self.run.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (hold, request_id) = (Arc::clone(&self.hold), Arc::clone(&self.request_id));
            let tally = Arc::clone(&self.tally);
            runtime.spawn(async move {
                if let Err(failure) = run.await {
                    tally.failed((&failure).into());
                    tracing::warn!(
                        request_id = &*request_id,
                        %failure,
                        "a call failed after its answer was read or dropped"
                    );
                }
                drop(hold);
            });
        }
    }
}
