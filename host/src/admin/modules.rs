//! What operators read about modules: all of them, or one.

use std::{collections::BTreeMap, time::SystemTime};

use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    api::AdminApi,
    response::{ApiError, Content, json},
};
use crate::{
    module::{hash::ModuleHash, shelf::StoredModule},
    rollout::{
        events::Numbers,
        machine::Phase,
        owner::Status,
        roster::{Record, State, format_time},
    },
};

/// The serving module, the rollout in progress, and all known modules. Earlier versions of the host leave out the members
/// that have a default.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overview {
    /// The serving module.
    pub serving: View,
    /// The module on trial.
    pub candidate: Option<View>,
    /// The module beside a watched one.
    #[serde(default)]
    pub control: Option<Control>,
    /// The module that a rollback returns to. It may have to be loaded first.
    pub previous: Option<View>,
    /// The rollout in progress.
    #[serde(default)]
    pub rollout: Option<Progress>,
    /// All known modules: first those with events, the latest event first; then those that are only stored.
    pub modules: Vec<View>,
    /// Whether a pushed module serves again after a restart.
    pub durable: bool,
    /// The number of smoke requests that a module must pass; `None` if unknown.
    #[serde(default)]
    pub smoke_requests: Option<usize>,
    /// The terms for a module that is pushed without any, named like the options of the service.
    pub terms: BTreeMap<String, String>,
    /// The number of the last event.
    pub event: u64,
}

/// A rollout in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Its phase.
    pub phase: Phase,
    /// The module that is rolled out; `None` while a rollback is carried out.
    pub module: Option<ModuleHash>,
    /// How long the trial or the watch still lasts at the most, in seconds.
    pub seconds_left: Option<u64>,
}

/// The module that keeps a share of the requests while the one after it is watched.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Control {
    /// The module.
    #[serde(flatten)]
    pub view: View,
    /// Its share of the requests, in percent.
    pub share: u8,
    /// How long the watch still lasts, in seconds.
    pub seconds_left: Option<u64>,
}

/// A module: its record, and its counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct View {
    /// Its state and history.
    #[serde(flatten)]
    pub record: Record,
    /// Its counts since it became ready; none if it cannot be called now.
    pub done: Option<Numbers>,
}

impl AdminApi {
    pub(super) async fn overview(&self) -> Result<Response<Content>, ApiError> {
        let slot = &self.rollouts.slot;
        // The phase before the records: a client that reads that the rollout is over must also read how it ended.
        let status = self.rollouts.status();
        let event = self.rollouts.roster.last_event();
        let mut modules: Vec<_> =
            self.rollouts.roster.records().into_iter().map(|record| self.view(record)).collect();
        for stored in self.rollouts.archive.list().await.map_err(internal_error)? {
            if !modules.iter().any(|known| known.record.module == stored.module) {
                modules.push(View { record: stored_record(&stored), done: None });
            }
        }
        let view_of = |module: ModuleHash| {
            let known = modules.iter().find(|view| view.record.module == module).cloned();
            known.unwrap_or_else(|| self.view(unknown_record(module)))
        };
        let seconds_left = status.seconds_left();
        let overview = Overview {
            serving: view_of(slot.module()),
            candidate: slot.candidate().map(|candidate| view_of(candidate.module)),
            control: slot.control().map(|(control, share)| Control {
                view: view_of(control.module),
                share: share.percent(),
                seconds_left,
            }),
            previous: status.previous.map(view_of),
            rollout: progress(status),
            durable: self.rollouts.archive.is_durable(),
            smoke_requests: Some(self.rollouts.smoke_requests),
            terms: self
                .rollouts
                .terms
                .named()
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            event,
            modules,
        };
        Ok(json(StatusCode::OK, &overview))
    }

    pub(super) async fn module(&self, name: &str) -> Result<Response<Content>, ApiError> {
        let module = parse_module(name)?;
        if let Some(record) = self.rollouts.roster.get(module) {
            return Ok(json(StatusCode::OK, &self.view(record)));
        }
        let Some(stored) = self.stored(module).await? else {
            return Err(ApiError::new(
                StatusCode::NOT_FOUND,
                "No module with this hash is known: GET /v1/modules lists all.",
            ));
        };
        Ok(json(StatusCode::OK, &View { record: stored_record(&stored), done: None }))
    }

    /// The module in the module folder. `None` if it is not there.
    pub(super) async fn stored(&self, module: ModuleHash) -> Result<Option<StoredModule>, ApiError> {
        let stored = self.rollouts.archive.list().await.map_err(internal_error)?;
        Ok(stored.into_iter().find(|stored| stored.module == module))
    }

    pub(super) fn view_of(&self, module: ModuleHash) -> View {
        self.view(self.rollouts.roster.get(module).unwrap_or_else(|| unknown_record(module)))
    }

    fn view(&self, record: Record) -> View {
        let slot = &self.rollouts.slot;
        let callable = [Some(slot.serving()), slot.candidate(), slot.previous()];
        let callable = callable.into_iter().flatten().find(|loaded| loaded.module == record.module);
        let done = callable.map(|loaded| Numbers::from(&loaded.guest.tallies.total()));
        View { record, done }
    }
}

/// The module that a path names.
pub(super) fn parse_module(name: &str) -> Result<ModuleHash, ApiError> {
    name.parse().map_err(|why| {
        ApiError::new(StatusCode::NOT_FOUND, format!("The path does not name a module by its hash: {why}."))
    })
}

fn progress(status: Status) -> Option<Progress> {
    let Status { phase, module, .. } = status;
    (phase != Phase::Settled).then(|| Progress { phase, module, seconds_left: status.seconds_left() })
}

fn stored_record(stored: &StoredModule) -> Record {
    let StoredModule { module, size, stored_at } = *stored;
    Record { size: Some(size), since: format_time(stored_at), ..unknown_record(module) }
}

/// The record of a module without any.
fn unknown_record(module: ModuleHash) -> Record {
    Record {
        module,
        size: None,
        state: State::Stored,
        since: format_time(SystemTime::now()),
        why: None,
        unproven: None,
        watched: false,
        window: None,
        trial: None,
    }
}

pub(super) fn internal_error(why: String) -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The commands of this version are clients of services of other versions.
    #[test]
    fn the_overview_of_an_earlier_version_is_read() {
        let module = ModuleHash::digest(b"");
        let view = serde_json::json!({
            "module": module, "size": 7, "state": "serving", "since": "2026-07-01T00:00:00.000Z", "why": null,
            "window": "30s", "done": null,
            "trial": {
                "elapsed_ms": 1,
                "module": { "requests": 1, "failures": 0, "server_errors": 0, "traps": 0, "timeouts": 0,
                            "bad_answers": 0, "p50_us": 7, "p99_us": 7 },
                "other": { "requests": 0, "failures": 0, "server_errors": 0, "traps": 0, "timeouts": 0,
                           "bad_answers": 0, "p50_us": null, "p99_us": null },
            },
        });
        let overview = serde_json::json!({
            "serving": view, "candidate": null, "previous": view, "modules": [view], "durable": true,
            "terms": { "canary": "10%", "window": "30s", "watch": "1m" }, "event": 5,
        });
        let overview: Overview = serde_json::from_value(overview).unwrap();
        assert_eq!((overview.serving.record.module, overview.event), (module, 5));
        assert_eq!((overview.rollout, overview.smoke_requests), (None, None));
        assert!(overview.control.is_none() && overview.serving.record.unproven.is_none());
    }

    #[test]
    fn a_rollout_in_progress_has_a_phase_in_words() {
        let status = |phase| Status { phase, module: None, previous: None, ends: None, ends_at_latest: None };
        assert_eq!(progress(status(Phase::Settled)), None);
        let text = serde_json::to_string(&progress(status(Phase::OnTrial))).unwrap();
        assert_eq!(text, r#"{"phase":"on-trial","module":null,"seconds_left":null}"#);
    }
}
