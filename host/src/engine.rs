//! The wasmtime engine: how code is compiled, where instances live, what they are linked to.

use std::{thread, time::Duration};

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, component::Linker};

use crate::{body, imports, instance::InstanceState};

/// How often a computing guest makes room for others. A deadline is noticed this much late at most.
const TICK: Duration = Duration::from_millis(10);
/// Core instances in one component: the handler itself, and what the component model puts around it. A
/// component made by wit-component has up to 4, one composed with an adapter about twice as many.
const CORE_INSTANCES: u32 = 10;
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
    /// Compiles components and holds the pool of instances.
    pub engine: Engine,
    /// Everything that a component may import.
    pub linker: Linker<InstanceState>,
}

/// An engine with room for `max_instances` instances at once, none of them with a memory of more than
/// `max_memory` bytes. Starts the thread that ticks its clock; the thread ends with the engine.
///
/// # Errors
///
/// What wasmtime says if this machine cannot run it, for example for want of address space.
pub fn start(max_instances: u32, max_memory: usize) -> wasmtime::Result<Runtime> {
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
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT);

    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_reservation(MEMORY_RESERVATION)
        .epoch_interruption(true)
        // Neither concurrent tasks in a guest nor references to collect: a store is set up sooner without.
        .concurrency_support(false);
    let engine = Engine::new(&config)?;

    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    body::add_error_code(&mut linker)?;
    imports::add_to_linker(&mut linker, InstanceState::state_view)?;

    tick(&engine)?;
    Ok(Runtime { engine, linker })
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
