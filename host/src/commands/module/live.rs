//! The progress of a trial or a watch, as the live line shows it.

use std::time::Instant;

use tokio::time::Duration;

use super::text;
use crate::{config::Window, rollout::events::Comparison};

/// How often the numbers are printed where there is no live line, in milliseconds.
const NUMBERS_INTERVAL_MS: u64 = 10_000;

/// A trial or a watch in progress.
#[derive(Debug)]
pub(super) struct Observation {
    began: Instant,
    end: End,
    numbers: Option<Comparison>,
    /// When its numbers were last printed, in milliseconds since its start.
    printed_ms: u64,
}

/// When a trial or a watch ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// At the end of its window, if there is enough evidence then.
    Window(Window),
    /// At this time.
    At(Instant),
}

/// What the live line shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// How much of the bar is filled.
    pub(super) position: u64,
    /// The length of the bar.
    pub(super) length: u64,
    /// The text beside it, and the numbers of both modules below it.
    pub(super) text: String,
}

impl Observation {
    /// A trial or a watch that begins now.
    pub(super) fn new(end: End) -> Self {
        Self { began: Instant::now(), end, numbers: None, printed_ms: 0 }
    }

    /// Updates the numbers. Returns whether they are due to be printed where there is no live line.
    pub(super) fn update(&mut self, numbers: &Comparison) -> bool {
        if let Some(began) = Instant::now().checked_sub(Duration::from_millis(numbers.elapsed_ms)) {
            // A viewer that joins later shows the same elapsed time.
            self.began = began;
        }
        self.numbers = Some(numbers.clone());
        let is_due = numbers.elapsed_ms >= self.printed_ms + NUMBERS_INTERVAL_MS;
        if is_due {
            self.printed_ms = numbers.elapsed_ms;
        }
        is_due
    }

    /// What the live line shows now.
    pub(super) fn progress(&self) -> Progress {
        self.progress_at(Instant::now())
    }

    fn progress_at(&self, now: Instant) -> Progress {
        let elapsed = now.saturating_duration_since(self.began);
        let requests = self.numbers.as_ref().map_or(0, |numbers| numbers.module.requests);
        let (position, length, progress) = match self.end {
            End::Window(Window::Time(window)) => {
                let progress = if elapsed > window.0 {
                    format!("{}, beyond its window of {window}", text::duration(elapsed))
                } else {
                    format!("{} of {}", text::duration(elapsed), text::duration(window.0))
                };
                (milliseconds(elapsed), milliseconds(window.0), progress)
            }
            End::Window(Window::Requests(wanted)) => {
                let progress = format!("{requests} of {wanted} requests, {}", text::duration(elapsed));
                (requests, u64::from(wanted), progress)
            }
            End::At(end) => {
                let left = end.saturating_duration_since(now);
                let progress = format!("{}, another {}", text::duration(elapsed), text::duration(left));
                (milliseconds(elapsed), milliseconds(elapsed + left), progress)
            }
        };
        let numbers = self.numbers.as_ref().map(both_numbers);
        let numbers = numbers.map(|numbers| format!("\n{numbers}")).unwrap_or_default();
        Progress { position: position.min(length), length, text: format!("{progress}{numbers}") }
    }
}

/// The numbers of both modules, one line each.
pub(super) fn both_numbers(numbers: &Comparison) -> String {
    let (new, old) = (text::aligned_numbers(&numbers.module), text::aligned_numbers(&numbers.other));
    format!("    new {new}\n    old {old}")
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::events::Numbers;

    #[test]
    fn progress_is_measured_in_time_or_in_requests() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let observation = |end| Observation { began, end, numbers: None, printed_ms: 0 };
        let time = |text: &str| End::Window(text.parse().unwrap());
        for (end, seconds, expected) in [
            (time("30s"), 12, (12_000, 30_000, "12.0 s of 30.0 s")),
            (time("30s"), 45, (30_000, 30_000, "45.0 s, beyond its window of 30s")),
            (time("500"), 45, (0, 500, "0 of 500 requests, 45.0 s")),
            (End::At(at(60)), 45, (45_000, 60_000, "45.0 s, another 15.0 s")),
            (End::At(at(60)), 70, (70_000, 70_000, "1 min 10 s, another 0 ms")),
        ] {
            let Progress { position, length, text } = observation(end).progress_at(at(seconds));
            assert_eq!((position, length, &*text), expected);
        }
    }

    #[test]
    fn numbers_are_due_every_ten_seconds() {
        let mut observation = Observation::new(End::Window("100".parse().unwrap()));
        let module = Numbers { requests: 7, ..Numbers::default() };
        let mut update = |elapsed_ms| {
            observation.update(&Comparison { elapsed_ms, module: module.clone(), other: Numbers::default() })
        };
        assert_eq!(
            [9_999, 10_000, 19_000, 25_000, 30_000].map(&mut update),
            [false, true, false, true, false]
        );
        let Progress { position, text, .. } = observation.progress();
        assert_eq!(position, 7);
        assert!(
            text.contains("\n    new        7 requests") && text.contains("\n    old        0 requests"),
            "{text}"
        );
    }
}
