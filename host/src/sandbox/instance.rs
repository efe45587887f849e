//! The host state of one instance: what it may access, and its limits.

use std::{future::Future, io, sync::Arc};

use async_trait::async_trait;
use http::{Request, uri::Scheme};
use wasmtime::{ResourceLimiterAsync, UpdateDeadline};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
    p2::bindings::http::types::ErrorCode,
};

use crate::{
    sandbox::{
        failure::Failure,
        imports::{StateView, StoreFailed},
        outbound::{self, Outbound, OutboundResponse, Sender},
        output::LineLog,
        record::CallRecord,
    },
    store::Store,
};

/// Maximum number of host resources (bodies, streams, header maps …) of one instance. An ordinary request needs about
/// ten; each may occupy some 200 KB of the host's memory.
pub const MAX_RESOURCES: usize = 128;
/// How many bytes an instance may grow by and still serve another request.
const MAX_GROWTH: usize = 1 << 20;
/// How many bytes an instance may grow by on the thread of its connection. One instruction can fill them, and cannot be
/// interrupted: with 64 MiB, it would hold up the thread for some 50 ms.
const MAX_FOREGROUND_GROWTH: usize = 4 << 20;
/// Maximum size of one header map in memory, in bytes: twice the largest head that is accepted.
const MAX_FIELDS: usize = 64 * 1024;
/// Maximum number of bytes of one write to a response body.
const BODY_CHUNK: usize = 64 * 1024;
/// Maximum number of random bytes that one call returns. The host generates them one by one, without yielding.
const MAX_RANDOM: u64 = 64 * 1024;

/// What an instance may access outside itself.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "a store has no readable form")]
pub struct Reach {
    /// The implementation of its `orders:state/store`.
    pub store: Arc<dyn Store>,
    /// The servers to which it may send requests; `None` allows none.
    pub outbound: Option<Arc<Outbound>>,
}

/// The state of one instance.
#[allow(missing_debug_implementations, reason = "its parts have no readable form")]
pub struct InstanceState {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    /// Counts and limits the memory of the instance.
    pub memory: MemoryLimit,
    store: Arc<dyn Store>,
    /// The current call; `None` between calls.
    call: Option<Arc<CallRecord>>,
}

impl InstanceState {
    /// Creates the state of an instance. It has a clock, randomness, two output streams, and `reach`; no folder,
    /// socket, environment variable, argument or standard input.
    pub fn new(reach: Reach, max_memory: usize) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let (stdout, stderr) = LineLog::pair();
        let output = stdout.clone();
        let mut wasi = WasiCtx::builder();
        wasi.stdout(stdout).stderr(stderr).max_random_size(MAX_RANDOM);
        #[cfg(feature = "fault-injection")]
        if let Some(offset) = crate::lifecycle::fault::clock_offset_ms() {
            wasi.wall_clock(super::shifted_clock::ShiftedClock(offset));
        }
        let wasi = wasi.build();
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(MAX_FIELDS);
        let memory = MemoryLimit { max: max_memory, used: 0, initial: 0, granted: 0, denied: false };
        let hooks = Hooks { output, sender: Sender::new(reach.outbound) };
        Self { table, wasi, http, hooks, memory, store: reach.store, call: None }
    }

    /// Starts a call: output carries its id from now on, and its processor time is limited.
    pub fn begin_call(&mut self, call: &Arc<CallRecord>) {
        self.call = Some(Arc::clone(call));
        self.hooks.output.begin(Arc::clone(&call.request_id));
        self.hooks.sender.begin_call();
    }

    /// Records the memory of the new instance; growth is measured from here.
    pub fn mark_instantiated(&mut self) {
        self.memory.initial = self.memory.used;
    }

    /// Ends a successful call. Returns whether the instance may serve another one: only if the call has left no
    /// resource with the host, and the instance has not grown much.
    pub fn end_call(&mut self) -> bool {
        self.hooks.output.end();
        self.call = None;
        self.table.is_empty() && self.memory.used.saturating_sub(self.memory.initial) <= MAX_GROWTH
    }

    /// The failure of a component that ended with `error`.
    pub fn failure(&self, error: &wasmtime::Error) -> Failure {
        if error.is::<StoreFailed>() {
            Failure::StoreFailed
        } else if self.call.as_ref().is_some_and(|call| call.cpu.is_exceeded()) {
            Failure::OutOfCpu
        } else if self.memory.denied {
            Failure::OutOfMemory
        } else if error.is::<wasmtime::PoolConcurrencyLimitError>() {
            Failure::NoInstance
        } else {
            Failure::trapped(error)
        }
    }

    /// Interrupts the guest at a tick of the engine's epoch.
    ///
    /// # Errors
    ///
    /// If the call has exceeded its limit of processor time.
    pub fn interrupt(&self) -> wasmtime::Result<UpdateDeadline> {
        self.call.as_ref().map_or(Ok(UpdateDeadline::Continue(1)), |call| call.cpu.interrupt())
    }

    /// The view for the imports of `orders:state/store`.
    pub fn state_view(&mut self) -> StateView<'_> {
        StateView { store: &*self.store, request: self.call.as_ref().map(|call| &call.counted) }
    }
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for InstanceState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

/// Controls the guest's use of HTTP besides responding.
struct Hooks {
    output: LineLog,
    sender: Sender,
}

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ) -> Box<dyn Future<Output = Result<OutboundResponse, HttpError>> + Send> {
        let request_id = self.output.request_id();
        self.sender.send(request, options.unwrap_or_default(), request_id.as_deref().unwrap_or_default())
    }

    /// Plain HTTP is the only supported scheme.
    fn default_scheme(&mut self) -> Option<Scheme> {
        Some(Scheme::HTTP)
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }

    fn p2_error_from_connect(&mut self, error: &io::Error) -> ErrorCode {
        outbound::connect_error(error)
    }

    fn p2_error_from_hyper(&mut self, error: &hyper::Error) -> ErrorCode {
        outbound::exchange_error(error)
    }
}

/// Counts and limits the memory of one instance, over all its linear memories.
#[derive(Debug)]
pub struct MemoryLimit {
    max: usize,
    used: usize,
    /// The memory before the first request.
    initial: usize,
    /// The last grant, which is undone if the allocation fails.
    granted: usize,
    /// Whether the instance was ever denied memory.
    pub denied: bool,
}

impl MemoryLimit {
    /// Grants more memory, or denies it.
    fn grow(&mut self, growth: usize) -> bool {
        let used = self.used.saturating_add(growth);
        if used > self.max {
            self.denied = true;
            return false;
        }
        (self.used, self.granted) = (used, growth);
        true
    }

    /// Whether a request has grown the memory by more than fits in the foreground.
    fn has_grown_much(&self) -> bool {
        self.initial > 0 && self.used.saturating_sub(self.initial) > MAX_FOREGROUND_GROWTH
    }
}

#[async_trait]
impl ResourceLimiterAsync for InstanceState {
    async fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if !self.memory.grow(desired.saturating_sub(current)) {
            return Ok(false);
        }
        if self.memory.has_grown_much()
            && let Some(call) = &self.call
            && !call.cpu.is_long()
        {
            call.cpu.expect_long();
            tokio::task::yield_now().await;
        }
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory.used = self.memory.used.saturating_sub(std::mem::take(&mut self.memory.granted));
        Ok(())
    }

    /// The pool limits the size of a table.
    async fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}
