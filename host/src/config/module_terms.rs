//! How `module push` and `module activate` roll a module out: the terms that replace those of the service.

use clap::{Args, ValueEnum};

use super::{
    rollout::{OnUnproven, Share, Window, control_share},
    values::{Period, nonzero_period},
};

/// How a module is rolled out, and how long the command waits. A term that is missing is that of the service.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Rollout")]
pub struct RolloutOptions {
    /// How long the command waits
    #[arg(long, value_name = "STEP", default_value = "settled")]
    pub until: Until,

    /// Share of the requests that the module receives during its trial, 1 to 99 %; the serving module receives the others.
    /// With 0 there is no trial [default: the service's --canary]
    #[arg(long, value_name = "SHARE")]
    pub canary: Option<Share>,

    /// Length of the trial: a time, or the number of requests that the module must answer [default: the service's --window]
    #[arg(long, value_name = "WINDOW")]
    pub window: Option<Window>,

    /// Maximum length of the trial. It goes on after its window while there were too few requests for a verdict [default:
    /// the service's --max-window]
    #[arg(long, value_name = "TIME", value_parser = nonzero_period)]
    pub max_window: Option<Period>,

    /// What happens to the module if its trial or its watch ends with too few requests for a verdict: `promote` or
    /// `rollback` [default: the service's --on-unproven]
    #[arg(long, value_name = "ACTION", hide_possible_values = true)]
    pub on_unproven: Option<OnUnproven>,

    /// How long the module is watched after its promotion, beside the module before it; if it turns out worse in this time,
    /// it is rolled back automatically. With 0s it is not watched [default: the service's --watch]
    #[arg(long, value_name = "TIME")]
    pub watch: Option<Period>,

    /// Share of the requests that the module before it receives during the watch, 1 to 50 % [default: the service's
    /// --control]
    #[arg(long, value_name = "SHARE", value_parser = control_share)]
    pub control: Option<Share>,

    /// Accept the module if its responses have another mix of 2xx, 3xx and 4xx; `=false` compares the mix even if the
    /// service's --ignore-client-errors is set
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          hide_possible_values = true)]
    pub ignore_client_errors: Option<bool>,
}

impl RolloutOptions {
    /// The terms that are given, by name, as they are written.
    pub fn terms(&self) -> Vec<(&'static str, String)> {
        let terms = [
            ("canary", self.canary.map(|share| share.to_string())),
            ("window", self.window.map(|window| window.to_string())),
            ("max-window", self.max_window.map(|time| time.to_string())),
            ("on-unproven", self.on_unproven.map(|action| action.to_string())),
            ("watch", self.watch.map(|time| time.to_string())),
            ("control", self.control.map(|share| share.to_string())),
            ("ignore-client-errors", self.ignore_client_errors.map(|ignore| ignore.to_string())),
        ];
        terms.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Until when a command follows a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Until {
    /// Until the module serves. It may still be rolled back during its watch.
    Promoted,
    /// Until the end of its watch.
    Settled,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Program {
        #[command(flatten)]
        rollout: RolloutOptions,
    }

    fn parse(arguments: &[&str]) -> Result<RolloutOptions, clap::Error> {
        let arguments = ["program"].iter().chain(arguments);
        <Program as clap::Parser>::try_parse_from(arguments).map(|program| program.rollout)
    }

    /// The service knows each term by the same name, and reads what the command writes.
    #[test]
    fn every_term_of_the_service_has_an_option() {
        let texts = ["25%", "1m 30s", "1h", "rollback", "0s", "7%", "true"];
        let mut terms = <ServiceTerms as clap::Parser>::parse_from(["service"]).terms;
        let defaults = terms.named();
        let arguments: Vec<_> =
            defaults.iter().zip(texts).map(|((name, _), text)| format!("--{name}={text}")).collect();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let given = parse(&arguments).unwrap().terms();
        for (name, value) in &given {
            terms.replace(name, value).unwrap();
        }
        assert_eq!(terms.named().to_vec(), given);
        assert!(terms.named().iter().zip(&defaults).all(|(now, before)| now != before), "{given:?}");
        assert_eq!(parse(&[]).unwrap().terms(), []);
    }

    #[derive(Debug, clap::Parser)]
    struct ServiceTerms {
        #[command(flatten)]
        terms: crate::config::TermsConfig,
    }

    #[test]
    fn client_errors_are_ignored_or_not() {
        for (arguments, expected) in [
            (&["--ignore-client-errors"][..], Some(true)),
            (&["--ignore-client-errors=false"], Some(false)),
            (&[], None),
        ] {
            assert_eq!(parse(arguments).unwrap().ignore_client_errors, expected);
        }
        assert_eq!(parse(&[]).unwrap().until, Until::Settled);
        for odd in [
            "--control=0",
            "--control=51%",
            "--canary=100",
            "--max-window=0s",
            "--until=now",
            "--on-unproven=x",
        ] {
            assert!(parse(&[odd]).is_err(), "{odd}");
        }
    }
}
