//! The same rollouts again, thousands of them, simulated with the host's own verdict: `host/examples/verdict_simulation.rs`
//! replays the recorded requests, and lets chance decide which module receives each of them.

use std::{
    fmt::Write,
    fs::{self, File},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use xtask::{
    command::{TaskError, cargo, file_error, run},
    process::{Group, Process},
    target,
};

use super::{FOLDER, service::Terms};
use crate::traffic::Sample;

/// The simulating program.
const EXAMPLE: &str = "verdict_simulation";
/// How long a simulation may take: at one request per second, ten thousand rollouts with the host's default terms last hours,
/// and have to be fewer.
const LIMIT: Duration = Duration::from_secs(60 * 60);
/// The time between the recordings of two hosts, which are replayed one after the other.
const GAP: Duration = Duration::from_millis(5);

/// A program that simulates rollouts.
pub(super) struct Simulator(PathBuf);

/// The percentage of rollouts with each outcome.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outcomes {
    pub(super) promoted: f64,
    pub(super) rolled_back: f64,
    pub(super) unproven: f64,
    pub(super) settled: f64,
}

impl Simulator {
    /// Builds the program: with the `dev` profile, of which only the host itself is optimised.
    pub(super) fn build() -> Result<Self, TaskError> {
        let optimised = "profile.dev.package.orders-host.opt-level=2";
        run(&mut cargo(["build", "--locked", "--workspace", "--example", EXAMPLE, "--config", optimised]))?;
        Ok(Self(target().join("debug/examples").join(EXAMPLE)))
    }

    /// Simulates this many rollouts under the load of these recordings, each of one host. Requests without this status are no evidence.
    /// `options` say how the candidate behaves.
    pub(super) fn run(
        &self,
        runs: u32,
        recordings: &[Vec<Sample>],
        status: u16,
        terms: &Terms,
        options: &[String],
    ) -> Result<Outcomes, TaskError> {
        let folder = target().join(FOLDER);
        let [requests, result] = ["requests", "simulated"].map(|name| folder.join(name));
        fs::write(&requests, record(recordings, status)).map_err(|error| file_error(&requests, &error))?;
        let output = File::create(&result).map_err(|error| file_error(&result, &error))?;
        let mut command = Command::new(&self.0);
        command.arg(&requests).args(["--runs", &runs.to_string()]).args(options);
        command.args(terms.arguments(true)).stdin(Stdio::null()).stdout(output);
        Process::start(&mut command, Group::Ours)?.succeed_within(LIMIT)?;
        let text = fs::read_to_string(&result).map_err(|error| file_error(&result, &error))?;
        let outcomes = parse(&text, runs);
        outcomes.ok_or_else(|| TaskError(format!("the simulation printed {text:?}")))
    }
}

/// The recordings, one after the other.
fn record(recordings: &[Vec<Sample>], status: u16) -> String {
    let mut text = String::new();
    let mut begins = Duration::ZERO;
    for recording in recordings {
        let Some(first) = recording.first() else { continue };
        let mut ends = begins;
        for sample in recording {
            ends = begins + (sample.due - first.due);
            let is_evidence = u8::from(sample.status == Some(status));
            let _ = writeln!(text, "{} {} {is_evidence}", ends.as_micros(), sample.latency.as_micros());
        }
        begins = ends + GAP;
    }
    text
}

fn parse(text: &str, runs: u32) -> Option<Outcomes> {
    let count = |name: &str| {
        let mut words = text.split_whitespace().skip_while(|word| *word != name);
        let count: u32 = words.nth(1)?.parse().ok()?;
        Some(100.0 * f64::from(count) / f64::from(runs.max(1)))
    };
    Some(Outcomes {
        promoted: count("promoted")?,
        rolled_back: count("rolled-back")?,
        unproven: count("unproven")?,
        settled: count("settled")?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn outcomes_are_percentages() {
        let outcomes = parse("promoted 8 rolled-back 5 unproven 1 settled 5\n", 10).unwrap();
        let expected = Outcomes { promoted: 80.0, rolled_back: 50.0, unproven: 10.0, settled: 50.0 };
        assert_eq!(outcomes, expected);
        assert_eq!(parse("promoted 8", 10), None);
    }

    #[test]
    fn recordings_follow_one_another() {
        let start = Instant::now();
        let sample = |millis, status| Sample {
            due: start + Duration::from_millis(millis),
            latency: Duration::from_micros(700),
            status,
            version: None,
        };
        let recordings = [vec![sample(7, Some(200)), sample(8, Some(503))], vec![sample(3, None)]];
        assert_eq!(record(&recordings, 200), "0 700 1\n1000 700 0\n6000 700 0\n");
    }
}
