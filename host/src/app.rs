//! The only wiring: what is built in which order, what runs, and how it ends.

use std::{fmt, io, path::Path, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::{
    clock::{BusyCount, Patience},
    compiled::Compiled,
    config::{
        CompileConfig, InspectConfig, LimitsConfig, ServeConfig, ShutdownConfig, StoreLocation, TrustConfig,
    },
    engine::{self, Compiler, Runtime},
    guest::{Guest, InstanceBounds},
    instance::InstanceState,
    limits::Limits,
    listener::{self, Connections, Listener},
    module::{Module, ModuleError},
    service::Service,
    shutdown::{Lifecycle, Phase, Signals},
    source::{self, Source},
    store,
    workers::Workers,
};

/// How long cut connections may take to notice.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the store may take to write what is left and close. Whatever it had acknowledged is safe anyway.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Instances beyond those that serve requests: the one that is tried at the start.
const SPARE_INSTANCES: u32 = 1;

/// Why the service could not start: one line that names what was wrong and what would be right.
#[derive(Debug)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

impl From<ModuleError> for StartError {
    fn from(error: ModuleError) -> Self {
        Self(error.to_string())
    }
}

/// How a service that had started came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every request that was taken on was answered.
    Orderly,
    /// Something had to be cut, or a second signal asked for it.
    Cut,
}

/// Serves until a signal ends it.
///
/// The component is checked first and the store opened last, so that a start that fails leaves nothing
/// behind; clients can connect only once all is ready.
///
/// # Errors
///
/// [`StartError`] if it could not start.
pub async fn serve(config: ServeConfig) -> Result<Ending, StartError> {
    let mut signals =
        Signals::take_over().map_err(|error| StartError(format!("cannot take over signals: {error}")))?;
    tokio::select! {
        started = start(&config) => {
            let running = started?;
            Ok(running.until_told(&mut signals, &config.shutdown).await)
        }
        signal = signals.next() => {
            tracing::info!(signal, "told to end before the service had started");
            Ok(Ending::Orderly)
        }
    }
}

/// Checks a component as `serve` does, without serving it.
///
/// # Errors
///
/// [`StartError`] if the file is not a component.
pub async fn inspect(config: &InspectConfig) -> Result<(Module, Result<(), String>), StartError> {
    let max_memory = config.max_memory.bytes();
    let (runtime, module) = load(&config.component, &config.trust, SPARE_INSTANCES, max_memory)?;
    let verdict = try_out(&runtime, &module, max_memory).await;
    Ok((module, verdict.map(drop)))
}

/// Compiles a component ahead of time, and tries it as `serve` does before it is written.
///
/// # Errors
///
/// [`StartError`] if the file is not a component, or cannot be compiled for this target. Within, one line that says why
/// the component would not run, or could not be written.
pub async fn compile(config: &CompileConfig) -> Result<Result<Compiled, String>, StartError> {
    let CompileConfig { component, output, target, max_memory } = config;
    let refused = |error: ModuleError| source::refused(component, &error);
    let bytes = source::read_component(component)?;
    let compiled = Compiled::make(&bytes, target.as_deref()).map_err(refused)?;

    let max_memory = max_memory.bytes();
    // What is written is tried itself if it can run here, else the component alone.
    let compiler = if compiled.fits_machine() { Compiler::Off } else { Compiler::On };
    let runtime = start_engine(SPARE_INSTANCES, max_memory, compiler)?;
    let module = match compiler {
        Compiler::Off => compiled.load(&runtime.engine),
        Compiler::On => Module::compile(&runtime.engine, &bytes),
    };
    let module = module.map_err(refused)?;
    if let Err(why) = try_out(&runtime, &module, max_memory).await {
        return Ok(Err(source::refused(component, &why).to_string()));
    }
    let written = write(&compiled, component, output);
    Ok(written.map(|()| compiled).map_err(|error| format!("cannot write {}: {error}", output.display())))
}

fn write(compiled: &Compiled, component: &Path, output: &Path) -> io::Result<()> {
    if output.canonicalize().is_ok_and(|output| component.canonicalize().is_ok_and(|it| it == output)) {
        return Err(io::Error::other("it is the component itself; name another file"));
    }
    compiled.write(output)
}

/// A service that has started.
struct Running {
    listener: Listener,
    connections: Connections,
    service: Arc<Service>,
    busy: BusyCount,
}

async fn start(config: &ServeConfig) -> Result<Running, StartError> {
    config.limits.check().map_err(StartError)?;
    listener::make_room_for(config.limits.max_connections).map_err(StartError)?;
    let LimitsConfig { max_concurrent, max_memory, max_connections, instance_reuse, .. } = config.limits;
    let max_memory = max_memory.bytes();
    let instances = u32::from(max_concurrent) + SPARE_INSTANCES;
    let (runtime, module) = load(&config.component, &config.trust, instances, max_memory)?;
    let linked = try_out(&runtime, &module, max_memory).await;
    let linked = linked.map_err(|why| source::refused(&config.component, &why))?;

    let unlistenable = |error| {
        StartError(format!("cannot listen on {}: {error}; --listen names another address", config.listen))
    };
    let threads = config.threads.count();
    let workers = Workers::start(threads)
        .map_err(|error| StartError(format!("cannot start {threads} threads: {error}")))?;
    let reserved = listener::reserve(config.listen).map_err(unlistenable)?;
    let store = store::open(&config.store).await.map_err(|error| StartError(error.to_string()))?;
    let bounds = InstanceBounds { max_memory, max_requests: instance_reuse };
    let guest = Guest::new(linked, Arc::clone(&store), bounds);
    let listener = reserved.listen().map_err(unlistenable)?;

    tracing::info!(
        address = %listener.address,
        component = %config.component.display(),
        module = %module.hash,
        store = %config.store,
        threads,
        version = env!("CARGO_PKG_VERSION"),
        "serving"
    );
    let service = Arc::new(Service {
        guest: Arc::new(guest),
        module: module.hash,
        limits: Limits::new(&config.limits),
        store,
        lifecycle: Lifecycle::default(),
    });
    let busy = BusyCount::default();
    let patience = Patience::from(&config.limits);
    let connections =
        Connections::new(workers, Arc::clone(&service), patience, busy.clone(), max_connections);
    Ok(Running { listener, connections, service, busy })
}

impl Running {
    async fn until_told(self, signals: &mut Signals, config: &ShutdownConfig) -> Ending {
        let Self { listener, connections, service, busy } = self;
        let mut served = tokio::spawn(listener.run(connections));
        let signal = tokio::select! {
            signal = signals.next() => signal,
            ended = &mut served => {
                tracing::error!(?ended, "the listener has failed");
                return Ending::Cut;
            }
        };
        tracing::info!(signal, delay = %config.drain_delay, timeout = %config.drain_timeout, "draining");
        tokio::select! {
            ending = drain(&service, served, &busy, config) => ending,
            signal = signals.next() => {
                tracing::error!(signal, cut = busy.get(), "told again to end: ending at once");
                Ending::Cut
            }
        }
    }
}

async fn drain(
    service: &Service,
    served: tokio::task::JoinHandle<()>,
    busy: &BusyCount,
    config: &ShutdownConfig,
) -> Ending {
    let began = Instant::now();
    service.lifecycle.enter(Phase::Draining);
    tokio::time::sleep(config.drain_delay.0).await;

    service.lifecycle.enter(Phase::Stopping(Instant::now()));
    let mut finish = std::pin::pin!(async {
        let _ = served.await;
        service.limits.all_done().await;
    });
    let mut ending = Ending::Orderly;
    if timeout(config.drain_timeout.0, &mut finish).await.is_err() {
        // Where no request is under way, only silent connections are left, and nobody is cut short.
        let cut = busy.get().max(service.limits.under_way());
        if cut > 0 {
            tracing::error!(cut, "requests outlasted the drain and are cut");
            ending = Ending::Cut;
        }
        service.lifecycle.enter(Phase::Cutting);
        let _ = timeout(CUT_TIMEOUT, &mut finish).await;
    }

    if timeout(CLOSE_TIMEOUT, service.store.close()).await.is_err() {
        tracing::error!("the store did not close in time; what it acknowledged is safe");
        ending = Ending::Cut;
    }
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(duration_ms, orderly = ending == Ending::Orderly, "ended");
    ending
}

/// Reads a component, compiled or not, and makes it ready to be linked, with an engine that has what this takes.
fn load(
    path: &Path,
    trust: &TrustConfig,
    max_instances: u32,
    max_memory: usize,
) -> Result<(Runtime, Module), StartError> {
    let source = Source::read(path, trust)?;
    let runtime = start_engine(max_instances, max_memory, source.compiler())?;
    let module = source.load(&runtime.engine).map_err(|error| source::refused(path, &error))?;
    Ok((runtime, module))
}

fn start_engine(max_instances: u32, max_memory: usize, compiler: Compiler) -> Result<Runtime, StartError> {
    engine::start(max_instances, max_memory, compiler)
        .map_err(|error| StartError(format!("cannot set up room for {max_instances} instances: {error:#}")))
}

/// Links the component and makes one instance of it, over a store that is thrown away: what would run.
async fn try_out(
    runtime: &Runtime,
    module: &Module,
    max_memory: usize,
) -> Result<ProxyPre<InstanceState>, String> {
    let linked = module.link(runtime).map_err(|error| error.to_string())?;
    let scratch = store::open(&StoreLocation::Memory).await.map_err(|error| error.to_string())?;
    let guest = Guest::new(linked.clone(), scratch, InstanceBounds { max_memory, max_requests: 1 });
    guest.try_instantiate().await.map_err(|failure| format!("it does not start: {failure}"))?;
    Ok(linked)
}
