//! Numbers, decided from their digits.

/// The text of a JSON number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number<'text>(pub(super) &'text str);

impl Number<'_> {
    /// The whole number that the text denotes in any notation: `2`, `2.0` and `0.2e1` are equal (JSON Schema, Core §4.2.3). `None`
    /// if it has a fraction, however small.
    ///
    /// A number outside the range of `i64` becomes the nearest bound of that range; no member accepts a number that large.
    pub(crate) fn whole(self) -> Option<i64> {
        let (negative, text) = self.0.strip_prefix('-').map_or((false, self.0), |rest| (true, rest));
        let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (before, after) = digits.split_once('.').unwrap_or((digits, ""));
        let digits = || before.bytes().chain(after.bytes()).map(|digit| i64::from(digit - b'0'));
        // How many of the digits are decimals, once the exponent has moved the point; negative if zeros follow.
        let decimals = length(after).saturating_sub(parse_exponent(exponent));
        let zeros = digits().rev().take_while(|digit| *digit == 0).count();
        if length(before) + length(after) == to_i64(zeros) {
            return Some(0);
        }
        if to_i64(zeros) < decimals {
            return None;
        }
        let bound = if negative { i64::MIN } else { i64::MAX };
        let kept = (length(before) + length(after)).saturating_sub(decimals);
        let mut number: i64 = 0;
        for digit in digits().chain(std::iter::repeat(0)).take(usize::try_from(kept).unwrap_or(usize::MAX)) {
            let digit = if negative { -digit } else { digit };
            match number.checked_mul(10).and_then(|number| number.checked_add(digit)) {
                Some(next) => number = next,
                None => return Some(bound),
            }
        }
        Some(number)
    }
}

/// The exponent; one that does not fit becomes the nearest bound.
fn parse_exponent(text: &str) -> i64 {
    text.parse().unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX })
}

fn length(text: &str) -> i64 {
    to_i64(text.len())
}

fn to_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::Number;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    #[test]
    fn whole_numbers_and_fractions_are_distinguished_in_any_notation() {
        for (text, expected) in [
            ("0", Some(0)),
            ("2", Some(2)),
            ("2.0", Some(2)),
            ("2.000", Some(2)),
            ("1e2", Some(100)),
            ("1E+2", Some(100)),
            ("1.5e1", Some(15)),
            ("2000e-3", Some(2)),
            ("0.2e1", Some(2)),
            ("0.0002e4", Some(2)),
            ("-0", Some(0)),
            ("-0.0", Some(0)),
            ("0e99999999999999999999", Some(0)),
            ("0.000e-99999999999999999999", Some(0)),
            ("-7", Some(-7)),
            ("999999999.000000000000", Some(999_999_999)),
            ("1.0000000000000001", None),
            ("2.0000000000000001", None),
            ("999999999999.9999999999999999", None),
            ("1e-400", None),
            ("9007199254740993", Some(9_007_199_254_740_993)),
            ("9007199254740993.0", Some(9_007_199_254_740_993)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", Some(i64::MAX)),
            ("18446744073709551616", Some(i64::MAX)),
            ("-9223372036854775809", Some(i64::MIN)),
            ("1e300", Some(i64::MAX)),
            ("-1e300", Some(i64::MIN)),
            ("1e99999999999999999999", Some(i64::MAX)),
            ("1e-99999999999999999999", None),
            ("1e9223372036854775807", Some(i64::MAX)),
            ("1.0e-9223372036854775808", None),
            ("2.5", None),
            ("1e-1", None),
            ("25e-1", None),
            ("-0.000001", None),
            ("5e-324", None),
        ] {
            assert_eq!(Number(text).whole(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_notation_of_a_whole_number_is_equal(number in any::<i64>(), count in 0_usize..40) {
            let zeros = "0".repeat(count);
            for text in [
                format!("{number}"),
                format!("{number}.0{zeros}"),
                format!("{number}E+0"),
                format!("{number}{zeros}E-{count}"),
                format!("{number}{zeros}.000e-{count}"),
            ] {
                prop_assert_eq!(Number(&text).whole(), Some(number), "{}", text);
            }
        }

        #[test]
        fn the_point_may_be_anywhere(digits in "[0-9]{0,8}", decimals in "[0-9]{1,8}") {
            let whole: i64 = format!("{digits}{decimals}").parse().unwrap();
            let text = format!("0{digits}.{decimals}e{}", decimals.len());
            prop_assert_eq!(Number(&text).whole(), Some(whole), "{}", text);
        }

        #[test]
        fn a_number_with_decimals_is_a_fraction(number in any::<i64>(), zeros in 0_usize..40, digit in 1..10) {
            let text = format!("{number}.{}{digit}", "0".repeat(zeros));
            prop_assert_eq!(Number(&text).whole(), None);
        }
    }
}
