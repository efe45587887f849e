//! What a client takes in answer (RFC 9110 §12.5.1).

use crate::field::{elements, parameters};
use crate::problem::{Kind, Problem};
use crate::request::Request;

/// The one of the offered media types that the client likes best; of equals, the first. All are taken if it says
/// nothing.
///
/// # Errors
/// [`Kind::NotAcceptable`] if it takes none of them.
pub(crate) fn preferred(request: &dyn Request, offers: &[&'static str]) -> Result<&'static str, Problem> {
    let values = request.header("accept");
    let ranges: Vec<Range> = values
        .iter()
        .filter_map(|value| std::str::from_utf8(value).ok())
        .flat_map(elements)
        .filter_map(Range::parse)
        .collect();
    let weight = |offer: &str| match values.is_empty() {
        true => MAX_WEIGHT,
        false => weight(&ranges, offer),
    };
    // `max_by_key` would take the last of equals.
    let best = offers.iter().rev().copied().max_by_key(|offer| weight(offer));
    best.filter(|best| weight(best) > 0).ok_or_else(|| {
        let offers = offers.join(" and ");
        Problem::new(
            Kind::NotAcceptable,
            format!("This is offered as {offers}. Accept names neither it nor a range around it."),
        )
    })
}

/// The weight of 1, in thousandths.
const MAX_WEIGHT: u16 = 1000;

/// The weight that the most specific range gives an offer; 0 if none has it.
fn weight(ranges: &[Range], offer: &str) -> u16 {
    ranges
        .iter()
        .filter_map(|range| Some((range.specificity(offer)?, range.weight)))
        .max_by_key(|(specificity, _)| *specificity)
        .map_or(0, |(_, weight)| weight)
}

/// One element of an Accept field. Parameters other than the weight are passed over: no offer has any.
struct Range {
    media_range: String,
    weight: u16,
}

impl Range {
    /// None if it is malformed; such an element says nothing.
    fn parse(element: &str) -> Option<Self> {
        let (media_range, rest) = element.split_at(element.find(';').unwrap_or(element.len()));
        let parameters = parameters(rest)?;
        let weight = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case("q"));
        let weight = weight.map_or(Some(MAX_WEIGHT), |(_, value)| thousandths(value))?;
        Some(Self { media_range: media_range.trim().to_ascii_lowercase(), weight })
    }

    /// How closely it describes an offer; none if it does not.
    fn specificity(&self, offer: &str) -> Option<u8> {
        let kind = offer.split_once('/').map_or("", |(kind, _)| kind);
        match self.media_range.as_str() {
            range if range == offer => Some(2),
            range if range.strip_suffix("/*") == Some(kind) => Some(1),
            "*/*" => Some(0),
            _ => None,
        }
    }
}

/// A weight (RFC 9110 §12.4.2): 0 to 1 with up to three decimals.
fn thousandths(value: &str) -> Option<u16> {
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let decimals: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(decimals),
        "1" if decimals == 0 => Some(MAX_WEIGHT),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Range, thousandths, weight};
    use crate::field::elements;
    use proptest::prelude::proptest;

    fn weight_in(accept: &str, offer: &str) -> u16 {
        weight(&elements(accept).filter_map(Range::parse).collect::<Vec<_>>(), offer)
    }

    #[test]
    fn the_most_specific_range_counts() {
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
    fn weights() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1", Some(1000)),
            ("1.000", Some(1000)),
            ("0.5", Some(500)),
            ("0.123", Some(123)),
            ("0.", Some(0)),
            ("1.001", None),
            ("0.1234", None),
            ("2", None),
            ("-1", None),
            ("", None),
            (".5", None),
        ] {
            assert_eq!(thousandths(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_field_is_weighed(accept in ".{0,40}|[a-z*/;,=q.0-9\" \\\\]{0,40}") {
            _ = weight_in(&accept, "application/json");
        }
    }
}
