//! Every known module and its state, and the events, which go to the log and to operators.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    module::hash::ModuleHash,
    rollout::{
        events::{Comparison, Event, Step},
        step_log,
    },
};

/// Maximum number of events that are kept for clients that resume.
const MAX_EVENTS: usize = 512;
/// Maximum number of modules that have a record.
pub(super) const MAX_RECORDS: usize = 64;

/// The state of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is being made ready.
    Checking,
    /// It receives a share of the requests.
    OnTrial,
    /// It receives all requests, except a candidate's share.
    Serving,
    /// It has served, and another module has replaced it.
    Replaced,
    /// It has failed a check, and never received requests.
    Refused,
    /// It received requests, and was withdrawn because it was worse or an operator requested it.
    RolledBack,
    /// It is in the module folder, and has not been used since the start.
    Stored,
}

/// The record of a module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its hash.
    pub module: ModuleHash,
    /// The size of its component, in bytes, if known.
    pub size: Option<u64>,
    /// Its state.
    pub state: State,
    /// When it entered this state: RFC 3339, UTC.
    pub since: String,
    /// Why it was refused or rolled back.
    pub why: Option<String>,
    /// How much evidence there was in its last trial or watch, if it was too little for a verdict.
    #[serde(default)]
    pub unproven: Option<String>,
    /// Whether it serves and its watch is not over.
    #[serde(default)]
    pub watched: bool,
    /// The window of its last trial, as the option is written.
    pub window: Option<String>,
    /// Its last comparison with a control.
    pub trial: Option<Comparison>,
}

impl Record {
    /// The record of a module of which nothing is known yet.
    fn new(module: ModuleHash, since: String) -> Self {
        Self {
            module,
            size: None,
            state: State::Checking,
            since,
            why: None,
            unproven: None,
            watched: false,
            window: None,
            trial: None,
        }
    }
}

/// All modules with events, and the latest events.
#[derive(Debug, Default)]
pub struct Roster {
    history: Mutex<History>,
    /// The number of the last event.
    last_event: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct History {
    events: VecDeque<Event>,
    /// Ordered by the time of each module's last event.
    records: Vec<Record>,
}

impl Roster {
    /// Records a step of a module as an event, and logs it.
    pub fn record(&self, module: ModuleHash, step: Step) {
        step_log::log(module, &step);
        let mut history = self.history();
        let event = Event { number: *self.last_event.borrow() + 1, at: now(), module, step };
        history.update_records(&event);
        let number = event.number;
        history.events.push_back(event);
        if history.events.len() > MAX_EVENTS {
            history.events.pop_front();
        }
        // While the history is locked, so that no two events have the same number.
        self.last_event.send_replace(number);
    }

    /// Adds the records of an earlier process, the one with the latest event first, beside those that exist. `serving`
    /// serves now.
    pub fn restore(&self, records: Vec<Record>, serving: ModuleHash) {
        let mut history = self.history();
        let is_unjudged =
            |record: &Record| record.module == serving && (record.watched || record.unproven.is_some());
        if let Some(unjudged) = records.iter().find(|record| is_unjudged(record)) {
            let why = match unjudged.watched {
                true => "the service was restarted during its watch".to_owned(),
                false => unjudged.unproven.clone().unwrap_or_default(),
            };
            step_log::log_unproven(serving, Some(&why));
            if let Some(record) = history.records.iter_mut().find(|record| record.module == serving) {
                record.unproven = Some(why);
            }
        }
        let mut restored: Vec<_> = records
            .into_iter()
            .filter(|record| !history.records.iter().any(|known| known.module == record.module))
            .take(MAX_RECORDS.saturating_sub(history.records.len()))
            .collect();
        for record in &mut restored {
            match record.state {
                State::Serving if record.module != serving => record.state = State::Replaced,
                State::Checking | State::OnTrial => {
                    record.state = State::RolledBack;
                    record.why = Some("the service was restarted during its rollout".to_owned());
                }
                _ => {}
            }
        }
        restored.reverse();
        restored.append(&mut history.records);
        history.records = restored;
    }

    /// The number of the last event.
    pub fn last_event(&self) -> u64 {
        *self.last_event.borrow()
    }

    /// The events after the one with this number, as far as they are kept.
    pub fn events_after(&self, number: u64) -> Vec<Event> {
        self.history().events.iter().filter(|event| event.number > number).cloned().collect()
    }

    /// A channel that has the number of the last event.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.last_event.subscribe()
    }

    /// The record of a module.
    pub fn get(&self, module: ModuleHash) -> Option<Record> {
        self.history().records.iter().find(|record| record.module == module).cloned()
    }

    /// All records; the module with the latest event comes first.
    pub fn records(&self) -> Vec<Record> {
        self.history().records.iter().rev().cloned().collect()
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl History {
    fn update_records(&mut self, event: &Event) {
        let index = self.records.iter().position(|record| record.module == event.module);
        let mut record = index
            .map_or_else(|| Record::new(event.module, event.at.clone()), |index| self.records.remove(index));
        let state_before = record.state;
        match &event.step {
            Step::Received { size, .. } => {
                record.size = Some(*size);
                record.state = State::Checking;
                (record.why, record.unproven, record.window, record.trial) = (None, None, None, None);
            }
            Step::Compiled { .. } | Step::Loaded { .. } | Step::Smoked { .. } | Step::Extended { .. } => {}
            Step::OnTrial { window, .. } => {
                record.state = State::OnTrial;
                record.window = Some(window.clone());
            }
            Step::Measured { trial } => record.trial = Some(trial.clone()),
            Step::Kept { trial, unproven } => {
                record.watched = false;
                record.trial = Some(trial.clone());
                record.unproven.clone_from(unproven);
            }
            Step::Promoted { trial, unproven, watch, replaced, .. } => {
                record.state = State::Serving;
                record.watched = watch.is_some();
                record.trial.clone_from(trial);
                record.unproven.clone_from(unproven);
                self.change_state(*replaced, State::Replaced, &event.at);
            }
            Step::Refused { why, .. } => {
                record.state = State::Refused;
                record.why = Some(why.clone());
            }
            Step::RolledBack { why, trial, serving, .. } => {
                record.state = State::RolledBack;
                record.watched = false;
                record.why = Some(why.clone());
                record.trial.clone_from(trial);
                self.change_state(Some(*serving), State::Serving, &event.at);
            }
        }
        if record.state != state_before {
            record.since.clone_from(&event.at);
        }
        self.records.push(record);
        if self.records.len() > MAX_RECORDS {
            // Never the serving module, and never the newest record.
            let oldest = self.records.iter().position(|record| record.state != State::Serving);
            self.records.remove(oldest.unwrap_or_default());
        }
    }

    /// Changes the state of another module as a consequence of an event. It may have no record: there are only so many.
    fn change_state(&mut self, module: Option<ModuleHash>, state: State, at: &str) {
        let Some(module) = module else { return };
        let index = self.records.iter().position(|record| record.module == module);
        let mut record =
            index.map_or_else(|| Record::new(module, at.to_owned()), |index| self.records.remove(index));
        if record.state != state {
            record.state = state;
            record.why = None;
            at.clone_into(&mut record.since);
        }
        self.records.insert(index.unwrap_or(self.records.len()), record);
    }
}

fn now() -> String {
    format_time(SystemTime::now())
}

/// Formats a time: RFC 3339 with milliseconds, UTC.
pub fn format_time(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}
