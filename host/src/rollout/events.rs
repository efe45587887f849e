//! The steps of a module, as operators see them: in the log, in the admin API, and on the terminal.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    module::hash::ModuleHash,
    sandbox::tally::{Counts, Fault, StatusClass},
};

/// A step in the life of a module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// It was read at the start or at a reload, or it was pushed.
    Received {
        /// Where it came from.
        from: Origin,
        /// The size of the component, in bytes.
        size: u64,
        /// The name of the operator who asked for it; `None` if no operator did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// It was compiled, in a child process.
    Compiled {
        /// How long that took.
        duration_ms: u64,
        /// The size of its compiled file, in bytes.
        code: u64,
    },
    /// It was loaded, linked, and instantiated once.
    Loaded {
        /// How long that took.
        duration_ms: u64,
    },
    /// It passed a smoke request.
    Smoked {
        /// The request.
        request: String,
        /// The status of the response.
        status: u16,
        /// How long that took.
        duration_ms: u64,
    },
    /// Its trial started: it receives a share of the requests.
    OnTrial {
        /// The share, in percent.
        share: u8,
        /// The window, a time or a number of requests: as the option is written.
        window: String,
        /// Maximum length of the trial, as the option is written; empty if unknown.
        #[serde(default)]
        max_window: String,
    },
    /// Its window is over, and its trial goes on: there is too little evidence for a verdict.
    Extended {
        /// How much evidence there is, and how much a verdict needs.
        why: String,
    },
    /// It was compared with its control; once a second during a trial and a watch.
    Measured {
        /// The comparison.
        trial: Comparison,
    },
    /// It was promoted: it serves all requests, except the control's share while it is watched.
    Promoted {
        /// The comparison at the end of its trial; `None` if there was no trial.
        trial: Option<Comparison>,
        /// How much evidence there was, if it was too little for a verdict.
        #[serde(default)]
        unproven: Option<String>,
        /// How long it is watched, as the option is written; `None` if it is not.
        #[serde(default)]
        watch: Option<String>,
        /// The module that served before; `None` at a start.
        replaced: Option<ModuleHash>,
        /// The time since it was received.
        duration_ms: u64,
    },
    /// It was refused: the serving module is unchanged.
    Refused {
        /// The problem, and its remedy.
        why: String,
        /// Whether an operator requested it.
        #[serde(default)]
        requested: bool,
        /// The name of the operator who asked for it; `None` if no operator did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// It was rolled back: it received requests, and receives no more.
    RolledBack {
        /// The reason.
        why: String,
        /// Whether an operator requested it.
        #[serde(default)]
        requested: bool,
        /// The name of the operator who asked for it; `None` if no operator did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        /// The last comparison, if there was one.
        trial: Option<Comparison>,
        /// The module that serves.
        serving: ModuleHash,
    },
    /// Its watch ended without a verdict against it: it serves all requests from now on.
    Kept {
        /// The comparison at the end of the watch.
        trial: Comparison,
        /// How much evidence there was, if it was too little for a verdict.
        #[serde(default)]
        unproven: Option<String>,
    },
}

/// Where a module came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The start, from `--component`.
    Start,
    /// The start, from `--module-dir`: it served when the previous process ended.
    Restart,
    /// SIGHUP, from `--component`.
    Reload,
    /// A push by an operator.
    Push,
    /// The module folder, at an operator's request.
    Activate,
}

/// The counts of a module and of its control: during a trial the serving module, during a watch the module that served
/// before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// How long the comparison has lasted.
    pub elapsed_ms: u64,
    /// The counts of the module.
    pub module: Numbers,
    /// The counts of its control.
    pub other: Numbers,
}

/// The counts of a module over a period.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// Requests that have ended and are evidence for or against the module.
    pub requests: u64,
    /// Requests that failed, in any way.
    pub failures: u64,
    /// Requests that the module responded to with 500 or above.
    pub server_errors: u64,
    /// Requests that trapped or ran out of memory.
    pub traps: u64,
    /// Requests that did not finish before their deadline.
    pub timeouts: u64,
    /// Requests that exceeded their processor time.
    #[serde(default)]
    pub cpu: u64,
    /// Requests without a response, or with one that cannot be sent.
    pub bad_answers: u64,
    /// Requests that the module responded to with 3xx.
    #[serde(default)]
    pub redirections: u64,
    /// Requests that the module responded to with 4xx.
    #[serde(default)]
    pub client_errors: u64,
    /// The time within which half of the requests ended; `None` if there were no requests.
    pub p50_us: Option<u64>,
    /// The same for 99 % of the requests.
    pub p99_us: Option<u64>,
}

impl From<&Counts> for Numbers {
    fn from(counts: &Counts) -> Self {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self {
            requests: counts.requests(),
            failures: counts.failures(),
            server_errors: counts.faults(Fault::ServerError),
            traps: counts.faults(Fault::Trap),
            timeouts: counts.faults(Fault::Timeout),
            cpu: counts.faults(Fault::Cpu),
            bad_answers: counts.faults(Fault::InvalidResponse),
            redirections: counts.statuses(StatusClass::Redirection),
            client_errors: counts.statuses(StatusClass::ClientError),
            p50_us: counts.quantile(500).map(micros),
            p99_us: counts.quantile(990).map(micros),
        }
    }
}

/// A step of a module, and when it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The number of the event: one more than that of the event before it.
    pub number: u64,
    /// When it happened: RFC 3339, UTC.
    pub at: String,
    /// The module.
    pub module: ModuleHash,
    /// The step.
    #[serde(flatten)]
    pub step: Step,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step's members are beside those of its event in the JSON, so no two may have the same name.
    #[test]
    fn events_survive_a_round_trip_through_json() {
        let module = ModuleHash::digest(b"");
        let trial = Comparison { elapsed_ms: 1, module: Numbers::default(), other: Numbers::default() };
        let why = "no".to_owned();
        for step in [
            Step::Received { from: Origin::Push, size: 1, by: Some("ada".to_owned()) },
            Step::Compiled { duration_ms: 1, code: 2 },
            Step::Loaded { duration_ms: 1 },
            Step::Smoked { request: "GET /".to_owned(), status: 200, duration_ms: 1 },
            Step::OnTrial { share: 10, window: "30s".to_owned(), max_window: "10m".to_owned() },
            Step::Extended { why: why.clone() },
            Step::Measured { trial: trial.clone() },
            Step::Promoted {
                trial: Some(trial.clone()),
                unproven: Some(why.clone()),
                watch: Some("1m".to_owned()),
                replaced: Some(module),
                duration_ms: 1,
            },
            Step::Refused { why: why.clone(), requested: false, by: None },
            Step::RolledBack {
                why,
                requested: true,
                by: Some("ada".to_owned()),
                trial: Some(trial.clone()),
                serving: module,
            },
            Step::Kept { trial, unproven: None },
        ] {
            let event = Event { number: 1, at: "now".to_owned(), module, step };
            let text = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event, "{text}");
        }
    }
}
