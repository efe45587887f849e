//! What is known of modules, and what happened to them: told to the log, and kept for whoever asks.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    module::hash::ModuleHash,
    rollout::events::{Comparison, Event, Step},
};

/// Events that are kept for those who ask later.
const MAX_EVENTS: usize = 512;
/// Modules that are remembered.
const MAX_RECORDS: usize = 64;

/// Where a module stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is being made ready.
    Checking,
    /// It gets a share of the requests.
    OnTrial,
    /// It gets all requests, or those that no candidate gets.
    Serving,
    /// It has served, and another one does now.
    Replaced,
    /// It has failed a check.
    Refused,
    /// It had requests, and did worse.
    RolledBack,
    /// It lies in the module folder, and has done nothing since the start.
    Stored,
}

/// What is known of a module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its hash.
    pub module: ModuleHash,
    /// Its size, in bytes, if that is known.
    pub size: Option<u64>,
    /// Where it stands.
    pub state: State,
    /// Since when: RFC 3339, UTC.
    pub since: String,
    /// Why it was refused or rolled back.
    pub why: Option<String>,
    /// How much was to be seen of it when it was last on trial: as the option is written.
    pub window: Option<String>,
    /// How it did when it was last compared.
    pub trial: Option<Comparison>,
}

/// All modules that anything has happened to, and what it was.
#[derive(Debug, Default)]
pub struct Roster {
    kept: Mutex<Kept>,
    /// The number of the last event.
    last: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Event>,
    /// The one that something happened to last comes last.
    records: Vec<Record>,
}

impl Roster {
    /// Something has happened to a module.
    pub fn note(&self, module: ModuleHash, step: Step) {
        log(module, &step);
        let mut kept = self.kept();
        let event = Event { number: *self.last.borrow() + 1, at: now(), module, step };
        kept.remember(&event);
        let number = event.number;
        kept.events.push_back(event);
        if kept.events.len() > MAX_EVENTS {
            kept.events.pop_front();
        }
        drop(kept);
        self.last.send_replace(number);
    }

    /// The number of the last event.
    pub fn last(&self) -> u64 {
        *self.last.borrow()
    }

    /// The events after that of this number, as far as they are kept.
    pub fn after(&self, number: u64) -> Vec<Event> {
        self.kept().events.iter().filter(|event| event.number > number).cloned().collect()
    }

    /// Sees when more happens.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// What is known of this module.
    pub fn record(&self, module: ModuleHash) -> Option<Record> {
        self.kept().records.iter().find(|record| record.module == module).cloned()
    }

    /// What is known of all; the one that something happened to last comes first.
    pub fn records(&self) -> Vec<Record> {
        self.kept().records.iter().rev().cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn remember(&mut self, event: &Event) {
        let place = self.records.iter().position(|record| record.module == event.module);
        let mut record = place.map_or_else(
            || Record {
                module: event.module,
                size: None,
                state: State::Checking,
                since: event.at.clone(),
                why: None,
                window: None,
                trial: None,
            },
            |place| self.records.remove(place),
        );
        let before = record.state;
        match &event.step {
            Step::Received { size, .. } => {
                record.size = Some(*size);
                record.state = State::Checking;
                (record.why, record.window, record.trial) = (None, None, None);
            }
            Step::Compiled { .. } | Step::Loaded { .. } | Step::Smoked { .. } => {}
            Step::OnTrial { window, .. } => {
                record.state = State::OnTrial;
                record.window = Some(window.clone());
            }
            Step::Measured { trial } | Step::Kept { trial } => record.trial = Some(trial.clone()),
            Step::Promoted { trial, replaced, .. } => {
                record.state = State::Serving;
                record.trial.clone_from(trial);
                self.moved(*replaced, State::Replaced, &event.at);
            }
            Step::Refused { why } => {
                record.state = State::Refused;
                record.why = Some(why.clone());
            }
            Step::RolledBack { why, trial, serving } => {
                record.state = State::RolledBack;
                record.why = Some(why.clone());
                record.trial.clone_from(trial);
                self.moved(Some(*serving), State::Serving, &event.at);
            }
        }
        if record.state != before {
            record.since.clone_from(&event.at);
        }
        self.records.push(record);
        if self.records.len() > MAX_RECORDS {
            // Never the one that serves, and never the newest.
            let old = self.records.iter().position(|record| record.state != State::Serving);
            self.records.remove(old.unwrap_or_default());
        }
    }

    /// Another module has moved because of the one that something has happened to.
    fn moved(&mut self, module: Option<ModuleHash>, state: State, at: &str) {
        let moved = self.records.iter_mut().find(|record| Some(record.module) == module);
        if let Some(record) = moved
            && record.state != state
        {
            record.state = state;
            at.clone_into(&mut record.since);
        }
    }
}

/// This moment, as it is written.
pub fn now() -> String {
    written(SystemTime::now())
}

/// A moment, as it is written.
pub fn written(moment: SystemTime) -> String {
    humantime::format_rfc3339_millis(moment).to_string()
}

fn log(module: ModuleHash, step: &Step) {
    match step {
        Step::Received { from, size } => {
            tracing::info!(%module, ?from, size, "component received");
        }
        Step::Compiled { duration_ms, code } => {
            tracing::info!(%module, duration_ms, code, "component compiled");
        }
        Step::Loaded { duration_ms } => {
            tracing::info!(%module, duration_ms, "component loaded and tried");
        }
        Step::Smoked { request, status, duration_ms } => {
            tracing::info!(%module, request, status, duration_ms, "smoke request answered");
        }
        Step::OnTrial { share, window } => {
            tracing::info!(%module, share, window, "on trial");
        }
        Step::Measured { trial } => {
            tracing::debug!(%module, ?trial, "compared");
        }
        Step::Promoted { trial, replaced: Some(replaced), duration_ms } => {
            tracing::info!(%module, %replaced, duration_ms, trial = told(trial.as_ref()), "promoted");
        }
        // The start says so itself.
        Step::Promoted { replaced: None, .. } => {}
        Step::Refused { why } => {
            tracing::error!(%module, why, "refused: nothing has changed");
        }
        Step::RolledBack { why, trial, serving } => {
            tracing::error!(%module, why, %serving, trial = told(trial.as_ref()), "rolled back");
        }
        Step::Kept { trial } => {
            tracing::info!(%module, trial = told(Some(trial)), "watched, and kept");
        }
    }
}

fn told(trial: Option<&Comparison>) -> Option<String> {
    trial.and_then(|trial| serde_json::to_string(trial).ok())
}
