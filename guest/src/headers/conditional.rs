//! Conditional requests (RFC 9110 §13): `If-Match` and `If-None-Match`.

use crate::platform::Request;
use crate::problem::{Kind, Problem};

/// Whether `If-Match`, if present, contains an entity tag that matches, or is `*`. Uses strong comparison (RFC 9110 §8.8.3.2), so a
/// weak tag never matches. Tags are passed without their quotes.
///
/// # Errors
/// [`Kind::InvalidHeader`] if the header is malformed.
pub(crate) fn if_match(request: &dyn Request, matches: impl Fn(&[u8]) -> bool) -> Result<bool, Problem> {
    let values = request.header("if-match");
    if values.is_empty() {
        return Ok(true);
    }
    match parse_entity_tags(&values) {
        None => Err(Problem::new(
            Kind::InvalidHeader,
            "If-Match must be * or a list of entity tags in double quotes, such as \"3-2\".",
        )),
        Some(EntityTags::Any) => Ok(true),
        Some(EntityTags::List(tags)) => Ok(tags.iter().any(|(weak, tag)| !weak && matches(tag))),
    }
}

/// Whether `If-None-Match` contains the current entity tag, without its quotes. Uses weak comparison. A malformed header is ignored;
/// at worst, the content is sent again.
pub(crate) fn if_none_match(request: &dyn Request, current: &str) -> bool {
    let values = request.header("if-none-match");
    match parse_entity_tags(&values) {
        _ if values.is_empty() => false,
        Some(EntityTags::Any) => true,
        Some(EntityTags::List(tags)) => tags.iter().any(|(_, tag)| tag == current.as_bytes()),
        None => false,
    }
}

/// The value of `If-Match` or `If-None-Match`.
#[derive(Debug, PartialEq, Eq)]
enum EntityTags {
    /// `*`
    Any,
    /// For each tag, whether it is weak, and the tag without its quotes.
    List(Vec<(bool, Vec<u8>)>),
}

/// Parses all lines of the header as one list; `None` if it is malformed.
fn parse_entity_tags(lines: &[&[u8]]) -> Option<EntityTags> {
    if let [line] = lines
        && line.trim_ascii() == b"*"
    {
        return Some(EntityTags::Any);
    }
    let mut tags = Vec::new();
    for line in lines {
        let mut rest = line.trim_ascii();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix(b",") {
                rest = after.trim_ascii_start();
                continue;
            }
            let (weak, tag) = rest.strip_prefix(b"W/").map_or((false, rest), |tag| (true, tag));
            let inside = tag.strip_prefix(b"\"")?;
            let length = inside.iter().position(|byte| *byte == b'"')?;
            let (inside, after) = inside.split_at(length);
            if !inside.iter().all(|byte| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)) {
                return None;
            }
            tags.push((weak, inside.to_vec()));
            rest = after.get(1..)?.trim_ascii_start();
            if !rest.is_empty() && !rest.starts_with(b",") {
                return None;
            }
        }
    }
    (!tags.is_empty()).then_some(EntityTags::List(tags))
}

#[cfg(test)]
mod tests {
    use super::{EntityTags, parse_entity_tags};
    use proptest::prelude::proptest;

    #[test]
    fn entity_tags_are_parsed() {
        let tags = |tags: &[(bool, &str)]| {
            let tags = tags.iter().map(|(weak, tag)| (*weak, tag.as_bytes().to_vec())).collect();
            Some(EntityTags::List(tags))
        };
        for (line, expected) in [
            ("*", Some(EntityTags::Any)),
            (" * ", Some(EntityTags::Any)),
            ("\"1\"", tags(&[(false, "1")])),
            ("W/\"1\"", tags(&[(true, "1")])),
            ("\"1\", \"2\",W/\"3\"", tags(&[(false, "1"), (false, "2"), (true, "3")])),
            (",, \"1\" ,,", tags(&[(false, "1")])),
            ("\"a,b\\\"", tags(&[(false, "a,b\\")])),
            ("\"\"", tags(&[(false, "")])),
            ("", None),
            (" , ,", None),
            ("1", None),
            ("\"1", None),
            ("\"1\" \"2\"", None),
            ("w/\"1\"", None),
            ("W/ \"1\"", None),
            ("\"a b\"", None),
            ("*, \"1\"", None),
            ("\"1\", *", None),
        ] {
            assert_eq!(parse_entity_tags(&[line.as_bytes()]), expected, "{line}");
        }
        let lines = ["\"1\"", "\"2\""].map(str::as_bytes);
        assert_eq!(parse_entity_tags(&lines), tags(&[(false, "1"), (false, "2")]));
    }

    proptest! {
        #[test]
        fn any_header_is_handled(line: Vec<u8>, text in "[W/\"\\\\, *a]{0,12}") {
            _ = parse_entity_tags(&[&line, text.as_bytes()]);
        }
    }
}
