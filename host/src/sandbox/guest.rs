//! One call into one instance.
//!
//! The call begins in the task of the connection that received the request ([`GuestCall`]). An ordinary response is complete
//! when the call returns, so no task is spawned or woken for it. Otherwise the response is delivered while the call continues
//! ([`Delivery`]).
//!
//! Each call gets its own instance. With instance reuse, an instance whose call succeeded is kept for another
//! call (`IdleInstances`).

use std::{any::Any, future::poll_fn, sync::Arc};

use http::{Method, Request, Response};
use tokio::{
    sync::oneshot,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use wasmtime::component::Resource;
use wasmtime_wasi_http::{
    WasiHttpView,
    p2::{
        bindings::{ProxyPre, http::types::Scheme},
        types::{HostIncomingRequest, HostResponseOutparam},
    },
};

use crate::{
    sandbox::{
        call::{CallLimits, GuestCall},
        cpu::CpuMeter,
        delivery::{Delivery, DeliveryTerms},
        failure::Failure,
        idle::{IdleInstances, Instance},
        instance::{InstanceState, MAX_RESOURCES, Reach},
        record::CallRecord,
        request_body::RequestBody,
        response_body::GuestBody,
        response_limits::ResponseLimits,
        stream::StreamEnd,
        tally::Tallies,
        workers::Workers,
    },
    store::MAX_TRANSFER_BYTES,
};

/// Maximum number of bytes that one call may pass from the guest to the host: a full commit, and some room for its
/// structure.
const HOSTCALL_FUEL: usize = MAX_TRANSFER_BYTES + (1 << 20);
/// The part of the time of a request that its call must get to be blamed for a timeout: its body may have arrived late.
const FULL_TIME: f32 = 0.9;
/// Time limit for instantiating a component to test it.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// The context of a call, besides the request.
#[allow(missing_debug_implementations, reason = "a guard may be anything")]
pub struct CallContext {
    /// Identifies the request in log lines.
    pub request_id: Arc<str>,
    /// When the call is cancelled.
    pub deadline: Instant,
    /// Cancelled when the module is withdrawn, which ends the call; `None` if that cannot happen.
    pub withdrawn: Option<CancellationToken>,
    /// When the response has to end if it is a stream; `None` if streams are not allowed to last.
    pub stream_end: Option<StreamEnd>,
    /// Dropped once the call has ended.
    pub call_guard: Box<dyn Any + Send + Sync>,
    /// Dropped once the call has ended and its response has been read or dropped.
    pub guard: Arc<dyn Any + Send + Sync>,
}

/// The limits of an instance and of its calls.
#[derive(Clone, Debug)]
pub struct InstanceBounds {
    /// The maximum memory, in bytes.
    pub max_memory: usize,
    /// The maximum number of requests, one after another.
    pub max_requests: u32,
    /// The maximum time of a request.
    pub request_timeout: Duration,
    /// The maximum processor time of a request.
    pub max_cpu: Duration,
    /// The threads on which a call continues that computes for long; `None`: on the thread where it began.
    pub background: Option<Arc<Workers>>,
    /// The limits of all responses together.
    pub responses: Arc<ResponseLimits>,
}

impl InstanceBounds {
    /// For an instance that is created only to test whether it starts.
    pub fn of_start(max_memory: usize) -> Self {
        Self {
            max_memory,
            max_requests: 1,
            request_timeout: START_TIMEOUT,
            max_cpu: Duration::MAX,
            background: None,
            responses: Arc::default(),
        }
    }
}

/// A component that is ready to be called: linked, with what its instances may access, and their limits.
#[allow(missing_debug_implementations, reason = "linked code has no readable form")]
pub struct Guest {
    linked: ProxyPre<InstanceState>,
    reach: Reach,
    bounds: InstanceBounds,
    idle: IdleInstances,
    /// Counts its calls and failures.
    pub tallies: Tallies,
}

impl Guest {
    /// Combines a linked component with what its instances may access, and their limits.
    pub fn new(linked: ProxyPre<InstanceState>, reach: Reach, bounds: InstanceBounds) -> Self {
        let tallies = Tallies::new(bounds.request_timeout);
        let guest = Self { linked, reach, bounds, idle: IdleInstances::default(), tallies };
        guest.keep_instances(true);
        guest
    }

    /// Handles the request in an instance, and counts it once it is judged.
    ///
    /// # Errors
    ///
    /// [`Failure`] if there is no response to send. A later failure ends the response body with an error.
    pub async fn call(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        context: CallContext,
    ) -> Result<Response<GuestBody>, Failure> {
        let record = self.record(Arc::clone(&context.request_id));
        if let RequestBody::TooLarge(_) = request.body() {
            record.counted.exclude();
        }
        let response = self.respond(request, context, &record).await;
        match &response {
            Ok(response) => record.counted.judge_response(response.status()),
            Err(failure) => record.counted.judge_failure(failure),
        }
        response
    }

    async fn respond(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        context: CallContext,
        record: &Arc<CallRecord>,
    ) -> Result<Response<GuestBody>, Failure> {
        let CallContext { deadline, withdrawn, stream_end, call_guard, guard, .. } = context;
        let head_only = request.method() == Method::HEAD;
        let too_large = match request.body() {
            RequestBody::TooLarge(too_large) => Some(too_large.clone()),
            RequestBody::Whole(_) => None,
        };
        let (response_sender, receiver) = oneshot::channel();
        let mut instance = self.take_instance();
        instance.requests = instance.requests.saturating_add(1);
        let state = instance.store.data_mut();
        state.begin_call(record);
        let mut view = state.http();
        let request =
            view.new_incoming_request(Scheme::Http, request).map_err(|error| Failure::trapped(&error))?;
        let out = view.new_response_outparam(response_sender).map_err(|error| Failure::trapped(&error))?;
        let guards = (Arc::clone(&guard), call_guard);
        let work = run_call(guards, Arc::clone(self), instance, request, out);
        let (background, limits) = (self.bounds.background.clone(), CallLimits { deadline, withdrawn });
        let call = GuestCall::new(Box::pin(work), Arc::clone(record), background, limits);

        let limits = Arc::clone(&self.bounds.responses);
        let has_full_time = deadline >= Instant::now() + self.bounds.request_timeout.mul_f32(FULL_TIME);
        let terms = DeliveryTerms { limits, deadline, has_full_time, stream_end, head_only };
        let mut delivery = Delivery::new(call, receiver, Arc::clone(record), too_large, terms);
        // Whatever becomes of the delivery, what it has taken is dropped with the body.
        let body = GuestBody::new(Arc::clone(delivery.unread()), guard);
        let head = poll_fn(|context| delivery.poll_head(context)).await;
        let head = head.map_err(|failure| delivery.blame(failure))?;
        if delivery.goes_on() {
            tokio::spawn(delivery.run());
        }
        Ok(Response::from_parts(head, body))
    }

    /// Creates an instance and drops it, to test whether the component starts.
    ///
    /// # Errors
    ///
    /// [`Failure::Trapped`], [`Failure::OutOfMemory`] or [`Failure::TimedOut`].
    pub async fn try_instantiate(&self) -> Result<(), Failure> {
        let Instance { mut store, .. } = self.new_instance();
        store.data_mut().begin_call(&self.record(Arc::from("start")));
        match tokio::time::timeout(START_TIMEOUT, self.linked.instantiate_async(&mut store)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(store.data().failure(&error)),
            Err(_) => Err(Failure::TimedOut),
        }
    }

    /// Sets whether instances are kept between calls. If not, the idle ones are dropped, and no more are kept: they
    /// would occupy room that other components need.
    pub fn keep_instances(&self, keep: bool) {
        self.idle.set_open(keep && self.bounds.max_requests > 1);
    }

    fn record(&self, request_id: Arc<str>) -> Arc<CallRecord> {
        let counted = self.tallies.begin_request();
        let cpu = CpuMeter::new(counted.began(), self.bounds.max_cpu);
        Arc::new(CallRecord { request_id, counted, cpu })
    }

    fn take_instance(&self) -> Instance {
        let idle = if self.bounds.max_requests > 1 { self.idle.pop() } else { None };
        idle.unwrap_or_else(|| self.new_instance())
    }

    fn new_instance(&self) -> Instance {
        let state = InstanceState::new(self.reach.clone(), self.bounds.max_memory);
        let mut store = wasmtime::Store::new(self.linked.engine(), state);
        store.limiter_async(|state| state);
        store.set_hostcall_fuel(HOSTCALL_FUEL);
        store.set_max_component_handles(MAX_RESOURCES);
        // At every tick of the engine's epoch, the time of a computing guest is measured.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| store.data().interrupt());
        Instance { store, proxy: None, requests: 0 }
    }

    /// Keeps an instance for another call if it may serve one. Only an instance whose call succeeded gets here.
    fn recycle(&self, mut instance: Instance) {
        if instance.requests < self.bounds.max_requests && instance.store.data_mut().end_call() {
            self.idle.push(instance);
        }
    }
}

async fn run_call(
    // Held until the work has ended. Parameters are dropped in reverse order: a permit must not be free before the instance.
    _guards: (Arc<dyn Any + Send + Sync>, Box<dyn Any + Send + Sync>),
    guest: Arc<Guest>,
    mut instance: Instance,
    request: Resource<HostIncomingRequest>,
    out: Resource<HostResponseOutparam>,
) -> Result<(), Failure> {
    let Instance { store, proxy, .. } = &mut instance;
    let call = async {
        let proxy = match proxy {
            Some(proxy) => proxy,
            None => {
                let instantiated = guest.linked.instantiate_async(&mut *store).await?;
                store.data_mut().mark_instantiated();
                proxy.insert(instantiated)
            }
        };
        proxy.wasi_http_incoming_handler().call_handle(&mut *store, request, out).await
    };
    match call.await {
        Ok(()) => {
            guest.recycle(instance);
            Ok(())
        }
        Err(error) => Err(store.data().failure(&error)),
    }
}
