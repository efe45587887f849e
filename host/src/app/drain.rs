//! How the service drains: in phases, each with a time limit.

use std::time::Duration;

use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::{
    config::ShutdownConfig,
    http::{activity::InFlightCount, service::Service},
    lifecycle::shutdown::Phase,
    store::Store,
};

/// How long connections may take to close once they are cut.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the store may take to finish its queue and close. Acknowledged commits are safe either way.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// How a service that had started ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every admitted request was answered.
    Orderly,
    /// A request was cut, the store did not close in time, the listener failed, or a second signal arrived.
    Cut,
}

/// Drains the service after a signal, and closes `store`.
pub(super) async fn drain(
    service: &Service,
    store: &dyn Store,
    listener_task: JoinHandle<()>,
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
        let cut = busy.get();
        if cut > 0 {
            tracing::error!(event = "drain.timed_out", cut, "drain timed out: cutting requests in flight");
            ending = Ending::Cut;
        }
        service.lifecycle.enter(Phase::Cutting);
        let _ = timeout(CUT_TIMEOUT, &mut finish).await;
    }

    if timeout(CLOSE_TIMEOUT, store.close()).await.is_err() {
        // Whatever the store has acknowledged is durable.
        tracing::error!(event = "store.close_timed_out", "store did not close in time");
        ending = Ending::Cut;
    }
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(event = "service.stopped", duration_ms, orderly = ending == Ending::Orderly, "stopped");
    ending
}
