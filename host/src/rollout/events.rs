//! What happens to modules, as operators are told: in the log, by the admin API, on the terminal.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    module::hash::ModuleHash,
    sandbox::tally::{Counts, Fault},
};

/// One step in the life of a module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// It was read: at the start, at a reload, or as it was pushed.
    Received {
        /// What brought it.
        from: Origin,
        /// Its size, in bytes.
        size: u64,
    },
    /// It was compiled, in a process of its own.
    Compiled {
        /// How long that took.
        duration_ms: u64,
        /// The size of its code, in bytes.
        code: u64,
    },
    /// It was loaded and linked, and one instance of it was made.
    Loaded {
        /// How long that took.
        duration_ms: u64,
    },
    /// It has answered a smoke request.
    Smoked {
        /// The request.
        request: String,
        /// The status of its answer.
        status: u16,
        /// How long that took.
        duration_ms: u64,
    },
    /// It gets a share of the requests.
    OnTrial {
        /// How many of a hundred.
        share: u8,
        /// How long, or how many: as the option is written.
        window: String,
    },
    /// How it does, once a second.
    Measured {
        /// How it does.
        trial: Comparison,
    },
    /// It serves all requests.
    Promoted {
        /// How it did on its trial; none if there was no trial.
        trial: Option<Comparison>,
        /// The module that served before; none at a start.
        replaced: Option<ModuleHash>,
        /// From when it was received.
        duration_ms: u64,
    },
    /// It has not come to serve: nothing has changed.
    Refused {
        /// What was wrong, and what would be right.
        why: String,
    },
    /// It had requests, and gets none any more.
    RolledBack {
        /// What was wrong.
        why: String,
        /// How it did, if it was compared.
        trial: Option<Comparison>,
        /// The module that serves.
        serving: ModuleHash,
    },
    /// It was watched for a while after it came to serve, and stays.
    Kept {
        /// How it did.
        trial: Comparison,
    },
}

/// What brings a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The start, from `--component`.
    Start,
    /// The start, from `--module-dir`: it served when the process before this one ended.
    Restart,
    /// SIGHUP, from `--component`.
    Reload,
    /// An operator.
    Push,
}

/// How a module does beside the one that serves, or served before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// How long it has been compared.
    pub elapsed_ms: u64,
    /// What it did.
    pub module: Numbers,
    /// What the other one did.
    pub other: Numbers,
}

/// What a module did in some time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// Requests.
    pub requests: u64,
    /// Those of them that failed, in any way.
    pub failures: u64,
    /// Answered with 500 or above.
    pub server_errors: u64,
    /// Trapped, or out of memory.
    pub traps: u64,
    /// Not ended in time.
    pub timeouts: u64,
    /// No answer, or none that can be sent.
    pub bad_answers: u64,
    /// The time within which half of them were answered; none if there were none.
    pub p50_us: Option<u64>,
    /// The same of 99 %.
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
            bad_answers: counts.faults(Fault::BadAnswer),
            p50_us: counts.within(500).map(micros),
            p99_us: counts.within(990).map(micros),
        }
    }
}

/// A step, and when it happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its number: one more than that of the event before it.
    pub number: u64,
    /// When it happened: RFC 3339, UTC.
    pub at: String,
    /// The module that it happened to.
    pub module: ModuleHash,
    /// What happened.
    #[serde(flatten)]
    pub step: Step,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields of a step stand beside those of its event: none may have the name of another.
    #[test]
    fn events_are_written_and_read() {
        let module = ModuleHash::of(b"");
        let trial = Comparison { elapsed_ms: 1, module: Numbers::default(), other: Numbers::default() };
        let why = "no".to_owned();
        for step in [
            Step::Received { from: Origin::Push, size: 1 },
            Step::Compiled { duration_ms: 1, code: 2 },
            Step::Loaded { duration_ms: 1 },
            Step::Smoked { request: "GET /".to_owned(), status: 200, duration_ms: 1 },
            Step::OnTrial { share: 10, window: "30s".to_owned() },
            Step::Measured { trial: trial.clone() },
            Step::Promoted { trial: Some(trial.clone()), replaced: Some(module), duration_ms: 1 },
            Step::Refused { why: why.clone() },
            Step::RolledBack { why, trial: Some(trial.clone()), serving: module },
            Step::Kept { trial },
        ] {
            let event = Event { number: 1, at: "now".to_owned(), module, step };
            let text = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event, "{text}");
        }
    }
}
