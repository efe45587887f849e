//! Makes a component ready to serve: compiled, loaded, linked, and instantiated once.

use std::{future::Future, path::Path, sync::Arc, time::Instant};

use tokio::{runtime::Handle, task::spawn_blocking};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::{
    config::{ChecksConfig, StoreLocation, TrustConfig},
    module::{
        compiled::CompiledComponent,
        compiling,
        component::{Module, ModuleError},
        hash::ModuleHash,
        source::Source,
    },
    rollout::{archive::ModuleArchive, events::Step, roster::Roster},
    sandbox::{
        engine::Runtime,
        guest::{Guest, InstanceBounds},
        instance::{InstanceState, Reach},
    },
    store,
};

/// Makes components ready.
#[allow(missing_debug_implementations, reason = "an engine has no readable form")]
pub struct CandidateBuilder {
    /// The engine that loads components and the linker that links them; the engine needs no compiler.
    pub runtime: Runtime,
    /// The limits of compiling.
    pub checks: ChecksConfig,
    /// The limits of an instance.
    pub bounds: InstanceBounds,
    /// Records each step.
    pub roster: Arc<Roster>,
}

/// A component that is ready to serve.
#[allow(missing_debug_implementations, reason = "linked code has no readable form")]
pub struct Candidate {
    /// Identifies the module.
    pub module: ModuleHash,
    /// The component, linked with the interfaces that this host offers.
    pub linked: ProxyPre<InstanceState>,
}

/// Reads the file of a component, compiled or not, and returns it with the hash that identifies the module.
///
/// # Errors
///
/// [`ModuleError`] if the file cannot be read, is too large, or is not trusted as required.
pub async fn read_source(path: &Path, trust: &TrustConfig) -> Result<(ModuleHash, Source), ModuleError> {
    let (file, trust) = (path.to_owned(), trust.clone());
    let read = async move { Source::read(&file, &trust).map(|source| (source.hash(), source)) };
    run_blocking(read).await.map_err(ModuleError).flatten()
}

impl CandidateBuilder {
    /// Makes a component ready. Stores the component and its compiled code in the archive, and compiles only if the archive
    /// has no usable code.
    ///
    /// # Errors
    ///
    /// [`ModuleError`] if it does not compile, imports an interface that this host does not offer, exports no handler, or
    /// cannot be instantiated; or if it cannot be stored.
    pub async fn build(
        self: &Arc<Self>,
        module: ModuleHash,
        source: Source,
        archive: &ModuleArchive,
    ) -> Result<Candidate, ModuleError> {
        let bytes = match source {
            Source::Compiled(compiled) => return self.load(module, Arc::new(compiled)).await,
            Source::Component(bytes) => archive.store_component(bytes).await.map_err(ModuleError)?,
        };
        if let Some(compiled) = archive.read_compiled(module).await {
            match self.load(module, Arc::new(compiled)).await {
                Ok(candidate) => return Ok(candidate),
                // It may have been compiled on another machine.
                Err(why) => tracing::warn!(
                    event = "module.stored_code_rejected",
                    %module,
                    %why,
                    "stored code rejected; compiling again"
                ),
            }
        }
        let compiled = self.compile(module, &bytes, archive).await?;
        drop(bytes);
        self.load(module, compiled).await
    }

    async fn load(
        self: &Arc<Self>,
        module: ModuleHash,
        compiled: Arc<CompiledComponent>,
    ) -> Result<Candidate, ModuleError> {
        let began = Instant::now();
        let builder = Arc::clone(self);
        let linked = run_blocking(async move {
            let loaded = compiled.load(&builder.runtime.engine).map_err(|error| error.to_string())?;
            drop(compiled);
            link_and_instantiate(&builder.runtime, &loaded, builder.bounds.max_memory).await
        });
        let linked = linked.await.flatten().map_err(ModuleError)?;
        self.roster.record(module, Step::Loaded { duration_ms: elapsed_ms(began) });
        Ok(Candidate { module, linked })
    }

    async fn compile(
        &self,
        module: ModuleHash,
        bytes: &[u8],
        archive: &ModuleArchive,
    ) -> Result<Arc<CompiledComponent>, ModuleError> {
        let began = Instant::now();
        let compiled = Arc::new(compiling::compile(bytes, module, &self.checks).await?);
        let code = u64::try_from(compiled.file().len()).unwrap_or(u64::MAX);
        self.roster.record(module, Step::Compiled { duration_ms: elapsed_ms(began), code });
        archive.store_compiled(&compiled).await;
        Ok(compiled)
    }
}

/// The instances that [`link_and_instantiate`] needs room for.
pub const CHECK_INSTANCES: u32 = 1;

/// Links a component and instantiates it once, over a temporary store, to prove that it would run.
///
/// # Errors
///
/// One line that says why it would not run.
pub async fn link_and_instantiate(
    runtime: &Runtime,
    module: &Module,
    max_memory: usize,
) -> Result<ProxyPre<InstanceState>, String> {
    let linked = module.link(runtime).map_err(|error| error.to_string())?;
    let scratch = store::open(&StoreLocation::Memory).await.map_err(|error| error.to_string())?;
    let reach = Reach { store: scratch, outbound: None };
    let guest = Guest::new(linked.clone(), reach, InstanceBounds::of_start(max_memory));
    guest.try_instantiate().await.map_err(|failure| format!("it does not start: {failure}"))?;
    Ok(linked)
}

/// Runs work that computes for a while on a thread for blocking work, so that this thread can accept connections meanwhile.
///
/// # Errors
///
/// One line, if the work was aborted.
pub async fn run_blocking<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, String> {
    let runtime = Handle::current();
    let done = spawn_blocking(move || runtime.block_on(work));
    done.await.map_err(|error| format!("the check was aborted: {error}"))
}

/// The milliseconds since `began`.
pub fn elapsed_ms(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}
