//! The options of a rollout: what a module must do before it serves, how it replaces another, and where modules are kept.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, ValueEnum};

use super::values::{List, Period, Size, SmokeRequest, list, nonzero_period};

/// What a component must do before it serves, at the start and in each rollout, and the limits of preparing it.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Checks before a component serves")]
pub struct ChecksConfig {
    /// Request that a component must answer before it serves, without a write to the store: `GET /path`, with any status
    /// below 400, or `GET /path 200`, with that status only. May be repeated; in the variable, requests are separated by `;`
    #[arg(long, env = "ORDERS_SMOKE", value_name = "REQUEST", value_parser = smoke_requests)]
    pub smoke: Vec<List<SmokeRequest>>,

    /// Maximum time to compile a component. Beyond it the component is refused
    #[arg(long, env = "ORDERS_COMPILE_TIMEOUT", value_name = "TIME", value_parser = nonzero_period, default_value = "1m")]
    pub compile_timeout: Period,

    /// Maximum memory of the process that compiles a component. Beyond it the component is refused
    #[arg(long, env = "ORDERS_COMPILE_MEMORY", value_name = "SIZE", default_value = "1GiB")]
    pub compile_memory: Size,
}

impl ChecksConfig {
    /// The requests that a component must answer.
    pub fn smoke_requests(&self) -> Vec<SmokeRequest> {
        List::concat(&self.smoke)
    }
}

fn smoke_requests(text: &str) -> Result<List<SmokeRequest>, String> {
    list(text, ';', str::parse)
}

/// How a module replaces the serving one, unless a push says otherwise.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Rollout")]
pub struct TermsConfig {
    /// Share of the requests that a new module receives during its trial, 1 to 99 %; the serving module receives the others.
    /// With 0 there is no trial
    #[arg(long, env = "ORDERS_CANARY", value_name = "SHARE", default_value = "10%")]
    pub canary: Share,

    /// Length of the trial: a time, or the number of requests that the new module must answer
    #[arg(long, env = "ORDERS_WINDOW", value_name = "WINDOW", default_value = "30s")]
    pub window: Window,

    /// Maximum length of a trial. A trial goes on after its window while there were too few requests for a verdict
    #[arg(long, env = "ORDERS_MAX_WINDOW", value_name = "TIME", value_parser = nonzero_period, default_value = "10m")]
    pub max_window: Period,

    /// What happens to a module if a trial or a watch ends with too few requests for a verdict
    #[arg(long, env = "ORDERS_ON_UNPROVEN", value_name = "ACTION", default_value = "promote")]
    pub on_unproven: OnUnproven,

    /// How long a promoted module is watched, beside the module before it; if it turns out worse in this time, it is rolled
    /// back automatically. With 0s it is not watched
    #[arg(long, env = "ORDERS_WATCH", value_name = "TIME", default_value = "1m")]
    pub watch: Period,

    /// Share of the requests that the module before it receives during the watch, 1 to 50 %. It receives more if these were
    /// too few for a verdict
    #[arg(long, env = "ORDERS_CONTROL", value_name = "SHARE", default_value = "5%", value_parser = control_share)]
    pub control: Share,

    /// Accept a new module whose responses have another mix of 2xx, 3xx and 4xx
    #[arg(long, env = "ORDERS_IGNORE_CLIENT_ERRORS")]
    pub ignore_client_errors: bool,
}

impl TermsConfig {
    /// Replaces terms by those of an operator. Each is named as its option.
    ///
    /// # Errors
    ///
    /// One line that names the term: it is unknown, or its value is invalid.
    pub fn replace(&mut self, name: &str, value: &str) -> Result<(), String> {
        let replaced = match name {
            "canary" => value.parse().map(|share| self.canary = share),
            "window" => value.parse().map(|window| self.window = window),
            "max-window" => nonzero_period(value).map(|time| self.max_window = time),
            "on-unproven" => <OnUnproven as ValueEnum>::from_str(value, false)
                .map(|action| self.on_unproven = action)
                .map_err(|_| "expected `promote` or `rollback`".to_owned()),
            "watch" => value.parse().map(|time| self.watch = time),
            "control" => control_share(value).map(|share| self.control = share),
            "ignore-client-errors" => value
                .parse()
                .map(|ignore| self.ignore_client_errors = ignore)
                .map_err(|_| "expected `true` or `false`".to_owned()),
            _ => {
                let names: Vec<_> = self.named().into_iter().map(|(name, _)| name).collect();
                Err(format!("unknown parameter; the parameters are {}", names.join(", ")))
            }
        };
        replaced.map_err(|why| format!("{name}: {why}"))
    }

    /// How long a trial lasts if there are enough requests for a verdict. `None` if only their number decides.
    pub fn shortest_trial(&self) -> Option<Duration> {
        match self.window {
            Window::Time(time) => Some(time.0),
            Window::Requests(_) => None,
        }
    }

    /// How long a trial lasts at the most.
    pub fn longest_trial(&self) -> Duration {
        match self.window {
            Window::Time(time) => self.max_window.max(time).0,
            Window::Requests(_) => self.max_window.0,
        }
    }

    /// All terms by name, as they are written.
    pub fn named(&self) -> [(&'static str, String); 7] {
        [
            ("canary", self.canary.to_string()),
            ("window", self.window.to_string()),
            ("max-window", self.max_window.to_string()),
            ("on-unproven", self.on_unproven.to_string()),
            ("watch", self.watch.to_string()),
            ("control", self.control.to_string()),
            ("ignore-client-errors", self.ignore_client_errors.to_string()),
        ]
    }
}

/// What happens to a module for which there was too little evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnUnproven {
    /// It is promoted; after a watch, it keeps serving.
    Promote,
    /// It is rolled back.
    Rollback,
}

impl fmt::Display for OnUnproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Promote => "promote",
            Self::Rollback => "rollback",
        })
    }
}

/// The directory in which modules outlive the process.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Modules")]
pub struct ModuleDirConfig {
    /// Directory that keeps pushed modules and records which one serves; it is created if missing, and no other user
    /// may have write access to it. Without it, pushed modules are lost when the process exits
    #[arg(long, env = "ORDERS_MODULE_DIR", value_name = "DIR")]
    pub module_dir: Option<PathBuf>,

    /// Number of modules kept in that directory: the newest ones. Modules in use are kept in any case
    #[arg(long, env = "ORDERS_KEEP_MODULES", value_name = "COUNT", default_value = "5",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub keep_modules: u16,
}

/// A part of all requests, in percent; written `10%` or `10`. Never all of them: a module on trial is compared with one that
/// serves beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u8);

impl Share {
    /// No requests.
    pub const NONE: Self = Self(0);
    /// Half of the requests.
    pub const HALF: Self = Self(50);

    /// A share in percent; 99 % if it is larger.
    pub fn from_percent(percent: u8) -> Self {
        Self(percent.min(MAX_SHARE))
    }

    /// The share in percent, 0 to 99.
    pub fn percent(self) -> u8 {
        self.0
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_suffix('%').unwrap_or(text).trim_end();
        let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        if !plain {
            return Err("expected a whole percentage from 0 to 99, such as `10%`".to_owned());
        }
        let share = digits.parse().ok().filter(|percent| *percent <= MAX_SHARE);
        share.map(Self).ok_or_else(|| {
            format!("at most {MAX_SHARE} %: the serving module needs requests to be compared with")
        })
    }
}

/// The largest share, in percent.
const MAX_SHARE: u8 = 99;

/// Parses the share of a control: at least one request in a hundred, and never the most of them.
pub(super) fn control_share(text: &str) -> Result<Share, String> {
    let share = text.parse().ok().filter(|share| (Share(1)..=Share::HALF).contains(share));
    share.ok_or_else(|| "expected a whole percentage from 1 to 50, such as `5%`".to_owned())
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// How much is observed of a module before the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Everything within this time.
    Time(Period),
    /// This many requests answered by the module.
    Requests(u32),
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
        let window = if plain {
            text.parse().ok().filter(|requests| *requests > 0).map(Self::Requests)
        } else if humantime::parse_duration(text).is_ok() {
            let period = nonzero_period(text);
            return period
                .map(Self::Time)
                .map_err(|_| "the window must be longer than zero and at most 24h".to_owned());
        } else {
            None
        };
        let form = "expected a time, such as `30s`, or a number of requests, such as `500`";
        window.ok_or_else(|| form.to_owned())
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(period) => period.fmt(f),
            Self::Requests(requests) => requests.fmt(f),
        }
    }
}
