//! The wasmtime engine: how code is compiled, where instances live, what they are linked to.

use std::{thread, time::Duration};

use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, ModuleVersionStrategy, PoolingAllocationConfig,
    WasmBacktraceDetails, component::Linker,
};

use crate::sandbox::{imports, instance::InstanceState, request_body};

/// The version of wasmtime that this program was built with, in full.
pub const WASMTIME_VERSION: &str = env!("ORDERS_WASMTIME_VERSION");
/// The target that this program was built for.
pub const TARGET: &str = env!("ORDERS_TARGET");

/// How often a computing guest makes room for others. A deadline is noticed this much late at most.
const TICK: Duration = Duration::from_millis(10);
/// Core instances in one component: the handler itself, and what the component model puts around it. A component made by
/// wit-component has up to 4, one composed with an adapter about twice as many, and one with an interpreter of Python 14.
const CORE_INSTANCES: u32 = 24;
/// Linear memories and tables in one component; a composed component has two memories.
const MEMORIES: u32 = 2;
const TABLES: u32 = 8;
/// Bytes that a 32-bit memory can address. Reserving them all is address space only, and saves the checks of
/// every access against the bounds.
const MEMORY_RESERVATION: u64 = 4 << 30;

/// Bytes of an instance's memory that are cleared by hand when it ends, and of each of its tables. What lies beyond is
/// given back to the operating system, which stops the other threads for a moment, and costs a page fault a page when the
/// next instance touches it. With creates and the memory store this takes a request from 254 to 130 µs of processor time;
/// it needs both, for one table given back costs as much as the memory.
const KEEP_RESIDENT: usize = 1 << 20;

/// What components are compiled by and linked with.
#[allow(missing_debug_implementations, reason = "an engine has nothing to show")]
pub struct Runtime {
    /// Holds the pool of instances, and compiles components if it has a compiler.
    pub engine: Engine,
    /// Everything that a component may import.
    pub linker: Linker<InstanceState>,
}

/// Whether an engine compiles components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiler {
    /// It does: it has a compiler, which stays in memory and has threads of its own once it was used.
    On,
    /// It runs only what was compiled ahead of time.
    Off,
}

/// An engine with room for `max_instances` instances at once, none of them with a memory of more than
/// `max_memory` bytes. Starts the thread that ticks its clock; the thread ends with the engine.
///
/// # Errors
///
/// One line with what wasmtime says if this machine cannot run it, for example for want of address space.
pub fn start(max_instances: u32, max_memory: usize, compiler: Compiler) -> Result<Runtime, String> {
    build(max_instances, max_memory, compiler)
        .map_err(|error| format!("cannot set up room for {max_instances} instances: {error:#}"))
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
        // A new module takes over what another one has left before it takes room that nobody has used yet: so memory does
        // not grow with each module that comes and goes.
        .max_unused_warm_slots(0)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT);

    let mut config = shaping_code(None)?;
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .enable_compiler(compiler == Compiler::On);
    let engine = Engine::new(&config)?;

    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    request_body::add_error_code(&mut linker)?;
    imports::add_to_linker(&mut linker, InstanceState::state_view)?;

    tick(&engine)?;
    Ok(Runtime { engine, linker })
}

/// An engine that compiles for a target and whatever processor it has, or without one for this machine's own
/// processor. It runs nothing: it has neither a pool nor a clock.
///
/// # Errors
///
/// What wasmtime says if it knows no such target, or cannot compile for it.
pub fn compiler(target: Option<&str>) -> wasmtime::Result<Engine> {
    Engine::new(&shaping_code(target)?)
}

/// Everything of the configuration that shapes code for a target, or without one for this machine, on one line: what
/// wasmtime shows of it, each feature of WebAssembly and each setting that is not the default of its version. Code
/// that was compiled under another configuration must not be loaded.
///
/// # Errors
///
/// What wasmtime says if it knows no such target.
pub fn configuration(target: Option<&str>) -> wasmtime::Result<String> {
    // Without what is said of the compiler itself, for an engine that only loads code has none. Cranelift has settings
    // of its own, none of which we set; they would have to be added here.
    Ok(format!("{:?}", shaping_code(target)?.enable_compiler(false)))
}

/// The part of the configuration that shapes code: the same for compiling and for running.
fn shaping_code(target: Option<&str>) -> wasmtime::Result<Config> {
    let mut config = Config::new();
    if let Some(target) = target {
        config.target(target)?;
    }
    config
        .memory_reservation(MEMORY_RESERVATION)
        .epoch_interruption(true)
        // Neither concurrent tasks in a guest nor references to collect: a store is set up sooner without.
        .concurrency_support(false)
        // Otherwise a variable of the environment decides.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        // Of its own version wasmtime would compare the first number only.
        .module_version(ModuleVersionStrategy::Custom(format!(
            "orders-host {} wasmtime {WASMTIME_VERSION}",
            env!("CARGO_PKG_VERSION")
        )))?;
    Ok(config)
}

fn tick(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    thread::Builder::new().name("epoch".into()).spawn(move || {
        loop {
            thread::park_timeout(TICK);
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    })?;
    Ok(())
}
