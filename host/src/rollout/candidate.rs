//! A component made ready to serve: compiled, loaded, linked, and one instance made of it.

use std::{future::Future, path::Path, sync::Arc, time::Instant};

use tokio::{runtime::Handle, task::spawn_blocking};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::{
    config::{ChecksConfig, StoreLocation, TrustConfig},
    module::{
        compiled::Compiled,
        compiling,
        component::{Module, ModuleError},
        hash::ModuleHash,
        source::Source,
    },
    rollout::{events::Step, kept::Kept, roster::Roster},
    sandbox::{
        engine::Runtime,
        guest::{Guest, InstanceBounds},
        instance::{InstanceState, Reach},
    },
    store,
};

/// What components are made ready with.
#[allow(missing_debug_implementations, reason = "an engine has nothing to show")]
pub struct Workshop {
    /// What they are loaded into and linked with; it needs no compiler.
    pub runtime: Runtime,
    /// What compiling may take.
    pub checks: ChecksConfig,
    /// What an instance may take.
    pub bounds: InstanceBounds,
    /// Where it is told what happens.
    pub roster: Arc<Roster>,
}

/// A component that could serve.
#[allow(missing_debug_implementations, reason = "linked code has nothing to show")]
pub struct Candidate {
    /// Names the module.
    pub module: ModuleHash,
    /// The module, linked with what this host offers.
    pub linked: ProxyPre<InstanceState>,
}

/// Reads the file of a component, compiled or not, with the hash that names it.
///
/// # Errors
///
/// [`ModuleError`] if the file cannot be read, is too large, or is not trusted as it has to be.
pub async fn read(path: &Path, trust: &TrustConfig) -> Result<(ModuleHash, Source), ModuleError> {
    let (file, trust) = (path.to_owned(), trust.clone());
    let source = aside(async move { Source::read(&file, &trust).map(|source| (source.hash(), source)) });
    source.await.map_err(ModuleError).flatten()
}

impl Workshop {
    /// Makes a component ready. It is kept, with its compiled form, and what is kept need not be compiled again.
    ///
    /// # Errors
    ///
    /// [`ModuleError`] if it does not compile, imports what this host does not offer, exports no handler, or cannot be
    /// started; or if it cannot be kept.
    pub async fn make(
        self: &Arc<Self>,
        module: ModuleHash,
        source: Source,
        kept: &Kept,
    ) -> Result<Candidate, ModuleError> {
        let bytes = match source {
            Source::Compiled(compiled) => return self.load(module, Arc::new(compiled)).await,
            Source::Component(bytes) => kept.store(bytes).await.map_err(ModuleError)?,
        };
        if let Some(compiled) = kept.compiled(module).await {
            match self.load(module, Arc::new(compiled)).await {
                Ok(candidate) => return Ok(candidate),
                // It may be of another machine.
                Err(why) => tracing::warn!(%module, %why, "stored code cannot be used"),
            }
        }
        let compiled = self.compile(module, &bytes, kept).await?;
        drop(bytes);
        self.load(module, compiled).await
    }

    async fn load(
        self: &Arc<Self>,
        module: ModuleHash,
        compiled: Arc<Compiled>,
    ) -> Result<Candidate, ModuleError> {
        let began = Instant::now();
        let workshop = Arc::clone(self);
        let linked = aside(async move {
            let loaded = compiled.load(&workshop.runtime.engine).map_err(|error| error.to_string())?;
            drop(compiled);
            try_out(&workshop.runtime, &loaded, workshop.bounds.max_memory).await
        });
        let linked = linked.await.flatten().map_err(ModuleError)?;
        self.roster.note(module, Step::Loaded { duration_ms: since(began) });
        Ok(Candidate { module, linked })
    }

    async fn compile(
        &self,
        module: ModuleHash,
        bytes: &[u8],
        kept: &Kept,
    ) -> Result<Arc<Compiled>, ModuleError> {
        let began = Instant::now();
        let compiled = Arc::new(compiling::compile(bytes, module, &self.checks).await?);
        let code = u64::try_from(compiled.file().len()).unwrap_or(u64::MAX);
        self.roster.note(module, Step::Compiled { duration_ms: since(began), code });
        kept.store_compiled(&compiled).await;
        Ok(compiled)
    }
}

/// Instances that [`try_out`] needs room for.
pub const INSTANCES_TO_TRY: u32 = 1;

/// Links the component and makes one instance of it, over a store that is thrown away: what would run.
///
/// # Errors
///
/// One line that says why it would not.
pub async fn try_out(
    runtime: &Runtime,
    module: &Module,
    max_memory: usize,
) -> Result<ProxyPre<InstanceState>, String> {
    let linked = module.link(runtime).map_err(|error| error.to_string())?;
    let scratch = store::open(&StoreLocation::Memory).await.map_err(|error| error.to_string())?;
    let reach = Reach { store: scratch, outbound: None };
    let guest = Guest::new(linked.clone(), reach, InstanceBounds { max_memory, max_requests: 1 });
    guest.try_instantiate().await.map_err(|failure| format!("it does not start: {failure}"))?;
    Ok(linked)
}

/// Does work on a thread that nothing else waits for: it computes for a while, and connections are to be accepted
/// meanwhile.
///
/// # Errors
///
/// One line, if the work has broken off.
pub async fn aside<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, String> {
    let runtime = Handle::current();
    let done = spawn_blocking(move || runtime.block_on(work));
    done.await.map_err(|error| format!("checking it has broken off: {error}"))
}

/// The milliseconds that something took.
pub fn since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}
