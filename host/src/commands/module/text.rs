//! Numbers, times and states as text for people.

use std::time::Duration;

use bytesize::ByteSize;

use crate::rollout::{
    events::{Comparison, Numbers},
    roster::{Record, State},
};

/// Text from another program as part of one line: control characters, which could move the cursor, become spaces.
pub(super) fn printable(text: &str) -> String {
    let text: String = text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    text.trim().to_owned()
}

/// A size in bytes.
pub(super) fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// A duration, from milliseconds to hours.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{seconds}.{} s", time.subsec_millis() / 100),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// A duration given in whole seconds.
pub(super) fn seconds(seconds: u64) -> String {
    if seconds < 60 { format!("{seconds} s") } else { duration(Duration::from_secs(seconds)) }
}

/// A duration given in milliseconds.
pub(super) fn duration_ms(milliseconds: u64) -> String {
    duration(Duration::from_millis(milliseconds))
}

/// The latency of a response, in microseconds; a dash if it is unknown.
pub(super) fn latency(micros: Option<u64>) -> String {
    match micros {
        None => "–".to_owned(),
        Some(micros @ 0..1000) => format!("{micros} µs"),
        Some(micros @ 1000..100_000) => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        Some(micros @ 100_000..1_000_000) => format!("{} ms", micros / 1000),
        Some(micros) => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}

/// The numbers of a module, on one line.
pub(super) fn numbers(numbers: &Numbers) -> String {
    let Numbers { requests, failures, p99_us, .. } = numbers;
    format!("{requests} requests, {failures} failed{}, p99 {}", failure_kinds(numbers), latency(*p99_us))
}

/// The numbers of a module, aligned so that two lines can be compared.
pub(super) fn aligned_numbers(numbers: &Numbers) -> String {
    let Numbers { requests, failures, p50_us, p99_us, .. } = numbers;
    let (p50, p99) = (latency(*p50_us), latency(*p99_us));
    format!(
        "{requests:>8} requests  {failures:>6} failed   p50 {p50:>8}   p99 {p99:>8}{}",
        failure_kinds(numbers)
    )
}

/// How requests failed, by kind; empty if none did.
fn failure_kinds(numbers: &Numbers) -> String {
    let kinds = [
        (numbers.server_errors, "with 5xx"),
        (numbers.traps, "trapped"),
        (numbers.timeouts, "timed out"),
        (numbers.cpu, "out of processor time"),
        (numbers.bad_answers, "bad responses"),
    ];
    let kinds: Vec<_> =
        kinds.iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{count} {kind}")).collect();
    if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) }
}

/// The numbers of both modules of a trial, on one line.
pub(super) fn comparison(trial: &Comparison) -> String {
    format!("new {}; old {}", numbers(&trial.module), numbers(&trial.other))
}

/// Why a module does not serve, or serves although too little is known about it; empty otherwise.
pub(super) fn why(record: &Record) -> String {
    let unproven = || record.unproven.as_ref().map(|why| format!("unproven: {why}"));
    printable(&record.why.clone().or_else(unproven).unwrap_or_default())
}

/// The state of a module.
pub(super) fn state(state: State) -> &'static str {
    match state {
        State::Checking => "checking",
        State::OnTrial => "on trial",
        State::Serving => "serving",
        State::Replaced => "replaced",
        State::Refused => "refused",
        State::RolledBack => "rolled back",
        State::Stored => "stored",
    }
}

/// A timestamp (RFC 3339), to the second and with a space before the time.
pub(super) fn timestamp(at: &str) -> String {
    let at = at.split('.').next().unwrap_or(at).trim_end_matches('Z');
    printable(&at.replace('T', " "))
}

/// Truncates text to this many characters.
pub(super) fn truncated(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_written_for_people() {
        assert_eq!(
            [0, 999, 1000, 31_450, 125_000, 7_500_000].map(duration_ms),
            ["0 ms", "999 ms", "1.0 s", "31.4 s", "2 min 5 s", "2 h 5 min"]
        );
        assert_eq!(
            [Some(850), Some(3149), Some(250_000), Some(1_250_000), None].map(latency),
            ["850 µs", "3.1 ms", "250 ms", "1.2 s", "–"]
        );
        assert_eq!([0, 59, 125].map(seconds), ["0 s", "59 s", "2 min 5 s"]);
        assert_eq!(timestamp("2026-11-22T22:01:03.123Z"), "2026-11-22 22:01:03");
        assert_eq!((truncated("four", 4), truncated("fifth", 4)), ("four".to_owned(), "fif…".to_owned()));
        let failing = Numbers { requests: 9, failures: 3, traps: 2, server_errors: 1, ..Numbers::default() };
        assert_eq!(numbers(&failing), "9 requests, 3 failed (1 with 5xx, 2 trapped), p99 –");
    }
}
