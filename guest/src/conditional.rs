//! Conditional requests (RFC 9110 §13): what a client says of the state that it expects or has.

use crate::problem::{Kind, Problem};
use crate::request::Request;

/// Checks that the current entity tag is one that the client expects, if it says what it expects. The comparison is
/// the strong one (RFC 9110 §8.8.3.2): a weak tag matches nothing.
///
/// # Errors
/// [`Kind::PreconditionFailed`], and [`Kind::InvalidHeader`] for a field of another form.
pub(crate) fn check_if_match(request: &dyn Request, current: &str) -> Result<(), Problem> {
    let values = request.header("if-match");
    if values.is_empty() {
        return Ok(());
    }
    match expected(&values) {
        None => Err(Problem::new(
            Kind::InvalidHeader,
            "If-Match must be * or a list of entity tags in double quotes, such as \"3\".",
        )),
        Some(Expected::Any) => Ok(()),
        Some(Expected::Tags(tags)) if tags.iter().any(|(weak, tag)| !weak && tag == current.as_bytes()) => {
            Ok(())
        }
        Some(Expected::Tags(_)) => Err(Problem::new(
            Kind::PreconditionFailed,
            format!("The order has changed: its entity tag is {current}, which If-Match does not name."),
        )),
    }
}

/// Whether the client has what it asks for already. The comparison is the weak one. A field of another form says
/// nothing: the worst that follows is an answer that was not needed.
pub(crate) fn is_not_modified(request: &dyn Request, current: &str) -> bool {
    let values = request.header("if-none-match");
    match expected(&values) {
        _ if values.is_empty() => false,
        Some(Expected::Any) => true,
        Some(Expected::Tags(tags)) => tags.iter().any(|(_, tag)| tag == current.as_bytes()),
        None => false,
    }
}

/// What the fields If-Match and If-None-Match can say.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Any,
    /// Whether each is weak, and the tag with its quotes.
    Tags(Vec<(bool, Vec<u8>)>),
}

/// Reads all lines of such a field as one list; none if it has another form.
fn expected(lines: &[&[u8]]) -> Option<Expected> {
    if let [line] = lines
        && line.trim_ascii() == b"*"
    {
        return Some(Expected::Any);
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
            tags.push((weak, [b"\"", inside, b"\""].concat()));
            rest = after.get(1..)?.trim_ascii_start();
            if !rest.is_empty() && !rest.starts_with(b",") {
                return None;
            }
        }
    }
    (!tags.is_empty()).then_some(Expected::Tags(tags))
}

#[cfg(test)]
mod tests {
    use super::{Expected, expected};
    use proptest::prelude::proptest;

    #[test]
    fn entity_tags() {
        let tags = |tags: &[(bool, &str)]| {
            let tags = tags.iter().map(|(weak, tag)| (*weak, tag.as_bytes().to_vec())).collect();
            Some(Expected::Tags(tags))
        };
        for (line, read) in [
            ("*", Some(Expected::Any)),
            (" * ", Some(Expected::Any)),
            ("\"1\"", tags(&[(false, "\"1\"")])),
            ("W/\"1\"", tags(&[(true, "\"1\"")])),
            ("\"1\", \"2\",W/\"3\"", tags(&[(false, "\"1\""), (false, "\"2\""), (true, "\"3\"")])),
            (",, \"1\" ,,", tags(&[(false, "\"1\"")])),
            ("\"a,b\\\"", tags(&[(false, "\"a,b\\\"")])),
            ("\"\"", tags(&[(false, "\"\"")])),
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
            assert_eq!(expected(&[line.as_bytes()]), read, "{line}");
        }
        let lines = ["\"1\"", "\"2\""].map(str::as_bytes);
        assert_eq!(expected(&lines), tags(&[(false, "\"1\""), (false, "\"2\"")]));
    }

    proptest! {
        #[test]
        fn any_field_is_decided(line: Vec<u8>, text in "[W/\"\\\\, *a]{0,12}") {
            _ = expected(&[&line, text.as_bytes()]);
        }
    }
}
