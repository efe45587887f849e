//! The only wiring: what is built in which order, what runs, and how it ends.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use crate::{
    admin::AdminServer,
    config::{LimitsConfig, ServeConfig, ShutdownConfig},
    http::{
        activity::{InFlightCount, Timeouts},
        limits::Limits,
        listener::{self, Connections, Listener, ReservedAddress},
        service::Service,
        workers::Workers,
    },
    lifecycle::shutdown::{Hangup, Lifecycle, Phase, Signals},
    module::{
        component::ModuleError,
        hash::ModuleHash,
        shelf::Shelf,
        source::{self, Source},
    },
    rollout::{
        archive::ModuleArchive,
        candidate::{self, CandidateBuilder},
        events::{Origin, Step},
        roster::Roster,
        slot::{LoadedModule, Slot},
        smoke::SmokeTest,
        swap::{Offer, OfferQueue, Swapper},
    },
    sandbox::{
        engine::{self, Compiler},
        guest::InstanceBounds,
        instance::Reach,
        outbound::Outbound,
    },
    store::{self, Store},
};

/// How long cut connections may take to notice.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the store may take to write what is left and close. Whatever it had acknowledged is safe anyway.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

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
    let taken = Signals::take_over().and_then(|signals| Ok((signals, Hangup::take_over()?)));
    let (mut signals, hangup) =
        taken.map_err(|error| StartError(format!("cannot take over signals: {error}")))?;
    tokio::select! {
        started = start(&config) => {
            let running = started?;
            Ok(running.until_told(&mut signals, hangup, &config.shutdown).await)
        }
        signal = signals.next() => {
            tracing::info!(signal, "told to end before the service had started");
            Ok(Ending::Orderly)
        }
    }
}

/// A service that has started.
struct Running {
    listener: Listener,
    connections: Connections,
    service: Arc<Service>,
    swapper: Arc<Swapper>,
    queue: OfferQueue,
    offers: mpsc::Receiver<Offer>,
    admin: Option<AdminServer>,
    busy: InFlightCount,
}

async fn start(config: &ServeConfig) -> Result<Running, StartError> {
    let began = Instant::now();
    config.limits.check().map_err(StartError)?;
    let location = config.store.location(config.limits.request_timeout.0).map_err(StartError)?;
    let door = config.admin.door().map_err(StartError)?;
    listener::raise_open_file_limit(config.limits.max_connections).map_err(StartError)?;
    let refused = |why: &dyn fmt::Display| StartError::from(source::file_error(&config.component, why));
    let roster = Arc::new(Roster::default());
    let builder = Arc::new(candidate_builder(config, &roster)?);
    let First { module, source, from, archive } = first(config).await?;
    roster.record(module, Step::Received { from, size: source.size() });
    let candidate = builder.build(module, source, &archive).await.map_err(|error| refused(&error))?;

    let threads = config.threads.count();
    let workers = Workers::start(threads)
        .map_err(|error| StartError(format!("cannot start {threads} threads: {error}")))?;
    let reserved = reserve(config.listen, "--listen")?;
    let door = door.map(|(address, token)| Ok::<_, StartError>((reserve(address, "--admin-listen")?, token)));
    let door = door.transpose()?;
    let store = store::open(&location).await.map_err(|error| StartError(error.to_string()))?;
    let smoke = smoke_test(config, &store);
    if let Err(why) = smoke.run(&candidate, &roster).await {
        store.close().await;
        return Err(refused(&why));
    }
    if from == Origin::Start {
        archive.activate_named_component().await.map_err(StartError)?;
    }
    let reach = Reach { store: Arc::clone(&store), outbound: Outbound::to(&config.allow_outbound) };
    let slot = Arc::new(Slot::new(LoadedModule::new(candidate, reach.clone(), builder.bounds)));
    let listener = listen(reserved, "--listen")?;
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    roster.record(module, Step::Promoted { trial: None, replaced: None, duration_ms });

    let component = config.component.clone();
    let (trust, terms) = (config.trust.clone(), config.terms.clone());
    let (queue, offers) = OfferQueue::new();
    let serving = Arc::clone(&slot);
    let swapper = Swapper { component, trust, builder, smoke, reach, slot: serving, roster, archive, terms };
    let swapper = Arc::new(swapper);
    let admin = door
        .map(|(reserved, token)| {
            let listener = listen(reserved, "--admin-listen")?;
            Ok::<_, StartError>(AdminServer::new(listener, token, Arc::clone(&swapper), queue.clone()))
        })
        .transpose()?;
    let admin_address = admin.as_ref().map(AdminServer::address).map(tracing::field::display);
    tracing::info!(
        address = %listener.address,
        admin_address,
        component = %config.component.display(),
        %module,
        store = %location,
        threads,
        version = env!("CARGO_PKG_VERSION"),
        "serving"
    );
    let limits = Limits::new(&config.limits);
    let service = Arc::new(Service { slot, limits, store, lifecycle: Lifecycle::default() });
    let busy = InFlightCount::default();
    let timeouts = Timeouts::from(&config.limits);
    let max = config.limits.max_connections;
    let connections = Connections::new(workers, Arc::clone(&service), timeouts, busy.clone(), max);
    Ok(Running { listener, connections, service, swapper, queue, offers, admin, busy })
}

/// What serves first.
struct First {
    module: ModuleHash,
    source: Source,
    from: Origin,
    archive: ModuleArchive,
}

/// What `--component` names; or what served when the process before this one ended, if that was pushed over the same
/// component.
async fn first(config: &ServeConfig) -> Result<First, StartError> {
    let (named, source) = candidate::read_source(&config.component, &config.trust).await?;
    let folder = &config.module_dir;
    let shelf = folder.module_dir.as_ref().map(|dir| Shelf::open(dir, folder.keep_modules.into()));
    let archive = ModuleArchive::new(shelf.transpose().map_err(StartError)?, named);
    let Some((module, bytes)) = archive.module_to_restore().await.map_err(StartError)? else {
        return Ok(First { module: named, source, from: Origin::Start, archive });
    };
    let source = Source::from_component(bytes, &config.trust)
        .map_err(|error| StartError(format!("the module {module}, which served last: {error}")))?;
    Ok(First { module, source, from: Origin::Restart, archive })
}

fn reserve(address: SocketAddr, option: &str) -> Result<ReservedAddress, StartError> {
    listener::reserve(address).map_err(|error| unlistenable(address, option, &error))
}

fn listen(reserved: ReservedAddress, option: &str) -> Result<Listener, StartError> {
    let address = reserved.address();
    reserved.listen().map_err(|error| unlistenable(address, option, &error))
}

fn unlistenable(address: SocketAddr, option: &str, error: &io::Error) -> StartError {
    StartError(format!("cannot listen on {address}: {error}; {option} names another address"))
}

/// Room for all requests, of whichever module, and what makes components ready for it.
fn candidate_builder(config: &ServeConfig, roster: &Arc<Roster>) -> Result<CandidateBuilder, StartError> {
    let LimitsConfig { max_concurrent, max_memory, instance_reuse, .. } = config.limits;
    let max_memory = max_memory.bytes();
    // Where instances are kept, both the module that serves and a candidate may have idle ones.
    let modules = if instance_reuse > 1 { 2 } else { 1 };
    let instances = u32::from(max_concurrent) * modules + candidate::CHECK_INSTANCES;
    let runtime = engine::start(instances, max_memory, Compiler::Off).map_err(StartError)?;
    let bounds = InstanceBounds { max_memory, max_requests: instance_reuse };
    Ok(CandidateBuilder { runtime, checks: config.checks.clone(), bounds, roster: Arc::clone(roster) })
}

fn smoke_test(config: &ServeConfig, store: &Arc<dyn Store>) -> SmokeTest {
    SmokeTest {
        requests: config.checks.smoke.clone(),
        store: Arc::clone(store),
        timeout: config.limits.request_timeout.0,
        max_memory: config.limits.max_memory.bytes(),
    }
}

impl Running {
    async fn until_told(self, signals: &mut Signals, mut hangup: Hangup, config: &ShutdownConfig) -> Ending {
        let Self { listener, connections, service, swapper, queue, mut offers, admin, busy } = self;
        let mut served = tokio::spawn(listener.run(connections));
        let asked = admin.map(|admin| tokio::spawn(admin.run(service.lifecycle.clone())));
        // Whatever is being made ready when the drain begins is let go.
        let signal = tokio::select! {
            signal = signals.next() => signal,
            never = swapper.run(&queue, &mut offers, &mut hangup) => match never {},
            ended = &mut served => {
                tracing::error!(?ended, "the listener has failed");
                return Ending::Cut;
            }
        };
        drop(offers);
        service.slot.withdraw();
        tracing::info!(signal, delay = %config.drain_delay, timeout = %config.drain_timeout, "draining");
        let ending = tokio::select! {
            ending = drain(&service, served, &busy, config) => ending,
            signal = signals.next() => {
                tracing::error!(signal, cut = busy.get(), "told again to end: ending at once");
                Ending::Cut
            }
        };
        if let Some(asked) = asked {
            asked.abort();
        }
        ending
    }
}

async fn drain(
    service: &Service,
    served: tokio::task::JoinHandle<()>,
    busy: &InFlightCount,
    config: &ShutdownConfig,
) -> Ending {
    let began = Instant::now();
    service.lifecycle.enter(Phase::Draining);
    tokio::time::sleep(config.drain_delay.0).await;

    service.lifecycle.enter(Phase::Stopping(Instant::now()));
    let mut finish = std::pin::pin!(async {
        let _ = served.await;
        service.limits.wait_until_idle().await;
    });
    let mut ending = Ending::Orderly;
    if timeout(config.drain_timeout.0, &mut finish).await.is_err() {
        // Where no request is under way, only silent connections are left, and nobody is cut short.
        let cut = busy.get().max(service.limits.in_flight());
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
