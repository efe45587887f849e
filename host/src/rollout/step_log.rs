//! The log lines of a module's steps.

use std::time::Duration;

use crate::{
    log::time::milliseconds,
    module::hash::ModuleHash,
    rollout::events::{Comparison, Numbers, Step},
};

/// Logs a step of a module.
pub(super) fn log(module: ModuleHash, step: &Step) {
    match step {
        Step::Received { from, size, by } => {
            let by = by.as_deref();
            tracing::info!(event = "module.received", %module, ?from, size, by, "component received");
        }
        Step::Compiled { duration_ms, code } => {
            tracing::info!(event = "module.compiled", %module, duration_ms, code, "component compiled");
        }
        Step::Loaded { duration_ms } => {
            tracing::info!(event = "module.loaded", %module, duration_ms, "component loaded and instantiated");
        }
        Step::Smoked { request, status, duration_ms } => tracing::info!(
            event = "rollout.smoke_request_passed", %module, request, status, duration_ms,
            "smoke request passed"
        ),
        Step::OnTrial { share, window, max_window } => tracing::info!(
            event = "rollout.trial_started", %module, share, window, max_window,
            "trial started"
        ),
        Step::Extended { why } => tracing::info!(
            event = "rollout.trial_extended", %module, why,
            "window over; the trial goes on until there is enough evidence"
        ),
        Step::Measured { trial } => log_comparison(module, trial),
        Step::Promoted { trial, unproven, watch, replaced: Some(replaced), duration_ms } => {
            let numbers = Fields::from(trial.as_ref());
            let Fields { requests, failures, p99_ms, control_requests, control_failures, control_p99_ms } =
                numbers;
            tracing::info!(
                event = "rollout.promoted", %module, %replaced, duration_ms, watch, requests, failures, p99_ms,
                control_requests, control_failures, control_p99_ms,
                "module promoted"
            );
            log_unproven(module, unproven.as_deref());
        }
        // The start is logged separately.
        Step::Promoted { replaced: None, .. } => {}
        Step::Refused { why, requested: true, by } => tracing::info!(
            event = "rollout.refused", %module, why, by = by.as_deref(),
            "rollout ended; the serving module is unchanged"
        ),
        Step::Refused { why, requested: false, .. } => tracing::error!(
            event = "rollout.refused", %module, why,
            "component refused; the serving module is unchanged"
        ),
        Step::RolledBack { why, requested, by, trial, serving } => {
            log_rollback(module, why, *requested, by.as_deref(), trial.as_ref(), *serving);
        }
        Step::Kept { trial, unproven } => {
            let numbers = Fields::from(Some(trial));
            let Fields { requests, failures, p99_ms, control_requests, control_failures, control_p99_ms } =
                numbers;
            tracing::info!(
                event = "rollout.settled", %module, requests, failures, p99_ms, control_requests,
                control_failures, control_p99_ms,
                "watch ended; the module remains"
            );
            log_unproven(module, unproven.as_deref());
        }
    }
}

fn log_comparison(module: ModuleHash, trial: &Comparison) {
    let elapsed_ms = trial.elapsed_ms;
    let Fields { requests, failures, p99_ms, control_requests, control_failures, control_p99_ms } =
        Fields::from(Some(trial));
    tracing::debug!(
        event = "rollout.compared", %module, elapsed_ms, requests, failures, p99_ms, control_requests,
        control_failures, control_p99_ms,
        "candidate and control compared"
    );
}

/// A rollback that an operator requested, whose name is `by` if it is known, is no failure of the service.
fn log_rollback(
    module: ModuleHash,
    why: &str,
    requested: bool,
    by: Option<&str>,
    trial: Option<&Comparison>,
    serving: ModuleHash,
) {
    let Fields { requests, failures, p99_ms, control_requests, control_failures, control_p99_ms } =
        Fields::from(trial);
    if requested {
        tracing::info!(
            event = "rollout.rolled_back", %module, why, by, %serving, requests, failures, p99_ms, control_requests,
            control_failures, control_p99_ms,
            "module rolled back"
        );
    } else {
        tracing::error!(
            event = "rollout.rolled_back", %module, why, %serving, requests, failures, p99_ms, control_requests,
            control_failures, control_p99_ms,
            "module rolled back"
        );
    }
}

/// Logs that a module serves for which there was too little evidence.
pub(super) fn log_unproven(module: ModuleHash, why: Option<&str>) {
    if let Some(why) = why {
        tracing::warn!(
            event = "rollout.unproven", %module, why,
            "the module serves without a verdict in its favour"
        );
    }
}

/// The numbers of a comparison as plain fields, absent if there was none.
#[derive(Default)]
struct Fields {
    requests: Option<u64>,
    failures: Option<u64>,
    p99_ms: Option<f64>,
    control_requests: Option<u64>,
    control_failures: Option<u64>,
    control_p99_ms: Option<f64>,
}

impl From<Option<&Comparison>> for Fields {
    fn from(trial: Option<&Comparison>) -> Self {
        let Some(Comparison { module, other, .. }) = trial else { return Self::default() };
        let Numbers { requests, failures, p99_us, .. } = module;
        let logged = |micros| milliseconds(Duration::from_micros(micros));
        Self {
            requests: Some(*requests),
            failures: Some(*failures),
            p99_ms: p99_us.map(logged),
            control_requests: Some(other.requests),
            control_failures: Some(other.failures),
            control_p99_ms: other.p99_us.map(logged),
        }
    }
}
