//! The wasmtime engine: compiler configuration, instance pool, linker.

use std::{
    sync::{Arc, Weak},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, getrlimit};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, ModuleVersionStrategy, PoolingAllocationConfig,
    WasmBacktraceDetails, component::Linker,
};

use crate::{
    lifecycle::{blocking::refused, essential::Essential},
    sandbox::{
        cpu::{IDLE_TICK, TICK},
        imports,
        instance::InstanceState,
        memory_error::{NOT_RESERVED, with_remedy},
        request_body,
        workers::Workers,
        written,
    },
};

/// Wasmtime reserves at least so much address space for each instance, in bytes, whatever memory it may use.
const MIN_RESERVATION: u64 = 4 << 30;

/// The full version of wasmtime that this program was built with.
pub const WASMTIME_VERSION: &str = env!("ORDERS_WASMTIME_VERSION");
/// The target triple that this program was built for.
pub const TARGET: &str = env!("ORDERS_TARGET");

/// Maximum number of core instances in one component: the handler itself, and the adapters that the component model
/// adds. A component built with wit-component has up to 4, one composed with an adapter about twice as many, and one
/// with a Python interpreter 14.
const CORE_INSTANCES: u32 = 24;
/// Maximum numbers of linear memories and tables in one component; a composed component has two memories.
const MEMORIES: u32 = 2;
const TABLES: u32 = 8;
/// The bytes that a 32-bit memory can address. Reserving them all only uses address space, and avoids the bounds
/// check of every access.
const MEMORY_RESERVATION: u64 = 4 << 30;

/// The bytes of an instance's memory, and of each of its tables, that are cleared explicitly when the instance ends.
/// The rest is returned to the operating system, which stops the other threads for a moment and costs one page fault
/// a page when the next instance touches it. With creates and the memory store, this reduces a request from 254 to
/// 130 µs of processor time. Both are needed, because returning one table costs as much as returning the memory.
const KEEP_RESIDENT: usize = 1 << 20;

/// How long the ticks stay short after the last long computation. Long computations come in series.
const SHORT_TICKS: Duration = Duration::from_secs(1);

/// The engine that compiles components, and the linker for their imports.
#[allow(missing_debug_implementations, reason = "an engine has no readable form")]
pub struct Runtime {
    /// Contains the pool of instances, and compiles components if it has a compiler.
    pub engine: Engine,
    /// Everything that a component may import.
    pub linker: Linker<InstanceState>,
}

/// Whether an engine can compile components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiler {
    /// It has a compiler, which stays in memory and starts its own threads when first used.
    On,
    /// It runs only code that was compiled ahead of time.
    Off,
}

/// Creates an engine for up to `max_instances` concurrent instances, none of them with a memory of more than
/// `max_memory` bytes. Starts the thread that advances the engine's epoch; the thread ends with the engine. `background` are the
/// threads on which long computations continue, if there are any.
///
/// # Errors
///
/// One line with wasmtime's error if this machine cannot run the engine, for example because it lacks address space.
pub fn start(
    max_instances: u32,
    max_memory: usize,
    compiler: Compiler,
    background: Option<&Arc<Workers>>,
) -> Result<Runtime, String> {
    let runtime = build(max_instances, max_memory, compiler).map_err(|error| {
        format!("cannot create a pool of {max_instances} instances: {}", with_remedy(&error))
    })?;
    let background = background.map(Arc::downgrade).unwrap_or_default();
    start_epoch_thread(&runtime.engine, background)
        .map_err(|error| format!("cannot start a thread: {}", refused(&error)))?;
    Ok(runtime)
}

/// Checks, in no time, that this process may reserve what [`start`] will.
///
/// # Errors
///
/// One line that names the limit.
pub fn check_address_space(instances: u32) -> Result<(), String> {
    let needed = u64::from(instances).saturating_mul(MIN_RESERVATION);
    match getrlimit(Resource::As).current {
        Some(limit) if limit < needed => Err(format!(
            "{instances} instances reserve {needed} bytes of address space or more, and {limit} are allowed; {NOT_RESERVED}"
        )),
        _ => Ok(()),
    }
}

fn build(max_instances: u32, max_memory: usize, compiler: Compiler) -> wasmtime::Result<Runtime> {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(max_instances)
        .total_core_instances(max_instances.saturating_mul(CORE_INSTANCES))
        .total_memories(max_instances.saturating_mul(MEMORIES))
        .total_tables(max_instances.saturating_mul(TABLES))
        .total_stacks(max_instances)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memory_size(max_memory)
        // A new module reuses the slots of earlier ones before unused ones, so memory does not grow with each module
        // that is loaded and dropped.
        .max_unused_warm_slots(0)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT);

    let mut config = code_config(None)?;
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .enable_compiler(compiler == Compiler::On);
    let engine = Engine::new(&config)?;

    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    request_body::add_error_code(&mut linker)?;
    written::mark_finished(&mut linker)?;
    imports::add_to_linker(&mut linker, InstanceState::state_view)?;

    Ok(Runtime { engine, linker })
}

/// Creates an engine that compiles for `target` and any processor of it, or without a target for this machine's own
/// processor. It runs nothing: it has neither a pool nor an epoch thread.
///
/// # Errors
///
/// wasmtime's error if it does not support the target.
pub fn compiler(target: Option<&str>) -> wasmtime::Result<Engine> {
    Engine::new(&code_config(target)?)
}

/// Describes the configuration that affects the code for `target`, or without a target for this machine, on one line:
/// wasmtime's debug output, with each WebAssembly feature and each setting that differs from the default of its
/// version. Code that was compiled under another configuration must not be loaded.
///
/// # Errors
///
/// wasmtime's error if it does not support the target.
pub fn configuration(target: Option<&str>) -> wasmtime::Result<String> {
    // The compiler's own settings are left out, because an engine that only loads code has no compiler. This program
    // sets none of Cranelift's settings; if it did, they would have to be added here.
    Ok(format!("{:?}", code_config(target)?.enable_compiler(false)))
}

/// The part of the configuration that affects code: the same for compiling and for running.
fn code_config(target: Option<&str>) -> wasmtime::Result<Config> {
    let mut config = Config::new();
    if let Some(target) = target {
        config.target(target)?;
    }
    config
        .memory_reservation(MEMORY_RESERVATION)
        .epoch_interruption(true)
        // The guest has no concurrent tasks, and nothing to garbage-collect; disabling concurrency makes creating a
        // store faster.
        .concurrency_support(false)
        // Otherwise an environment variable decides.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        // By default, wasmtime compares only the major number of its version.
        .module_version(ModuleVersionStrategy::Custom(format!(
            "orders-host {} wasmtime {WASMTIME_VERSION}",
            env!("CARGO_PKG_VERSION")
        )))?;
    Ok(config)
}

fn start_epoch_thread(engine: &Engine, background: Weak<Workers>) -> std::io::Result<()> {
    let engine = engine.weak();
    thread::Builder::new().name("epoch".into()).spawn(move || {
        let _essential = Essential("the thread that interrupts computations");
        let mut last_busy: Option<Instant> = None;
        loop {
            if background.upgrade().is_some_and(|threads| threads.is_busy()) {
                last_busy = Some(Instant::now());
            }
            let short = last_busy.is_some_and(|busy| busy.elapsed() < SHORT_TICKS);
            thread::park_timeout(if short { TICK } else { IDLE_TICK });
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    })?;
    Ok(())
}
