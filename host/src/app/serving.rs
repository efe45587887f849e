//! What runs from the end of the start to the end of the drain.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use super::drain::{Ending, drain};
use crate::{
    admin::AdminServer,
    config::ShutdownConfig,
    http::{activity::InFlightCount, service::Service},
    lifecycle::shutdown::{Hangup, Signals},
    rollout::{
        environment::HostEnvironment,
        handle::Rollouts,
        keeper::keep_history,
        offer::Offer,
        owner::{Owner, RollBack},
        reload::reload_on_hangup,
    },
    sandbox::workers::Workers,
    store::Store,
};

/// How long saving the history of modules may take at the end.
const HISTORY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long releasing the module folder may take at the end. It begins when the drain does.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// A service that has started.
pub(super) struct Running {
    pub(super) listener_task: JoinHandle<()>,
    /// Must live until every call has ended: some go on after their connections.
    pub(super) workers: Arc<Workers>,
    pub(super) service: Arc<Service>,
    pub(super) store: Arc<dyn Store>,
    pub(super) rollout: RolloutTasks,
    pub(super) admin: Option<AdminServer>,
    pub(super) busy: InFlightCount,
}

/// What decides which module serves, and its commands.
pub(super) struct RolloutTasks {
    pub(super) owner: Owner<HostEnvironment>,
    pub(super) environment: HostEnvironment,
    pub(super) handle: Arc<Rollouts>,
    pub(super) offers: mpsc::Receiver<Offer>,
    pub(super) rollbacks: mpsc::Receiver<RollBack>,
}

impl Running {
    /// Serves until a signal, then drains.
    pub(super) async fn run(
        self,
        signals: &mut Signals,
        mut hangup: Hangup,
        config: &ShutdownConfig,
    ) -> Ending {
        let Self { mut listener_task, workers, service, store, rollout, admin, busy } = self;
        let RolloutTasks { owner, environment, handle, mut offers, mut rollbacks } = rollout;
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
        if handle.slot.candidate().is_some() {
            handle.slot.remove_minority();
        }
        let archive = Arc::clone(&handle.archive);
        let release = tokio::spawn(async move {
            // The keeper ends once the owner has ended and the last change is saved.
            let _ = timeout(HISTORY_TIMEOUT, keeper_task).await;
            archive.release().await;
        });
        tracing::info!(
            event = "drain.started",
            signal,
            delay = %config.drain_delay,
            timeout = %config.drain_timeout,
            "draining"
        );
        let ending = tokio::select! {
            ending = drain(&service, &*store, listener_task, &busy, config) => ending,
            signal = signals.next() => {
                let cut = busy.get();
                tracing::error!(event = "drain.aborted", signal, cut, "second signal: exiting immediately");
                Ending::Cut
            }
        };
        if let Some(admin_task) = admin_task {
            admin_task.abort();
        }
        let _ = timeout(RELEASE_TIMEOUT, release).await;
        drop(workers);
        ending
    }
}
