//! What is built in which order, until the service serves.

use std::{fmt::Display, io, net::SocketAddr, num::NonZeroU16, sync::Arc};

use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use super::{
    checks::{self, Checked, InitialModule},
    serving::{RolloutTasks, Running},
    store_wait::StoreWait,
};
use crate::{
    admin::{AdminServer, ReservedEndpoint},
    commands::error::CommandError::{self, CouldNotRun},
    config::{LimitsConfig, List, ServeConfig},
    http::{
        activity::{InFlightCount, Timeouts},
        listener::{Connections, ReservedAddress},
        readiness::Readiness,
        service::{Service, Serving},
    },
    lifecycle::blocking::refused,
    module::{hash::ModuleHash, source},
    rollout::{
        archive::ModuleArchive,
        candidate::{self, CandidateBuilder},
        comparison::Comparator,
        environment::HostEnvironment,
        events::{Origin, Step},
        handle::Rollouts,
        history::History,
        offer::OfferQueue,
        owner::Owner,
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
    store::Store,
};

/// Maximum number of rollback commands that wait for the owner.
const MAX_COMMANDS: usize = 16;

/// What runs before the service can serve: clients can connect, and are told that it starts.
struct Front {
    workers: Arc<Workers>,
    service: Arc<Service>,
    busy: InFlightCount,
    address: SocketAddr,
    listener_task: JoinHandle<()>,
}

/// Checks what is quick to check, listens, and then makes everything else ready: the store is reached, the module loaded, the
/// store opened. So a start that fails because of its module has not created a store.
pub(super) async fn start(config: &ServeConfig) -> Result<Running, CommandError> {
    let began = Instant::now();
    let Checked { public, admin, tokens, initial } = checks::check(config).await?;
    let Front { workers, service, busy, address, listener_task } = listen_publicly(config, public)?;
    let mut store_wait = StoreWait::new(config, &service.lifecycle);
    store_wait.reach().await?;

    let refused = |why: &dyn Display| CommandError::could_not_run(source::file_error(&config.component, why));
    let roster = Arc::new(Roster::default());
    let builder = Arc::new(candidate_builder(config, &roster)?);
    let InitialModule { module, source, from, archive } = initial;
    roster.record(module, Step::Received { from, size: source.size(), by: None });
    let candidate = builder.build(module, source, &archive).await.map_err(|error| refused(&error))?;
    // Operators are answered once the service serves. If another process has taken the endpoint meanwhile, no store is created.
    let endpoint = admin.map(ReservedEndpoint::listen).transpose().map_err(CouldNotRun)?;
    let (location, store) = store_wait.open().await?;
    let smoke = smoke_test(config, &store, &builder.bounds);
    if let Err(why) = smoke.run(&candidate, &roster).await {
        store.close().await;
        return Err(refused(&why));
    }
    // The last step that can fail: a start that fails has served nobody.
    if from == Origin::Start
        && let Err(why) = archive.activate_named_component().await
    {
        store.close().await;
        return Err(CouldNotRun(why));
    }
    let previous = restore_history(&archive, &roster, module).await;
    let reach = Reach {
        store: Arc::clone(&store),
        outbound: Outbound::allowing(&List::concat(&config.allow_outbound)),
    };
    let loaded = LoadedModule::new(candidate, reach.clone(), builder.bounds.clone());
    let slot = Arc::new(Slot::new(loaded, MinorityLimits::new(&config.limits)));
    service.begin_serving(Serving { slot: Arc::clone(&slot), readiness: Readiness::new(Arc::clone(&store)) });
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    roster.record(module, first_promotion(duration_ms));

    let request_timeout = config.limits.request_timeout.0;
    let comparator = Comparator { slot, roster, request_timeout };
    let (component, trust) = (config.component.clone(), config.trust.clone());
    let (smoke, archive) = (Arc::new(smoke), Arc::new(archive));
    let environment = HostEnvironment { component, trust, builder, smoke, reach, archive, comparator };
    let rollout = rollout_tasks(environment, config, previous);
    let admin =
        endpoint.map(|endpoint| AdminServer::new(endpoint, tokens.as_ref(), Arc::clone(&rollout.handle)));
    let admin_address = admin.as_ref().map(AdminServer::address).map(tracing::field::display);
    tracing::info!(
        event = "service.started",
        %address,
        admin_address,
        component = %config.component.display(),
        %module,
        store = %location,
        threads = config.threads.count(),
        version = env!("CARGO_PKG_VERSION"),
        "serving"
    );
    Ok(Running { listener_task, workers, service, store, rollout, admin, busy })
}

/// Lets clients connect.
fn listen_publicly(config: &ServeConfig, reserved: ReservedAddress) -> Result<Front, CommandError> {
    let threads = config.threads.count();
    let workers = Arc::new(Workers::start(threads).map_err(|error| cannot_start(threads, &error))?);
    let service = Arc::new(Service::new(&config.limits, &config.shutdown, &config.log));
    let busy = InFlightCount::default();
    let connections = Connections::new(
        Arc::clone(&workers),
        Arc::clone(&service),
        Timeouts::from(&config.limits),
        busy.clone(),
        checks::max_connections(config),
    );
    let listener = checks::listen(reserved)?;
    let address = listener.address;
    tracing::info!(event = "service.listening", listen = %address, "listening; still starting");
    let listener_task = tokio::spawn(listener.run(connections));
    Ok(Front { workers, service, busy, address, listener_task })
}

/// Restores what an earlier process knew about modules, and returns the module that a rollback returns to.
async fn restore_history(
    archive: &ModuleArchive,
    roster: &Roster,
    serving: ModuleHash,
) -> Option<ModuleHash> {
    let history = archive.load_history().await;
    // It may have been corrected: the process may have been killed, or another component deployed.
    archive.save_history(&history).await;
    let History { previous, records, .. } = history;
    roster.restore(records, serving);
    previous
}

/// The owner of the rollout, and what operators use of it.
fn rollout_tasks(
    environment: HostEnvironment,
    config: &ServeConfig,
    previous: Option<ModuleHash>,
) -> RolloutTasks {
    let Comparator { slot, roster, .. } = &environment.comparator;
    let smoke_requests = config.checks.smoke_requests().len();
    if smoke_requests == 0 {
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
        smoke_requests,
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
    CouldNotRun(format!("cannot start {threads} threads: {}", refused(error)))
}

fn smoke_test(config: &ServeConfig, store: &Arc<dyn Store>, bounds: &InstanceBounds) -> SmokeTest {
    SmokeTest {
        requests: config.checks.smoke_requests(),
        store: Arc::clone(store),
        timeout: config.limits.request_timeout.0,
        bounds: bounds.clone(),
    }
}
