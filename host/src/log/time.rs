//! Durations in log lines: one unit for all of them.

use std::time::Duration;

/// A duration as it is logged: in milliseconds, with three decimals.
pub fn milliseconds(duration: Duration) -> f64 {
    // Whole microseconds first: divided by 1000, each has at most three decimals when it is written.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logged_duration_has_at_most_three_decimals() {
        for (nanos, expected) in [
            (0, "0.0"),
            (499, "0.0"),
            (1_500, "0.002"),
            (123_456_789, "123.457"),
            (86_400_000_001_000, "86400000.001"),
        ] {
            let value = milliseconds(Duration::from_nanos(nanos));
            assert_eq!(serde_json::to_string(&value).unwrap(), expected);
        }
        for micros in (0..5_000_000).step_by(977) {
            let text = serde_json::to_string(&milliseconds(Duration::from_micros(micros))).unwrap();
            assert!(text.split_once('.').unwrap().1.len() <= 3, "{text}");
        }
    }
}
