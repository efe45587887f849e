//! Points in time as clients send them: any `date-time` of RFC 3339.

use super::timestamp::{DAYS_PER_ERA, MS_PER_DAY, civil_from_days, days_from_civil};

/// Eras of 400 years that are added to a date before days are counted, so that every date is after the epoch.
const ERAS: u64 = 5;

/// A point in time: whole milliseconds, and whether a fraction of a millisecond follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DateTime {
    /// Milliseconds since the epoch, rounded down; negative before the epoch.
    floor_ms: i64,
    /// Whether a non-zero fraction of a millisecond was rounded off.
    has_fraction: bool,
}

impl DateTime {
    /// The time in milliseconds since the epoch, rounded down.
    pub(crate) const fn floor_ms(self) -> i64 {
        self.floor_ms
    }

    /// The time in milliseconds since the epoch, rounded up.
    pub(crate) const fn ceil_ms(self) -> i64 {
        if self.has_fraction { self.floor_ms.saturating_add(1) } else { self.floor_ms }
    }

    /// Parses a `date-time` (RFC 3339 §5.6): any offset, any number of decimals, `T` and `Z` in either case. A leap
    /// second, which is the last second of a month in UTC, is mapped to the following second, as in Unix time.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        let rest = rest.strip_prefix(['T', 't'])?;
        let (time, rest) = rest.split_at_checked(8)?;
        let (year, month, day) = parse_triple(date, '-', [4, 2, 2])?;
        let (hour, minute, second) = parse_triple(time, ':', [2, 2, 2])?;
        if hour > 23 || minute > 59 || second > 60 || day == 0 || day > days_in_month(year, month)? {
            return None;
        }
        let (ms, has_fraction, rest) = parse_fraction(rest)?;
        let offset = parse_offset_minutes(rest)?;
        let days = to_i64(days_from_civil(year + ERAS * 400, month, day))? - to_i64(ERAS * DAYS_PER_ERA)?;
        let seconds = to_i64((hour * 60 + minute) * 60 + second)? - offset * 60;
        let whole_ms = days * to_i64(MS_PER_DAY)? + seconds * 1000;
        if second == 60 && !is_start_of_month(whole_ms) {
            return None;
        }
        Some(Self { floor_ms: whole_ms + to_i64(ms)?, has_fraction })
    }
}

/// Whether a time is the first instant of a month in UTC.
fn is_start_of_month(ms: i64) -> bool {
    u64::try_from(ms).is_ok_and(|ms| ms.is_multiple_of(MS_PER_DAY) && civil_from_days(ms / MS_PER_DAY).2 == 1)
}

/// Parses three numbers with the given numbers of digits, divided by a separator.
fn parse_triple(text: &str, separator: char, digits: [usize; 3]) -> Option<(u64, u64, u64)> {
    let mut parts = text.split(separator).zip(digits).map(|(part, digits)| parse_digits(part, digits));
    let triple = (parts.next()??, parts.next()??, parts.next()??);
    (text.split(separator).count() == 3).then_some(triple)
}

fn parse_digits(text: &str, digits: usize) -> Option<u64> {
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// The number of days in a month of the Gregorian calendar.
const fn days_in_month(year: u64, month: u64) -> Option<u64> {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => Some(29),
        2 => Some(28),
        _ => None,
    }
}

/// Parses the optional decimals after the seconds. Returns the milliseconds, whether a smaller non-zero fraction follows,
/// and the rest of the text.
fn parse_fraction(text: &str) -> Option<(u64, bool, &str)> {
    let Some(decimals) = text.strip_prefix('.') else { return Some((0, false, text)) };
    let (decimals, rest) = decimals
        .split_at(decimals.find(|character: char| !character.is_ascii_digit()).unwrap_or(decimals.len()));
    if decimals.is_empty() {
        return None;
    }
    let digit = |index: usize| decimals.as_bytes().get(index).map_or(0, |digit| u64::from(digit - b'0'));
    let has_fraction = decimals.bytes().skip(3).any(|digit| digit != b'0');
    Some((digit(0) * 100 + digit(1) * 10 + digit(2), has_fraction, rest))
}

/// Parses `Z` or the offset of local time from UTC.
fn parse_offset_minutes(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let (hours, minutes) = (parse_digits(hours, 2)?, parse_digits(minutes, 2)?);
    (hours <= 23 && minutes <= 59).then_some(())?;
    Some(sign * to_i64(hours * 60 + minutes)?)
}

fn to_i64(number: u64) -> Option<i64> {
    i64::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::DateTime;
    use crate::order::Timestamp;
    use proptest::prelude::{prop_assert_eq, proptest};

    #[test]
    fn known_times_are_parsed() {
        // Expected values from Python's `datetime.fromisoformat(…).timestamp()`, for the forms that it accepts.
        for (text, floor, ceil) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("2026-11-22T12:30:06.000Z", 1_795_350_606_000, 1_795_350_606_000),
            ("2026-11-22t12:30:06z", 1_795_350_606_000, 1_795_350_606_000),
            ("2026-11-22T13:30:06+01:00", 1_795_350_606_000, 1_795_350_606_000),
            ("2026-11-22T12:00:06-00:30", 1_795_350_606_000, 1_795_350_606_000),
            ("2026-11-22T12:30:06.1Z", 1_795_350_606_100, 1_795_350_606_100),
            ("2026-11-22T12:30:06.123000Z", 1_795_350_606_123, 1_795_350_606_123),
            ("2026-11-22T12:30:06.1230001Z", 1_795_350_606_123, 1_795_350_606_124),
            ("1969-12-31T23:59:59.9995Z", -1, 0),
            ("0000-01-01T00:00:00Z", -62_167_219_200_000, -62_167_219_200_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999, 253_402_300_799_999),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000, 1_483_228_800_000),
            ("2017-01-01T00:59:60.5+01:00", 1_483_228_800_500, 1_483_228_800_500),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000, 1_709_164_800_000),
        ] {
            let read = DateTime::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((read.floor_ms(), read.ceil_ms()), (floor, ceil), "{text}");
        }
    }

    #[test]
    fn other_forms_are_rejected() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T12:30:06",
            "2026-11-22T12:30Z",
            "2026-11-22 12:30:06Z",
            "2026-11-22T12:30:06.Z",
            "2026-11-22T12:30:06,1Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T12:60:00Z",
            "2026-11-22T12:30:61Z",
            "2026-11-22T12:30:60Z",
            "2026-11-22T23:59:60Z",
            "2016-12-31T23:59:60+01:00",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-32T00:00:00Z",
            "2026-11-22T12:30:06+0100",
            "2026-11-22T12:30:06+01",
            "2026-11-22T12:30:06+24:00",
            "2026-11-22T12:30:06+01:60",
            "2026-11-22T12:30:06 01:00",
            "2026-11-22T12:30:06Z ",
            "+026-11-22T12:30:06Z",
            "2026-1-022T12:30:06Z",
            "2026-11-22T12:30:0éZ",
            "é026-11-22T12:30:06Z",
        ] {
            assert_eq!(DateTime::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_timestamp_of_the_service_is_parsed(ms in 0..253_402_300_800_000u64) {
            let text = Timestamp::from_unix_ms(ms).to_string();
            prop_assert_eq!(DateTime::parse(&text).map(DateTime::floor_ms), i64::try_from(ms).ok());
        }

        #[test]
        fn parse_accepts_any_text_without_panicking(
            text in "\\PC{0,30}|[0-9]{4}(-[0-9]{2}){2}[Tt ][0-9]{2}(:[0-9]{2}){2}(\\.[0-9]{0,9})?[-+Zz]([0-9]{2}:[0-9]{2})?",
        ) {
            _ = DateTime::parse(&text);
        }
    }
}
