//! Points in time as clients may write them: any date-time of RFC 3339.

use super::timestamp::{DAYS_PER_ERA, MS_PER_DAY, civil_from_days, days_from_civil};

/// Eras of 400 years by which dates are moved while they are counted, so that all lie behind the epoch.
const ERAS: u64 = 5;

/// A point in time, to the millisecond and a bit of what lies beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DateTime {
    /// Whole milliseconds since the epoch, rounded down; negative before it.
    floor_ms: i64,
    /// Whether it lies behind that millisecond.
    beyond: bool,
}

impl DateTime {
    /// The last millisecond that is not later.
    pub(crate) const fn floor_ms(self) -> i64 {
        self.floor_ms
    }

    /// The first millisecond that is not earlier.
    pub(crate) const fn ceil_ms(self) -> i64 {
        if self.beyond { self.floor_ms.saturating_add(1) } else { self.floor_ms }
    }

    /// Reads a `date-time` (RFC 3339 §5.6): any offset, any number of decimals, `T` and `Z` in either case. A leap
    /// second, the last one of a month in UTC, is taken for the second after it, as Unix time has it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        let rest = rest.strip_prefix(['T', 't'])?;
        let (time, rest) = rest.split_at_checked(8)?;
        let (year, month, day) = triple(date, '-', [4, 2, 2])?;
        let (hour, minute, second) = triple(time, ':', [2, 2, 2])?;
        if hour > 23 || minute > 59 || second > 60 || day == 0 || day > days_in(year, month)? {
            return None;
        }
        let (ms, beyond, rest) = fraction(rest)?;
        let offset = offset_minutes(rest)?;
        let days = signed(days_from_civil(year + ERAS * 400, month, day))? - signed(ERAS * DAYS_PER_ERA)?;
        let seconds = signed((hour * 60 + minute) * 60 + second)? - offset * 60;
        let whole_ms = days * signed(MS_PER_DAY)? + seconds * 1000;
        if second == 60 && !begins_a_month(whole_ms) {
            return None;
        }
        Some(Self { floor_ms: whole_ms + signed(ms)?, beyond })
    }
}

/// Whether a time is the first moment of a month in UTC.
fn begins_a_month(ms: i64) -> bool {
    u64::try_from(ms).is_ok_and(|ms| ms.is_multiple_of(MS_PER_DAY) && civil_from_days(ms / MS_PER_DAY).2 == 1)
}

/// Three numbers of so many digits, with a separator between them.
fn triple(text: &str, separator: char, digits: [usize; 3]) -> Option<(u64, u64, u64)> {
    let mut parts = text.split(separator).zip(digits).map(|(part, digits)| number(part, digits));
    let triple = (parts.next()??, parts.next()??, parts.next()??);
    (text.split(separator).count() == 3).then_some(triple)
}

fn number(text: &str, digits: usize) -> Option<u64> {
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// The days of a month of the Gregorian calendar.
const fn days_in(year: u64, month: u64) -> Option<u64> {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => Some(29),
        2 => Some(28),
        _ => None,
    }
}

/// The decimals that may follow the seconds: milliseconds, whether there is more behind them, and the rest.
fn fraction(text: &str) -> Option<(u64, bool, &str)> {
    let Some(decimals) = text.strip_prefix('.') else { return Some((0, false, text)) };
    let (decimals, rest) = decimals
        .split_at(decimals.find(|character: char| !character.is_ascii_digit()).unwrap_or(decimals.len()));
    if decimals.is_empty() {
        return None;
    }
    let digit = |index: usize| decimals.as_bytes().get(index).map_or(0, |digit| u64::from(digit - b'0'));
    let beyond = decimals.bytes().skip(3).any(|digit| digit != b'0');
    Some((digit(0) * 100 + digit(1) * 10 + digit(2), beyond, rest))
}

/// `Z`, or the local time's distance from UTC.
fn offset_minutes(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    (hours <= 23 && minutes <= 59).then_some(())?;
    Some(sign * signed(hours * 60 + minutes)?)
}

fn signed(number: u64) -> Option<i64> {
    i64::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::DateTime;
    use crate::order::Timestamp;
    use proptest::prelude::{prop_assert_eq, proptest};

    #[test]
    fn known_times() {
        // datetime.fromisoformat(…).timestamp() of Python, where it reads them.
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
    fn other_forms_are_none() {
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
        fn reads_our_own_times(ms in 0..253_402_300_800_000u64) {
            let text = Timestamp::from_unix_ms(ms).to_string();
            prop_assert_eq!(DateTime::parse(&text).map(DateTime::floor_ms), i64::try_from(ms).ok());
        }

        #[test]
        fn takes_any_text(
            text in "\\PC{0,30}|[0-9]{4}(-[0-9]{2}){2}[Tt ][0-9]{2}(:[0-9]{2}){2}(\\.[0-9]{0,9})?[-+Zz]([0-9]{2}:[0-9]{2})?",
        ) {
            _ = DateTime::parse(&text);
        }
    }
}
