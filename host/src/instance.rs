//! What the host keeps for one instance of a component: what it may reach, and how much of it.

use std::{future::Future, sync::Arc};

use http::{Request, Response};
use wasmtime::ResourceLimiter;
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
    p2::body::HostOutgoingBody,
};

use crate::{
    imports::StateView,
    output::{LineLog, Output},
    store::Store,
};

/// Most host resources (bodies, streams, header maps …) that one instance may hold at once. An ordinary
/// request needs about ten; each may hold some 200 KB of the host's memory.
pub const MAX_RESOURCES: usize = 128;
/// Most bytes of one header map, as it lies in memory: twice the largest head that is taken on.
const MAX_FIELDS: usize = 64 * 1024;
/// Most bytes of one write to a response body: what a slow client makes the host hold is about twice this.
const BODY_CHUNK: usize = 64 * 1024;
/// Most random bytes that one call gives. It makes them one by one, without making room for others.
const MAX_RANDOM: u64 = 64 * 1024;

/// The state of one instance.
#[allow(missing_debug_implementations, reason = "made of parts that have nothing to show")]
pub struct InstanceState {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    /// How much memory the instance may still take.
    pub memory: MemoryLimit,
    store: Arc<dyn Store>,
}

impl InstanceState {
    /// An instance gets a clock, randomness, two streams to print to and the store; no folder, no socket, no
    /// variable, no argument.
    pub fn new(store: Arc<dyn Store>, max_memory: usize, request_id: &Arc<str>) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let (stdout, stderr) = LineLog::pair(Output::new(Arc::clone(request_id)));
        let wasi = WasiCtx::builder().stdout(stdout).stderr(stderr).max_random_size(MAX_RANDOM).build();
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(MAX_FIELDS);
        let memory = MemoryLimit { left: max_memory, granted: 0, denied: false };
        Self { table, wasi, http, hooks: Hooks, memory, store }
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

/// What a guest may do with HTTP beyond answering: nothing.
struct Hooks;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, HttpError>> + Send> {
        Box::new(async { Err(HttpError::HttpRequestDenied) })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }
}

/// The answer to an outgoing request, and what keeps its connection going.
type Sent = (Response<WasiBody>, Box<dyn Future<Output = Result<(), HttpError>> + Send>);

/// Counts the memory of one instance, over all its linear memories.
#[derive(Debug)]
pub struct MemoryLimit {
    left: usize,
    /// What was granted last: given back if it could not be had after all.
    granted: usize,
    /// Whether the instance was ever refused memory.
    pub denied: bool,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = desired.saturating_sub(current);
        let Some(left) = self.left.checked_sub(wanted) else {
            self.denied = true;
            return Ok(false);
        };
        (self.left, self.granted) = (left, wanted);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.left = self.left.saturating_add(std::mem::take(&mut self.granted));
        Ok(())
    }

    /// The pool bounds the size of a table.
    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}
