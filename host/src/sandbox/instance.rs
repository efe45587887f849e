//! What the host keeps for one instance of a component: what it may reach, and how much of it.

use std::{future::Future, io, sync::Arc};

use http::{Request, uri::Scheme};
use wasmtime::ResourceLimiter;
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
    p2::{bindings::http::types::ErrorCode, body::HostOutgoingBody},
};

use crate::{
    sandbox::{
        failure::Failure,
        imports::StateView,
        outbound::{self, Outbound, Sender, Sent},
        output::LineLog,
    },
    store::Store,
};

/// Most host resources (bodies, streams, header maps …) that one instance may hold at once. An ordinary
/// request needs about ten; each may hold some 200 KB of the host's memory.
pub const MAX_RESOURCES: usize = 128;
/// Bytes of memory that an instance may grow by and still serve another request.
const MAX_GROWTH: usize = 1 << 20;
/// Most bytes of one header map, as it lies in memory: twice the largest head that is taken on.
const MAX_FIELDS: usize = 64 * 1024;
/// Most bytes of one write to a response body: what a slow client makes the host hold is about twice this.
const BODY_CHUNK: usize = 64 * 1024;
/// Most random bytes that one call gives. It makes them one by one, without making room for others.
const MAX_RANDOM: u64 = 64 * 1024;

/// What an instance may reach beyond itself.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "a store has nothing to show")]
pub struct Reach {
    /// Where its `orders:state/store` leads.
    pub store: Arc<dyn Store>,
    /// The servers that it may send requests to; without it, none.
    pub outbound: Option<Arc<Outbound>>,
}

/// The state of one instance.
#[allow(missing_debug_implementations, reason = "made of parts that have nothing to show")]
pub struct InstanceState {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    /// How much memory the instance has.
    pub memory: MemoryLimit,
    store: Arc<dyn Store>,
}

impl InstanceState {
    /// An instance gets a clock, randomness, two streams to print to, and what it may reach; no folder, no socket, no
    /// variable, no argument, and nothing to read.
    pub fn new(reach: Reach, max_memory: usize) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let (stdout, stderr) = LineLog::pair();
        let output = stdout.clone();
        let wasi = WasiCtx::builder().stdout(stdout).stderr(stderr).max_random_size(MAX_RANDOM).build();
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(MAX_FIELDS);
        let memory = MemoryLimit { max: max_memory, used: 0, initial: 0, granted: 0, denied: false };
        let hooks = Hooks { output, sender: Sender::new(reach.outbound) };
        Self { table, wasi, http, hooks, memory, store: reach.store }
    }

    /// Begins a request: what is printed from now on carries its id.
    pub fn begin(&mut self, request_id: &Arc<str>) {
        self.hooks.output.begin(Arc::clone(request_id));
        self.hooks.sender.begin();
    }

    /// The instance has been made: what it grows by counts from here on.
    pub fn made(&mut self) {
        self.memory.initial = self.memory.used;
    }

    /// Ends a request that went well. Gives whether another one may follow: only if this one has left nothing with the
    /// host, and the instance has not grown much.
    pub fn end(&mut self) -> bool {
        self.hooks.output.end();
        self.table.is_empty() && self.memory.used.saturating_sub(self.memory.initial) <= MAX_GROWTH
    }

    /// What has happened if the component broke off with `error`.
    pub fn failure(&self, error: &wasmtime::Error) -> Failure {
        if self.memory.denied { Failure::OutOfMemory } else { Failure::trapped(error) }
    }

    /// What the imports of `orders:state/store` work on.
    pub fn state_view(&mut self) -> StateView<'_> {
        StateView { store: &*self.store }
    }

    /// Whether the guest holds a body that it has neither finished nor dropped.
    pub fn holds_open_body(&mut self) -> bool {
        self.table.iter_mut().any(|resource| resource.is::<HostOutgoingBody>())
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

/// What a guest may do with HTTP beyond answering.
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
    ) -> Box<dyn Future<Output = Result<Sent, HttpError>> + Send> {
        let request_id = self.output.request_id();
        self.sender.send(request, options.unwrap_or_default(), request_id.as_deref().unwrap_or_default())
    }

    /// There is no other.
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

/// Counts the memory of one instance, over all its linear memories.
#[derive(Debug)]
pub struct MemoryLimit {
    max: usize,
    used: usize,
    /// What it had before its first request.
    initial: usize,
    /// What was granted last: given back if it could not be had after all.
    granted: usize,
    /// Whether the instance was ever refused memory.
    pub denied: bool,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = desired.saturating_sub(current);
        let used = self.used.saturating_add(wanted);
        if used > self.max {
            self.denied = true;
            return Ok(false);
        }
        (self.used, self.granted) = (used, wanted);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.used = self.used.saturating_sub(std::mem::take(&mut self.granted));
        Ok(())
    }

    /// The pool bounds the size of a table.
    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}
