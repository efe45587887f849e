//! One call into one instance.
//!
//! The call runs in the task of the connection that asked for it. An ordinary answer is complete when the
//! call returns, so that nothing is spawned for it and no other task is woken; a long one streams while the
//! call goes on, driven by whoever reads it ([`GuestBody`]).
//!
//! Each call has an instance of its own, unless instances are to be reused: then one that ended in order is kept
//! for another call (`Idle`).

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
};

use http::{Method, Request, Response, StatusCode, header};
use http_body::Body;
use tokio::{
    sync::oneshot,
    time::{Duration, Instant},
};
use wasmtime::{UpdateDeadline, component::Resource};
use wasmtime_wasi_http::{
    WasiHttpView,
    p2::{
        bindings::{
            Proxy, ProxyPre,
            http::types::{ErrorCode, Scheme},
        },
        body::HyperOutgoingBody,
        types::{HostIncomingRequest, HostResponseOutparam},
    },
};

use crate::{
    sandbox::{
        failure::Failure,
        instance::{InstanceState, MAX_RESOURCES, Reach},
        request_body::RequestBody,
        response_body::{GuestBody, Hold, Run},
        tally::{Fault, Tally},
    },
    store::MAX_TRANSFER_BYTES,
};

/// Most bytes that one call may move from the guest to the host: a full commit, and room for its structure.
const HOSTCALL_FUEL: usize = MAX_TRANSFER_BYTES + (1 << 20);
/// How long making an instance may take when a component is tried.
const START_TIMEOUT: Duration = Duration::from_secs(10);

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

/// What an instance may take.
#[derive(Clone, Copy, Debug)]
pub struct InstanceBounds {
    /// Bytes of memory.
    pub max_memory: usize,
    /// Requests that it serves, one after another.
    pub max_requests: u32,
}

/// A component that can be called: linked, with what it may reach and the bounds it works within.
#[allow(missing_debug_implementations, reason = "linked code has nothing to show")]
pub struct Guest {
    linked: ProxyPre<InstanceState>,
    reach: Reach,
    bounds: InstanceBounds,
    idle: Idle,
    /// What it has done.
    pub tally: Arc<Tally>,
}

/// One instance of a component.
struct Instance {
    store: wasmtime::Store<InstanceState>,
    /// Its exports; none before it is instantiated.
    proxy: Option<Proxy>,
    /// Requests that it was given.
    requests: u32,
}

impl Guest {
    /// A component, and what its instances may reach and take.
    pub fn new(linked: ProxyPre<InstanceState>, reach: Reach, bounds: InstanceBounds) -> Self {
        let guest = Self { linked, reach, bounds, idle: Idle::default(), tally: Arc::default() };
        guest.keep_instances(true);
        guest
    }

    /// Has an instance answer the request, and counts what comes of it.
    ///
    /// # Errors
    ///
    /// [`Failure`] if there is no answer to send. A failure after that ends the body with an error.
    pub async fn call(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        terms: Terms,
    ) -> Result<Response<GuestBody>, Failure> {
        let counted = self.tally.begin();
        let answer = self.ask(request, terms).await;
        match &answer {
            Ok(answer) if answer.status().is_server_error() => self.tally.failed(Fault::ServerError),
            Ok(_) => {}
            Err(failure) => self.tally.failed(failure.into()),
        }
        drop(counted);
        answer
    }

    async fn ask(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        terms: Terms,
    ) -> Result<Response<GuestBody>, Failure> {
        let head_only = request.method() == Method::HEAD;
        let (answer, mut answered) = oneshot::channel();
        let mut instance = self.instance();
        instance.requests = instance.requests.saturating_add(1);
        let state = instance.store.data_mut();
        state.begin(&terms.request_id);
        let mut view = state.http();
        let request =
            view.new_incoming_request(Scheme::Http, request).map_err(|error| Failure::trapped(&error))?;
        let out = view.new_response_outparam(answer).map_err(|error| Failure::trapped(&error))?;
        let (hold, request_id) = (Arc::clone(&terms.hold), Arc::clone(&terms.request_id));
        let mut run: Run = Box::pin(run(Arc::clone(self), instance, request, out, terms));

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
        let tally = Arc::clone(&self.tally);
        Ok(response.map(|inner| GuestBody { inner, run, request_id, tally, hold }))
    }

    /// Makes an instance and throws it away, to see whether the component starts at all.
    ///
    /// # Errors
    ///
    /// [`Failure::Trapped`], [`Failure::OutOfMemory`] or [`Failure::OutOfTime`].
    pub async fn try_instantiate(&self) -> Result<(), Failure> {
        let Instance { mut store, .. } = self.new_instance();
        store.data_mut().begin(&Arc::from("start"));
        match tokio::time::timeout(START_TIMEOUT, self.linked.instantiate_async(&mut store)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(store.data().failure(&error)),
            Err(_) => Err(Failure::OutOfTime),
        }
    }

    /// Whether instances are kept between calls. If not, those that were kept are let go, and none follows: they would
    /// take room that other components need.
    pub fn keep_instances(&self, keep: bool) {
        self.idle.keep(keep && self.bounds.max_requests > 1);
    }

    fn instance(&self) -> Instance {
        let idle = if self.bounds.max_requests > 1 { self.idle.take() } else { None };
        idle.unwrap_or_else(|| self.new_instance())
    }

    fn new_instance(&self) -> Instance {
        let state = InstanceState::new(self.reach.clone(), self.bounds.max_memory);
        let mut store = wasmtime::Store::new(self.linked.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        store.set_max_component_handles(MAX_RESOURCES);
        // Every tick of the engine the guest makes room for others; the deadline is then noticed by its timer.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|_| {
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        Instance { store, proxy: None, requests: 0 }
    }

    /// Keeps an instance for another call, if it may serve one. A call that failed does not come here.
    fn recycle(&self, mut instance: Instance) {
        if instance.requests < self.bounds.max_requests && instance.store.data_mut().end() {
            self.idle.put(instance);
        }
    }
}

/// Instances between two calls. There are never more than there were calls at once.
#[derive(Default)]
struct Idle {
    shelves: [Mutex<Vec<Instance>>; SHELVES],
    /// Whether more may come. Looked at while a shelf is locked.
    open: AtomicBool,
}

/// How many threads have a shelf of their own.
const SHELVES: usize = 16;

thread_local! {
    /// Where this thread looks first.
    static SHELF: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Ordering::Relaxed) % SHELVES
    };
}

impl Idle {
    /// The one that ended last on this thread, for its memory is the likeliest to be in a cache; else any.
    fn take(&self) -> Option<Instance> {
        let (others, own) = self.shelves.split_at(SHELF.with(|shelf| *shelf));
        let mut shelves = own.iter().chain(others);
        shelves.find_map(|shelf| shelf.lock().unwrap_or_else(PoisonError::into_inner).pop())
    }

    fn put(&self, instance: Instance) {
        if let Some(shelf) = self.shelves.get(SHELF.with(|shelf| *shelf)) {
            let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
            if self.open.load(Ordering::Relaxed) {
                shelf.push(instance);
            }
        }
    }

    fn keep(&self, keep: bool) {
        self.open.store(keep, Ordering::Relaxed);
        if keep {
            return;
        }
        for shelf in &self.shelves {
            // Whoever locks this shelf after us sees that it is closed.
            let instances = std::mem::take(&mut *shelf.lock().unwrap_or_else(PoisonError::into_inner));
            drop(instances);
        }
    }
}

/// What happens first.
enum Early {
    Ended(Result<(), Failure>),
    Answered(Result<Response<HyperOutgoingBody>, ErrorCode>),
}

async fn run(
    guest: Arc<Guest>,
    mut instance: Instance,
    request: Resource<HostIncomingRequest>,
    out: Resource<HostResponseOutparam>,
    terms: Terms,
) -> Result<(), Failure> {
    let Instance { store, proxy, .. } = &mut instance;
    let call = async {
        let proxy = match proxy {
            Some(proxy) => proxy,
            None => {
                let made = guest.linked.instantiate_async(&mut *store).await?;
                store.data_mut().made();
                proxy.insert(made)
            }
        };
        proxy.wasi_http_incoming_handler().call_handle(&mut *store, request, out).await
    };
    match tokio::time::timeout_at(terms.deadline, call).await {
        // A body that is neither finished nor dropped would end as if it were whole.
        Ok(Ok(())) if store.data_mut().holds_open_body() => Err(Failure::Unfinished),
        Ok(Ok(())) => {
            guest.recycle(instance);
            Ok(())
        }
        Ok(Err(error)) => Err(store.data().failure(&error)),
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
