//! The orders of which a full page consists.

use std::{fmt::Write, iter::repeat_n};

/// How large the orders are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// 32 KB: a long order in a language with an alphabet.
    Long,
    /// 200 KB: nearly the largest order, in characters of four bytes.
    Largest,
}

impl Size {
    /// The size, for the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Long => "32 KB",
            Self::Largest => "200 KB",
        }
    }

    /// More orders than a page holds: a page has at most 100.
    pub(super) fn count(self) -> usize {
        match self {
            Self::Long => 101,
            Self::Largest => 30,
        }
    }

    /// The body of a request that creates such an order.
    pub(super) fn order(self) -> String {
        let (character, items, name) = match self {
            Self::Long => ('x', 40, String::new()),
            Self::Largest => ('😀', 100, format!(r#""name":"{}","#, text('😀', 200))),
        };
        let mut order = format!(r#"{{"customer":"ada","currency":"EUR","notes":"{}""#, text(character, 2000));
        for number in 0..50 {
            let start = if number == 0 { r#","metadata":{"# } else { "," };
            let _ = write!(order, r#"{start}"m{number}":"{}""#, text(character, 500));
        }
        for number in 0..items {
            let start = if number == 0 { r#"},"items":["# } else { "," };
            let _ = write!(order, r#"{start}{{"sku":"{number:064}",{name}"quantity":1,"unit_price":450}}"#);
        }
        order + "]}"
    }
}

/// A text of this many code points.
fn text(character: char, count: usize) -> String {
    repeat_n(character, count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_the_size_of_its_name() {
        for (size, kilobytes) in [(Size::Long, 32), (Size::Largest, 200)] {
            let length = size.order().len();
            assert!(length.abs_diff(kilobytes * 1000) < kilobytes * 30, "{length}");
            // More than a page of 1 MiB.
            assert!(length * size.count() > 1 << 20);
        }
    }
}
