//! One call into one instance, and how it can end.
//!
//! The call runs in the task of the connection that asked for it. An ordinary answer is complete when the
//! call returns, so that nothing is spawned for it and no other task is woken; a long one streams while the
//! call goes on, driven by whoever reads it ([`GuestBody`]).

use std::{
    any::Any,
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use tokio::{
    sync::oneshot,
    time::{Duration, Instant},
};
use wasmtime::{UpdateDeadline, component::Resource};
use wasmtime_wasi_http::{
    WasiHttpView,
    p2::{
        bindings::{
            ProxyPre,
            http::types::{ErrorCode, Scheme},
        },
        body::HyperOutgoingBody,
        types::{HostIncomingRequest, HostResponseOutparam},
    },
};

use crate::{
    body::RequestBody,
    instance::{InstanceState, MAX_RESOURCES},
    store::{MAX_TRANSFER_BYTES, Store},
};

/// Most bytes that one call may move from the guest to the host: a full commit, and room for its structure.
const HOSTCALL_FUEL: usize = MAX_TRANSFER_BYTES + (1 << 20);
/// How long making an instance may take when a component is tried.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of a guest's own words that are repeated in the log.
const MAX_WORDS: usize = 256;

/// Something that lives exactly as long as the call it was given to: a permit, a pinned module.
pub type Hold = Arc<dyn Any + Send + Sync>;

/// What a call is made with, besides the request.
#[allow(missing_debug_implementations, reason = "a hold may be anything")]
pub struct Terms {
    /// Names the request in log lines.
    pub request_id: Arc<str>,
    /// When the call must have ended.
    pub deadline: Instant,
    /// Released once the call has ended and its answer has been read or dropped.
    pub hold: Hold,
}

/// How a call can fail. Each has its own answer in `reject`.
#[derive(Debug)]
pub enum Failure {
    /// The guest trapped, or broke the rules of the component model. Says how.
    Trapped(String),
    /// The guest asked for more memory than it may have, and trapped for want of it.
    OutOfMemory,
    /// The deadline passed.
    OutOfTime,
    /// The guest returned without having answered.
    NoAnswer,
    /// The guest returned before its answer was finished.
    Unfinished,
    /// The guest answered with something that cannot be sent. Says what.
    BadAnswer(&'static str),
    /// The guest answered with an error code instead of a response.
    GaveUp(ErrorCode),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trapped(how) => write!(f, "the component trapped: {how}"),
            Self::OutOfMemory => f.write_str("the component needed more memory than it may have"),
            Self::OutOfTime => f.write_str("the component did not finish before the deadline"),
            Self::NoAnswer => f.write_str("the component returned without an answer"),
            Self::Unfinished => f.write_str("the component returned before its answer was finished"),
            Self::BadAnswer(what) => write!(f, "the component's answer cannot be sent: {what}"),
            Self::GaveUp(code) => {
                let words: String = format!("{code:?}").chars().take(MAX_WORDS).collect();
                write!(f, "the component answered with an error: {words}")
            }
        }
    }
}

impl Error for Failure {}

/// A component that can be called: linked, with the store it works on and the bounds it works within.
#[allow(missing_debug_implementations, reason = "linked code has nothing to show")]
pub struct Guest {
    /// The linked component.
    pub linked: ProxyPre<InstanceState>,
    /// What `orders:state/store` leads to.
    pub store: Arc<dyn Store>,
    /// Most bytes of memory that one instance may have.
    pub max_memory: usize,
}

impl Guest {
    /// Makes an instance, has it answer the request, and throws it away.
    ///
    /// # Errors
    ///
    /// [`Failure`] if there is no answer to send. A failure after that ends the body with an error.
    pub async fn call(
        &self,
        request: Request<RequestBody>,
        terms: Terms,
    ) -> Result<Response<GuestBody>, Failure> {
        let head_only = request.method() == Method::HEAD;
        let (answer, mut answered) = oneshot::channel();
        let mut store = self.instance_store(&terms.request_id);
        let mut view = store.data_mut().http();
        let request = view.new_incoming_request(Scheme::Http, request).map_err(|error| trapped(&error))?;
        let out = view.new_response_outparam(answer).map_err(|error| trapped(&error))?;
        let (hold, request_id) = (Arc::clone(&terms.hold), Arc::clone(&terms.request_id));
        let mut run: Run = Box::pin(run(self.linked.clone(), store, request, out, terms));

        let mut answerable = true;
        let ended = std::future::poll_fn(|context| {
            // The call goes first: if it ends at once, its whole answer is here and the channel need not wake us.
            if let Poll::Ready(ended) = run.as_mut().poll(context) {
                return Poll::Ready(Early::Ended(ended));
            }
            if answerable && let Poll::Ready(answer) = Pin::new(&mut answered).poll(context) {
                match answer {
                    Ok(answer) => return Poll::Ready(Early::Answered(answer)),
                    // It never will be: the end of the call says why.
                    Err(_) => answerable = false,
                }
            }
            Poll::Pending
        })
        .await;

        let (answer, run) = match ended {
            Early::Ended(Err(failure)) => return Err(failure),
            Early::Ended(Ok(())) if !answerable => return Err(Failure::NoAnswer),
            Early::Ended(Ok(())) => (answered.try_recv().map_err(|_| Failure::NoAnswer)?, None),
            Early::Answered(answer) => (answer, Some(run)),
        };
        let response = answer.map_err(Failure::GaveUp)?;
        check_sendable(&response, head_only).map_err(Failure::BadAnswer)?;
        Ok(response.map(|inner| GuestBody { inner, run, request_id, hold }))
    }

    /// Makes an instance and throws it away, to see whether the component starts at all.
    ///
    /// # Errors
    ///
    /// [`Failure::Trapped`], [`Failure::OutOfMemory`] or [`Failure::OutOfTime`].
    pub async fn try_instantiate(&self) -> Result<(), Failure> {
        let mut store = self.instance_store(&Arc::from("start"));
        match tokio::time::timeout(START_TIMEOUT, self.linked.instantiate_async(&mut store)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(classify(&error, store.data())),
            Err(_) => Err(Failure::OutOfTime),
        }
    }

    fn instance_store(&self, request_id: &Arc<str>) -> wasmtime::Store<InstanceState> {
        let state = InstanceState::new(Arc::clone(&self.store), self.max_memory, request_id);
        let mut store = wasmtime::Store::new(self.linked.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        store.set_max_component_handles(MAX_RESOURCES);
        // Every tick of the engine the guest makes room for others; the deadline is then noticed by its timer.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|_| {
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        store
    }
}

/// A call under way: resolves when the guest has returned.
type Run = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// What happens first.
enum Early {
    Ended(Result<(), Failure>),
    Answered(Result<Response<HyperOutgoingBody>, ErrorCode>),
}

async fn run(
    linked: ProxyPre<InstanceState>,
    mut store: wasmtime::Store<InstanceState>,
    request: Resource<HostIncomingRequest>,
    out: Resource<HostResponseOutparam>,
    terms: Terms,
) -> Result<(), Failure> {
    let call = async {
        let instance = linked.instantiate_async(&mut store).await?;
        instance.wasi_http_incoming_handler().call_handle(&mut store, request, out).await
    };
    match tokio::time::timeout_at(terms.deadline, call).await {
        // A body that is neither finished nor dropped would end as if it were whole.
        Ok(Ok(())) if store.data_mut().holds_open_body() => Err(Failure::Unfinished),
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(classify(&error, store.data())),
        Err(_) => Err(Failure::OutOfTime),
    }
}

/// What hyper would send as it is, though a client could take what follows it for a part of it.
fn check_sendable(response: &Response<HyperOutgoingBody>, head_only: bool) -> Result<(), &'static str> {
    let status = response.status();
    if status.is_informational() {
        return Err("its status is not a final one");
    }
    let bodiless = head_only || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let announced = response.headers().get(header::CONTENT_LENGTH);
    // A body that the guest writes is counted as it goes; one that it never asked for is known to be empty.
    if let (Some(announced), Some(known), false) = (announced, response.body().size_hint().exact(), bodiless)
        && announced.as_bytes() != known.to_string().as_bytes()
    {
        return Err("its Content-Length is not the length of its body");
    }
    Ok(())
}

fn classify(error: &wasmtime::Error, state: &InstanceState) -> Failure {
    if state.memory.denied { Failure::OutOfMemory } else { trapped(error) }
}

fn trapped(error: &wasmtime::Error) -> Failure {
    Failure::Trapped(error.root_cause().to_string())
}

/// The body of a guest's answer. Reading it drives the call that makes it.
///
/// It ends cleanly only if the call did. If the call fails, the body ends with that failure, so that the
/// connection is cut and no client takes half an answer for a whole one.
#[allow(missing_debug_implementations, reason = "a call under way has nothing to show")]
pub struct GuestBody {
    inner: HyperOutgoingBody,
    run: Option<Run>,
    request_id: Arc<str>,
    hold: Hold,
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
                return Poll::Ready(Some(Err(failure)));
            }
        }
        match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
            Some(Err(error)) => {
                Poll::Ready(Some(Err(Failure::Trapped(format!("its answer broke off: {error}")))))
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

impl Drop for GuestBody {
    /// Lets a guest that has answered in full finish what it is doing, within its deadline. If the client has
    /// gone instead, the guest learns of it by its next write.
    fn drop(&mut self) {
        if let Some(run) = self.run.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (hold, request_id) = (Arc::clone(&self.hold), Arc::clone(&self.request_id));
            runtime.spawn(async move {
                if let Err(failure) = run.await {
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
