//! A component made ready to serve: compiled, loaded, linked, and one instance made of it.

use std::{future::Future, path::Path, sync::Arc, time::Instant};

use tokio::{runtime::Handle, task::spawn_blocking};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::{
    compiling,
    config::{ChecksConfig, StoreLocation, TrustConfig},
    engine::Runtime,
    guest::{Guest, InstanceBounds},
    instance::{InstanceState, Reach},
    module::{Module, ModuleError, ModuleHash},
    source::Source,
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
    let began = Instant::now();
    let (file, trust) = (path.to_owned(), trust.clone());
    let source = aside(async move { Source::read(&file, &trust).map(|source| (source.hash(), source)) });
    let (module, source) = source.await.map_err(ModuleError).flatten()?;
    tracing::info!(%module, component = %path.display(), duration_ms = since(began), "component read");
    Ok((module, source))
}

impl Workshop {
    /// Makes a component ready.
    ///
    /// # Errors
    ///
    /// [`ModuleError`] if it does not compile, imports what this host does not offer, exports no handler, or cannot be
    /// started.
    pub async fn make(
        self: &Arc<Self>,
        module: ModuleHash,
        source: Source,
    ) -> Result<Candidate, ModuleError> {
        let compiled = match source {
            Source::Compiled(compiled) => compiled,
            Source::Component(bytes) => {
                let began = Instant::now();
                let compiled = compiling::compile(&bytes, module, &self.checks).await?;
                let code = compiled.file().len();
                tracing::info!(%module, bytes = bytes.len(), code, duration_ms = since(began), "component compiled");
                compiled
            }
        };
        let began = Instant::now();
        let workshop = Arc::clone(self);
        let linked = aside(async move {
            let loaded = compiled.load(&workshop.runtime.engine).map_err(|error| error.to_string())?;
            drop(compiled);
            try_out(&workshop.runtime, &loaded, workshop.bounds.max_memory).await
        });
        let linked = linked.await.flatten().map_err(ModuleError)?;
        tracing::info!(%module, duration_ms = since(began), "component loaded and tried");
        Ok(Candidate { module, linked })
    }
}

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
