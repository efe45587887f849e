//! The wiring of the service: what is built in which order, what runs, and how it drains.

use std::{fmt::Display, io, net::SocketAddr, num::NonZeroU16, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use crate::{
    admin::{self, AdminServer},
    commands::error::CommandError::{self, CouldNotRun},
    config::{LimitsConfig, ServeConfig, ShutdownConfig},
    http::{
        activity::{InFlightCount, Timeouts},
        limits::Limits,
        listener::{self, Connections, Listener, MaxConnections, ReservedAddress},
        service::Service,
    },
    lifecycle::shutdown::{Hangup, Phase, Signals},
    module::{
        hash::ModuleHash,
        shelf::Shelf,
        source::{self, Source},
    },
    rollout::{
        archive::ModuleArchive,
        candidate::{self, CandidateBuilder},
        comparison::Comparator,
        environment::HostEnvironment,
        events::{Origin, Step},
        handle::Rollouts,
        history::History,
        keeper::keep_history,
        offer::{Offer, OfferQueue},
        owner::{Owner, RollBack},
        reload::reload_on_hangup,
        roster::Roster,
        slot::{LoadedModule, MinorityLimits, Slot},
        smoke::{self, SmokeTest},
    },
    sandbox::{
        engine::{self, Compiler},
        guest::InstanceBounds,
        instance::Reach,
        outbound::Outbound,
        response_limits::ResponseLimits,
        workers::Workers,
    },
    store::{self, Store},
};

/// How long connections may take to close once they are cut.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the store may take to finish its queue and close. Acknowledged commits are safe either way.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of rollback commands that wait for the owner.
const MAX_COMMANDS: usize = 16;
/// How long saving the history of modules may take at the end.
const HISTORY_TIMEOUT: Duration = Duration::from_secs(2);

/// How a service that had started ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every admitted request was answered.
    Orderly,
    /// A request was cut, the store did not close in time, the listener failed, or a second signal arrived.
    Cut,
}

/// Serves until a signal ends it.
///
/// The component is checked first and the store opened last, so that a failed start leaves nothing behind. Clients can
/// connect only once everything is ready.
///
/// # Errors
///
/// [`CommandError::CouldNotRun`] if the service could not start.
pub async fn serve(config: ServeConfig) -> Result<Ending, CommandError> {
    let handlers = Signals::install().and_then(|signals| Ok((signals, Hangup::install()?)));
    let (mut signals, hangup) =
        handlers.map_err(|error| CouldNotRun(format!("cannot install signal handlers: {error}")))?;
    tokio::select! {
        started = start(&config) => Ok(started?.run(&mut signals, hangup, &config.shutdown).await),
        signal = signals.next() => {
            tracing::info!(event = "service.start_aborted", signal, "start aborted by a signal");
            Ok(Ending::Orderly)
        }
    }
}

/// A service that has started.
struct Running {
    listener: Listener,
    connections: Connections,
    /// Must live until every call has ended: some go on after their connections.
    workers: Arc<Workers>,
    service: Arc<Service>,
    rollout: RolloutTasks,
    admin: Option<AdminServer>,
    busy: InFlightCount,
}

/// What decides which module serves, and its commands.
struct RolloutTasks {
    owner: Owner<HostEnvironment>,
    environment: HostEnvironment,
    handle: Arc<Rollouts>,
    offers: mpsc::Receiver<Offer>,
    rollbacks: mpsc::Receiver<RollBack>,
}

async fn start(config: &ServeConfig) -> Result<Running, CommandError> {
    let began = Instant::now();
    config.limits.check().map_err(CouldNotRun)?;
    Limits::warn_of_memory(&config.limits);
    let location = config.store.location(config.limits.request_timeout.0).map_err(CouldNotRun)?;
    let admin_endpoint = config.admin.endpoint().map_err(CouldNotRun)?;
    listener::raise_open_file_limit(max_connections(config)).map_err(CouldNotRun)?;
    let refused = |why: &dyn Display| CommandError::could_not_run(source::file_error(&config.component, why));
    let roster = Arc::new(Roster::default());
    let builder = Arc::new(candidate_builder(config, &roster)?);
    let InitialModule { module, source, from, archive } = initial_module(config).await?;
    roster.record(module, Step::Received { from, size: source.size() });
    let candidate = builder.build(module, source, &archive).await.map_err(|error| refused(&error))?;

    let threads = config.threads.count();
    let workers = Arc::new(Workers::start(threads).map_err(|error| cannot_start(threads, &error))?);
    let reserved = reserve(config.listen, "--listen")?;
    let admin_socket = admin_endpoint
        .map(|(address, token)| Ok::<_, CommandError>((reserve(address, "--admin-listen")?, token)))
        .transpose()?;
    let store = store::open(&location).await.map_err(CommandError::could_not_run)?;
    let smoke = smoke_test(config, &store, &builder.bounds);
    if let Err(why) = smoke.run(&candidate, &roster).await {
        store.close().await;
        return Err(refused(&why));
    }
    if from == Origin::Start {
        archive.activate_named_component().await.map_err(CouldNotRun)?;
    }
    let history = archive.load_history().await;
    // It may have been corrected: the process may have been killed, or another component deployed.
    archive.save_history(&history).await;
    let History { previous, records, .. } = history;
    roster.restore(records, module);
    let reach = Reach { store: Arc::clone(&store), outbound: Outbound::allowing(&config.allow_outbound) };
    let loaded = LoadedModule::new(candidate, reach.clone(), builder.bounds.clone());
    let slot = Arc::new(Slot::new(loaded, MinorityLimits::new(&config.limits)));
    let listener = listen(reserved, "--listen")?;
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    roster.record(module, first_promotion(duration_ms));

    let request_timeout = config.limits.request_timeout.0;
    let comparator = Comparator { slot: Arc::clone(&slot), roster, request_timeout };
    let (component, trust) = (config.component.clone(), config.trust.clone());
    let (smoke, archive) = (Arc::new(smoke), Arc::new(archive));
    let environment = HostEnvironment { component, trust, builder, smoke, reach, archive, comparator };
    let rollout = rollout_tasks(environment, config, previous);
    let admin = admin_socket
        .map(|(reserved, token)| {
            let listener = listen(reserved, "--admin-listen")?;
            Ok::<_, CommandError>(AdminServer::new(listener, token, Arc::clone(&rollout.handle)))
        })
        .transpose()?;
    let admin_address = admin.as_ref().map(AdminServer::address).map(tracing::field::display);
    tracing::info!(
        event = "service.started",
        address = %listener.address,
        admin_address,
        component = %config.component.display(),
        %module,
        store = %location,
        threads,
        version = env!("CARGO_PKG_VERSION"),
        "serving"
    );
    let service = Arc::new(Service::new(slot, store, &config.limits, &config.shutdown, &config.log));
    let busy = InFlightCount::default();
    let timeouts = Timeouts::from(&config.limits);
    let max = max_connections(config);
    let connections =
        Connections::new(Arc::clone(&workers), Arc::clone(&service), timeouts, busy.clone(), max);
    Ok(Running { listener, connections, workers, service, rollout, admin, busy })
}

/// The owner of the rollout, and what operators use of it.
fn rollout_tasks(
    environment: HostEnvironment,
    config: &ServeConfig,
    previous: Option<ModuleHash>,
) -> RolloutTasks {
    let Comparator { slot, roster, .. } = &environment.comparator;
    if config.checks.smoke.is_empty() {
        smoke::log_no_requests(slot.module());
    }
    let (queue, offers) = OfferQueue::new();
    let (commands, rollbacks) = mpsc::channel(MAX_COMMANDS);
    let (owner, status) = Owner::new(environment.clone(), Arc::clone(slot), Arc::clone(roster), previous);
    let handle = Arc::new(Rollouts {
        slot: Arc::clone(slot),
        roster: Arc::clone(roster),
        archive: Arc::clone(&environment.archive),
        terms: config.terms.clone(),
        trust: config.trust.clone(),
        smoke_requests: config.checks.smoke.len(),
        queue,
        rollbacks: commands,
        status,
    });
    RolloutTasks { owner, environment, handle, offers, rollbacks }
}

/// The step of the module that serves first.
fn first_promotion(duration_ms: u64) -> Step {
    Step::Promoted { trial: None, unproven: None, watch: None, replaced: None, duration_ms }
}

/// The module that serves first.
struct InitialModule {
    module: ModuleHash,
    source: Source,
    from: Origin,
    archive: ModuleArchive,
}

/// The module that served when the previous process ended, if it replaced the component that `--component` names; otherwise
/// that component.
async fn initial_module(config: &ServeConfig) -> Result<InitialModule, CommandError> {
    let (named, source) = candidate::read_source(&config.component, &config.trust)
        .await
        .map_err(CommandError::could_not_run)?;
    let folder = &config.module_dir;
    let shelf = folder.module_dir.as_ref().map(|dir| Shelf::open(dir, folder.keep_modules.into()));
    let archive = ModuleArchive::new(shelf.transpose().map_err(CouldNotRun)?, named);
    let Some((module, bytes)) = archive.module_to_restore().await.map_err(CouldNotRun)? else {
        return Ok(InitialModule { module: named, source, from: Origin::Start, archive });
    };
    let source = Source::from_component(bytes, &config.trust).map_err(|error| {
        CouldNotRun(format!("cannot restore the module {module}, which served last: {error}"))
    })?;
    Ok(InitialModule { module, source, from: Origin::Restart, archive })
}

fn max_connections(config: &ServeConfig) -> MaxConnections {
    MaxConnections {
        clients: config.limits.max_connections,
        watched: config.limits.max_concurrent,
        operators: config.admin.admin_listen.0.map_or(0, |_| admin::MAX_CONNECTIONS),
    }
}

fn reserve(address: SocketAddr, option: &str) -> Result<ReservedAddress, CommandError> {
    listener::reserve(address).map_err(|error| cannot_listen(address, option, &error))
}

fn listen(reserved: ReservedAddress, option: &str) -> Result<Listener, CommandError> {
    let address = reserved.address();
    reserved.listen().map_err(|error| cannot_listen(address, option, &error))
}

fn cannot_listen(address: SocketAddr, option: &str, error: &io::Error) -> CommandError {
    CouldNotRun(format!("cannot listen on {address}: {error}; choose another address with {option}"))
}

/// Reserves instances for all requests of all modules, and prepares components for them.
fn candidate_builder(config: &ServeConfig, roster: &Arc<Roster>) -> Result<CandidateBuilder, CommandError> {
    let LimitsConfig { max_concurrent, max_memory, instance_reuse, request_timeout, max_cpu, .. } =
        config.limits;
    let max_memory = max_memory.bytes();
    // With reuse, both the serving module and a candidate may hold idle instances.
    let modules = if instance_reuse > 1 { 2 } else { 1 };
    let instances = u32::from(max_concurrent) * modules + candidate::CHECK_INSTANCES;
    let threads = config.threads.count();
    let background = Workers::start_in_background(threads).map_err(|error| cannot_start(threads, &error))?;
    let background = Arc::new(background);
    let runtime =
        engine::start(instances, max_memory, Compiler::Off, Some(&background)).map_err(CouldNotRun)?;
    let bounds = InstanceBounds {
        max_memory,
        max_requests: instance_reuse,
        request_timeout: request_timeout.0,
        max_cpu: max_cpu.0,
        background: Some(background),
        responses: Arc::new(ResponseLimits::new(&config.limits)),
    };
    Ok(CandidateBuilder { runtime, checks: config.checks.clone(), bounds, roster: Arc::clone(roster) })
}

fn cannot_start(threads: NonZeroU16, error: &io::Error) -> CommandError {
    CouldNotRun(format!("cannot start {threads} threads: {error}"))
}

fn smoke_test(config: &ServeConfig, store: &Arc<dyn Store>, bounds: &InstanceBounds) -> SmokeTest {
    SmokeTest {
        requests: config.checks.smoke.clone(),
        store: Arc::clone(store),
        timeout: config.limits.request_timeout.0,
        bounds: bounds.clone(),
    }
}

impl Running {
    /// Serves until a signal, then drains.
    async fn run(self, signals: &mut Signals, mut hangup: Hangup, config: &ShutdownConfig) -> Ending {
        let Self { listener, connections, workers, service, rollout, admin, busy } = self;
        let RolloutTasks { owner, environment, handle, mut offers, mut rollbacks } = rollout;
        let mut listener_task = tokio::spawn(listener.run(connections));
        let admin_task = admin.map(|admin| tokio::spawn(admin.run(service.lifecycle.clone())));
        let keeper = keep_history(
            Arc::clone(&handle.archive),
            Arc::clone(&handle.slot),
            Arc::clone(&handle.roster),
            handle.status.clone(),
        );
        let keeper_task = tokio::spawn(keeper);
        // The drain drops the owner's future, and with it any module that is still being prepared.
        let signal = tokio::select! {
            signal = signals.next() => signal,
            never = owner.run(&mut offers, &mut rollbacks) => match never {},
            never = reload_on_hangup(&environment, &handle.terms, &handle.queue, &mut hangup) => match never {},
            ended = &mut listener_task => {
                tracing::error!(event = "service.listener_failed", ?ended, "listener failed");
                return Ending::Cut;
            }
        };
        drop((offers, rollbacks));
        // The shares of a watch stay: nothing shows that the watched module is good.
        if service.slot.candidate().is_some() {
            service.slot.remove_minority();
        }
        tracing::info!(
            event = "drain.started",
            signal,
            delay = %config.drain_delay,
            timeout = %config.drain_timeout,
            "draining"
        );
        let ending = tokio::select! {
            ending = drain(&service, listener_task, &busy, config) => ending,
            signal = signals.next() => {
                let cut = busy.get();
                tracing::error!(event = "drain.aborted", signal, cut, "second signal: exiting immediately");
                Ending::Cut
            }
        };
        if let Some(admin_task) = admin_task {
            admin_task.abort();
        }
        // It ends once the owner has ended and the last change is saved.
        let _ = timeout(HISTORY_TIMEOUT, keeper_task).await;
        drop(workers);
        ending
    }
}

async fn drain(
    service: &Service,
    listener_task: tokio::task::JoinHandle<()>,
    busy: &InFlightCount,
    config: &ShutdownConfig,
) -> Ending {
    let began = Instant::now();
    service.lifecycle.enter(Phase::Draining);
    tokio::time::sleep(config.drain_delay.0).await;

    service.lifecycle.enter(Phase::Stopping(Instant::now()));
    let mut finish = std::pin::pin!(async {
        let _ = listener_task.await;
        service.limits.wait_until_idle().await;
    });
    let mut ending = Ending::Orderly;
    if timeout(config.drain_timeout.0, &mut finish).await.is_err() {
        // Without a request in flight, only idle connections are left: closing them cuts nothing.
        let cut = busy.get().max(service.limits.in_flight());
        if cut > 0 {
            tracing::error!(event = "drain.timed_out", cut, "drain timed out: cutting requests in flight");
            ending = Ending::Cut;
        }
        service.lifecycle.enter(Phase::Cutting);
        let _ = timeout(CUT_TIMEOUT, &mut finish).await;
    }

    if timeout(CLOSE_TIMEOUT, service.store.close()).await.is_err() {
        // Whatever the store has acknowledged is durable.
        tracing::error!(event = "store.close_timed_out", "store did not close in time");
        ending = Ending::Cut;
    }
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(event = "service.stopped", duration_ms, orderly = ending == Ending::Orderly, "stopped");
    ending
}
