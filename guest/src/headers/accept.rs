//! Content negotiation by `Accept` (RFC 9110 §12.5.1).

use super::grammar::{parse_parameters, split_list};
use crate::platform::Request;
use crate::problem::{Kind, Problem};

/// Selects the offered media type that the client prefers; the first one if several have the same weight. Without an
/// `Accept` header, or with one of which nothing can be read, every media type is acceptable: the header is advisory.
///
/// # Errors
/// [`Kind::NotAcceptable`] if no offered media type is acceptable.
pub(crate) fn negotiate(request: &dyn Request, offers: &[&'static str]) -> Result<&'static str, Problem> {
    let values = request.header("accept");
    let ranges: Vec<Range> = values
        .iter()
        .filter_map(|value| std::str::from_utf8(value).ok())
        .flat_map(split_list)
        .filter_map(Range::parse)
        .collect();
    let weight = |offer: &str| match ranges.is_empty() {
        true => MAX_WEIGHT,
        false => weight(&ranges, offer),
    };
    // Reversed because `max_by_key` returns the last of several maxima.
    let best = offers.iter().rev().copied().max_by_key(|offer| weight(offer));
    best.filter(|best| weight(best) > 0).ok_or_else(|| {
        let offers = offers.join(" and ");
        Problem::new(
            Kind::NotAcceptable,
            format!("The resource is available as {offers}, which the Accept header does not match."),
        )
    })
}

/// The weight of 1, in thousandths.
const MAX_WEIGHT: u16 = 1000;

/// The weight of an offer: that of the most specific range that matches, or 0 if none matches.
fn weight(ranges: &[Range], offer: &str) -> u16 {
    ranges
        .iter()
        .filter_map(|range| Some((range.specificity(offer)?, range.weight)))
        .max_by_key(|(specificity, _)| *specificity)
        .map_or(0, |(_, weight)| weight)
}

/// One element of an `Accept` field. Parameters other than the weight are ignored, because no offer has any.
struct Range {
    media_range: String,
    weight: u16,
}

impl Range {
    /// Parses an element; `None` if it is malformed. Malformed elements are ignored.
    fn parse(element: &str) -> Option<Self> {
        let (media_range, weight) = parse_weighted(element)?;
        // `*` alone is how the HTTP client of Java writes `*/*`.
        let is_range = media_range == "*"
            || media_range
                .split_once('/')
                .is_some_and(|(kind, subtype)| !kind.is_empty() && !subtype.is_empty());
        is_range.then_some(Self { media_range, weight })
    }

    /// How specifically the range matches an offer; `None` if it does not match.
    fn specificity(&self, offer: &str) -> Option<u8> {
        let kind = offer.split_once('/').map_or("", |(kind, _)| kind);
        match self.media_range.as_str() {
            range if range == offer => Some(2),
            range if range.strip_suffix("/*") == Some(kind) => Some(1),
            "*/*" | "*" => Some(0),
            _ => None,
        }
    }
}

/// Parses an element of `Accept` or `Accept-Encoding`: a name, in lower case, and its weight in thousandths, 1000 if it has none.
/// `None` if it is malformed.
pub(super) fn parse_weighted(element: &str) -> Option<(String, u16)> {
    let (name, rest) = element.split_at(element.find(';').unwrap_or(element.len()));
    let parameters = parse_parameters(rest)?;
    let weight = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case("q"));
    let weight = weight.map_or(Some(MAX_WEIGHT), |(_, value)| parse_weight(value))?;
    Some((name.trim().to_ascii_lowercase(), weight))
}

/// Parses a weight (RFC 9110 §12.4.2), which is 0 to 1 with up to three decimals, into thousandths. `.2`, `1.` and more
/// decimals are read, too.
fn parse_weight(value: &str) -> Option<u16> {
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    if value == "." || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths = decimals.bytes().chain([b'0'; 3]).take(3);
    let thousandths = thousandths.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match whole {
        "0" | "" if !value.is_empty() => Some(thousandths),
        "1" if decimals.bytes().all(|digit| digit == b'0') => Some(MAX_WEIGHT),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Range, parse_weight, weight};
    use crate::headers::grammar::split_list;
    use proptest::prelude::proptest;

    fn weight_in(accept: &str, offer: &str) -> u16 {
        weight(&split_list(accept).filter_map(Range::parse).collect::<Vec<_>>(), offer)
    }

    #[test]
    fn the_most_specific_range_determines_the_weight() {
        for (accept, expected) in [
            ("application/json", 1000),
            ("Application/JSON", 1000),
            ("application/json;charset=utf-8", 1000),
            ("application/*", 1000),
            ("*/*", 1000),
            ("*/*;q=0.1", 100),
            ("text/html, application/json;q=0.5, */*;q=0.1", 500),
            ("*/*, application/json;q=0", 0),
            ("application/*;q=0.2, */*", 200),
            ("application/json ; q=0.25", 250),
            ("text/html", 0),
            ("application/jsonp", 0),
            ("applic/*", 0),
            ("", 0),
            ("application/json;q=2", 0),
            ("application/json;q=x, */*;q=0.3", 300),
        ] {
            assert_eq!(weight_in(accept, "application/json"), expected, "{accept}");
        }
    }

    #[test]
    fn weights_are_parsed_into_thousandths() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1", Some(1000)),
            ("1.000", Some(1000)),
            ("0.5", Some(500)),
            ("0.123", Some(123)),
            ("0.", Some(0)),
            (".2", Some(200)),
            ("1.", Some(1000)),
            ("0.1239", Some(123)),
            ("1.0000", Some(1000)),
            ("1.001", None),
            ("2", None),
            ("-1", None),
            ("", None),
            (".", None),
            ("0.x", None),
        ] {
            assert_eq!(parse_weight(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_accept_header_is_handled(accept in ".{0,40}|[a-z*/;,=q.0-9\" \\\\]{0,40}") {
            _ = weight_in(&accept, "application/json");
        }
    }
}
