//! The options of a rollout: what a module must do before it serves, how it replaces another, and where modules are kept.

use std::{fmt, path::PathBuf, str::FromStr};

use clap::Args;

use super::values::{Period, Size, SmokeRequest, nonzero_period};

/// What a component must do before it serves, at the start and in each rollout, and the limits of preparing it.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Checks before a component serves")]
pub struct ChecksConfig {
    /// Request that a component must answer before it serves, such as `GET /path`: with a status below 500 and without a
    /// write to the store. May be repeated; in the variable, requests are separated by `;`
    #[arg(long, env = "ORDERS_SMOKE", value_name = "REQUEST", value_delimiter = ';')]
    pub smoke: Vec<SmokeRequest>,

    /// Maximum time to compile a component. Beyond it the component is refused
    #[arg(long, env = "ORDERS_COMPILE_TIMEOUT", value_name = "TIME", value_parser = nonzero_period, default_value = "1m")]
    pub compile_timeout: Period,

    /// Maximum memory of the process that compiles a component. Beyond it the component is refused
    #[arg(long, env = "ORDERS_COMPILE_MEMORY", value_name = "SIZE", default_value = "1GiB")]
    pub compile_memory: Size,
}

/// How a module replaces the serving one, unless a push says otherwise.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Rollout")]
pub struct TermsConfig {
    /// Share of the requests that a new module receives while it is compared with the serving module, 1 to 100 %. With 0
    /// the new module receives all requests immediately
    #[arg(long, env = "ORDERS_CANARY", value_name = "SHARE", default_value = "10%")]
    pub canary: Share,

    /// Length of the comparison: a time, or the number of requests that the new module must answer
    #[arg(long, env = "ORDERS_WINDOW", value_name = "WINDOW", default_value = "30s")]
    pub window: Window,

    /// How long a promoted module is watched; if it turns out worse in this time, it is rolled back automatically. With 0s
    /// it is not watched
    #[arg(long, env = "ORDERS_WATCH", value_name = "TIME", default_value = "1m")]
    pub watch: Period,
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

/// A part of all requests, in percent; written `10%` or `10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u8);

impl Share {
    /// No requests.
    pub const NONE: Self = Self(0);

    /// The share in percent, 0 to 100.
    pub fn percent(self) -> u8 {
        self.0
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_suffix('%').unwrap_or(text).trim_end();
        let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        let share = digits.parse().ok().filter(|percent| plain && *percent <= 100);
        share.map(Self).ok_or_else(|| "expected a whole number from 0 to 100, such as `10%`".to_owned())
    }
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
        } else {
            nonzero_period(text).ok().map(Self::Time)
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
