//! Points in time as the service writes them.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::values::AsciiText;

/// Milliseconds since 1970-01-01T00:00:00Z, up to the end of the year 9999.
///
/// The text form is UTC with exactly three decimals and `Z`: `2026-11-22T12:30:06.000Z` (RFC 3339 §5.6). It has 24 bytes
/// and sorts by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Timestamp(u64);

/// Length of the text form, in bytes.
const TEXT_LENGTH: usize = 24;

pub(super) const MS_PER_DAY: u64 = 86_400_000;

/// 9999-12-31T23:59:59.999Z: the last instant with a four-digit year. It fits into the 48 bits of a UUIDv7.
const LAST: u64 = 253_402_300_799_999;

impl Timestamp {
    /// The time this many milliseconds after the epoch. A time after the year 9999 is clamped to the last instant of it.
    #[must_use]
    pub fn from_unix_ms(ms: u64) -> Self {
        Self(ms.min(LAST))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn unix_ms(self) -> u64 {
        self.0
    }

    /// The text form.
    fn text(self) -> AsciiText<TEXT_LENGTH> {
        let (year, month, day) = civil_from_days(self.0 / MS_PER_DAY);
        let ms = self.0 % MS_PER_DAY;
        let mut text = AsciiText::new();
        for (number, digits, separator) in [
            (year, 4, b'-'),
            (month, 2, b'-'),
            (day, 2, b'T'),
            (ms / 3_600_000, 2, b':'),
            (ms / 60_000 % 60, 2, b':'),
            (ms / 1000 % 60, 2, b'.'),
            (ms % 1000, 3, b'Z'),
        ] {
            text.push_decimal(number, digits);
            text.push(separator);
        }
        text
    }

    /// Parses only the form that [`Timestamp::text`] writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = |from: usize, to: usize| -> Option<u64> {
            let digits = text.get(from..to)?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
        };
        let year = number(0, 4).filter(|year| *year >= 1970)?;
        let month = number(5, 7).filter(|month| (1..=12).contains(month))?;
        let day = number(8, 10).filter(|day| (1..=31).contains(day))?;
        let (hour, minute, second, ms) = (number(11, 13)?, number(14, 16)?, number(17, 19)?, number(20, 23)?);
        let time_of_day = ((hour * 60 + minute) * 60 + second) * 1000 + ms;
        let timestamp = Self(days_from_civil(year, month, day) * MS_PER_DAY + time_of_day);
        // Comparing the text form rejects everything else: wrong separators, 30 February, hour 24, second 60.
        (timestamp.text().as_str() == text).then_some(timestamp)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text().as_str())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text().as_str())
    }
}

impl TryFrom<String> for Timestamp {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("must be a time such as 2026-11-22T12:30:06.000Z")
    }
}

/// Days from 0000-03-01 to 1970-01-01 in the proleptic Gregorian calendar.
const EPOCH_SHIFT: u64 = 719_468;

/// Days in 400 years, after which the Gregorian calendar repeats.
pub(super) const DAYS_PER_ERA: u64 = 146_097;

/// The year, month and day of a day counted from 1970-01-01.
///
/// This is `civil_from_days` from Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"
/// (<https://howardhinnant.github.io/date_algorithms.html>), without its part for days before the epoch. The algorithm
/// starts years in March, so that a leap day is the last day of its year.
pub(super) const fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + EPOCH_SHIFT;
    let era = days / DAYS_PER_ERA;
    let day_of_era = days % DAYS_PER_ERA;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / (DAYS_PER_ERA - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// The inverse of [`civil_from_days`], from the same source. A day past the end of its month counts into the next month.
pub(super) const fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year / 400;
    let year_of_era = year % 400;
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_ERA + day_of_era - EPOCH_SHIFT
}

#[cfg(test)]
mod tests {
    use super::{LAST, Timestamp, civil_from_days};
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    #[test]
    fn known_times_round_trip() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1, "1970-01-01T00:00:00.001Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_000_000_000_000, "2001-09-09T01:46:40.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (LAST, "9999-12-31T23:59:59.999Z"),
            (u64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::from_unix_ms(ms).to_string(), text);
            assert_eq!(Timestamp::parse(text), Some(Timestamp::from_unix_ms(ms)));
        }
    }

    #[test]
    fn other_forms_are_rejected() {
        for text in [
            "",
            "2026-11-22T12:30:06Z",
            "2026-11-22T12:30:06.0000Z",
            "2026-11-22T12:30:06.000z",
            "2026-11-22t12:30:06.000Z",
            "2026-11-22 12:30:06.000Z",
            "2026-11-22T12:30:06.000+00:00",
            "2026-02-29T12:30:06.000Z",
            "2026-13-01T12:30:06.000Z",
            "2026-00-01T12:30:06.000Z",
            "2026-01-00T12:30:06.000Z",
            "2026-01-32T12:30:06.000Z",
            "2026-01-01T24:00:00.000Z",
            "2026-01-01T23:60:00.000Z",
            "2026-01-01T23:59:60.000Z",
            "1969-12-31T23:59:59.999Z",
            "0000-01-01T00:00:00.000Z",
            "+026-11-22T12:30:06.000Z",
            "2026-11-22T12:30:06.00éZ",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    /// Compares every day of the range with a calendar that is advanced day by day.
    #[test]
    fn every_day_has_the_right_date() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..=LAST / super::MS_PER_DAY {
            assert_eq!(civil_from_days(days), (year, month, day), "day {days}");
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            (year, month, day) = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (_, end) if end == last => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
    }

    proptest! {
        #[test]
        fn every_timestamp_round_trips(ms in 0..=LAST) {
            let timestamp = Timestamp::from_unix_ms(ms);
            prop_assert_eq!(timestamp.unix_ms(), ms);
            prop_assert_eq!(Timestamp::parse(&timestamp.to_string()), Some(timestamp));
        }

        #[test]
        fn text_sorts_by_time(one in 0..=LAST, other in 0..=LAST) {
            let text = |ms| Timestamp::from_unix_ms(ms).to_string();
            prop_assert_eq!(one.cmp(&other), text(one).cmp(&text(other)));
        }

        #[test]
        fn parse_accepts_any_text_without_panicking(
            text in "\\PC{0,30}|[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}\\.[0-9]{3}Z",
        ) {
            if let Some(timestamp) = Timestamp::parse(&text) {
                prop_assert!(timestamp.unix_ms() <= LAST);
                prop_assert_eq!(timestamp.to_string(), text);
            }
        }
    }
}
