//! What a request says about its body: it must be JSON, as it is.

use crate::problem::{Kind, Problem};
use crate::request::Request;

/// Checks that a body is announced as JSON without a content coding.
pub(crate) fn require_json(request: &dyn Request) -> Result<(), Problem> {
    let types = request.header("content-type");
    match types.as_slice() {
        [] => {
            return Err(unsupported("The request has no Content-Type. Send Content-Type: application/json."));
        }
        [value] if is_json(value) => {}
        _ => {
            return Err(unsupported(
                "The body must be JSON in UTF-8, sent with one field Content-Type: application/json.",
            ));
        }
    }
    let codings = request.header("content-encoding");
    let mut codings =
        codings.iter().flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    if codings.all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")) {
        Ok(())
    } else {
        Err(unsupported("The body must be sent as it is, without a Content-Encoding."))
    }
}

/// What would have been taken is told in the answer's own fields (RFC 9110 §15.5.16).
fn unsupported(detail: &'static str) -> Problem {
    Problem::new(Kind::UnsupportedContent, detail)
        .header("accept", "application/json")
        .header("accept-encoding", "identity")
}

/// Whether a field value is the media type `application/json` (RFC 9110 §8.3.1), in any case and with any
/// parameters but a `charset` that is not UTF-8.
fn is_json(value: &[u8]) -> bool {
    let Ok(value) = std::str::from_utf8(value) else { return false };
    let (media_type, mut rest) = value.split_at(value.find(';').unwrap_or(value.len()));
    if !media_type.trim_matches(BLANK).eq_ignore_ascii_case("application/json") {
        return false;
    }
    loop {
        rest = rest.trim_matches(BLANK);
        if rest.is_empty() {
            return true;
        }
        let Some(after) = rest.strip_prefix(';') else { return false };
        rest = after.trim_start_matches(BLANK);
        // `;` alone is an empty parameter, which RFC 9110 §5.6.6 lets pass.
        if rest.is_empty() || rest.starts_with(';') {
            continue;
        }
        let Some((name, value, after)) = parameter(rest) else { return false };
        if name.eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8") {
            return false;
        }
        rest = after;
    }
}

/// Optional white space (RFC 9110 §5.6.3).
const BLANK: [char; 2] = [' ', '\t'];

/// `name=value` or `name="value"`, and what follows.
fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = token(text)?;
    let rest = rest.strip_prefix('=')?;
    if let Some(quoted) = rest.strip_prefix('"') {
        let (value, rest) = unquoted(quoted)?;
        Some((name, value, rest))
    } else {
        let (value, rest) = token(rest)?;
        Some((name, value.to_owned(), rest))
    }
}

/// The token that a text begins with (RFC 9110 §5.6.2), and what follows.
fn token(text: &str) -> Option<(&str, &str)> {
    let in_token =
        |character: char| character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character);
    let end = text.find(|character| !in_token(character)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// What a quoted string says, from after its first quote (RFC 9110 §5.6.4), and what follows.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(characters.next()?),
            character => value.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_json;
    use proptest::prelude::{any, proptest};

    #[test]
    fn json_in_utf_8_is_taken() {
        for value in [
            "application/json",
            "Application/JSON",
            " application/json\t",
            "application/json;charset=utf-8",
            "application/json ; Charset=UTF-8",
            "application/json; charset=\"utf-8\"",
            "application/json; charset=\"u\\tf-8\"",
            "application/json; version=1; charset=utf-8",
            "application/json; note=\"; charset=latin1\"",
            "application/json;",
            "application/json;; charset=utf-8;",
        ] {
            assert!(is_json(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        for value in [
            "",
            "text/plain",
            "application/jsonp",
            "application/json-patch+json",
            "application/problem+json",
            "application/*",
            "application/json, application/json",
            "application/json charset=utf-8",
            "application/json; charset",
            "application/json; charset=",
            "application/json; charset=latin1",
            "application/json; charset=utf-8; charset=utf-16",
            "application/json; charset=utf-16; charset=utf-8",
            "application/json; charset=\"utf-8",
            "application/json; charset=\"utf-8\\",
            "application/json; =utf-8",
            "application/json; charset=utf-8 x",
            "application/json; charset = utf-8",
        ] {
            assert!(!is_json(value.as_bytes()), "{value}");
        }
        assert!(!is_json(b"application/json; x=\xff"));
    }

    proptest! {
        #[test]
        fn any_value_is_decided(value: Vec<u8>, parameters in "application/json(;[ a-z=\"\\\\]{0,8}){0,4}") {
            _ = is_json(&value);
            _ = is_json(parameters.as_bytes());
        }

        #[test]
        fn any_quoted_parameter_is_passed_over(text in any::<String>()) {
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            assert!(is_json(format!("application/json; note=\"{quoted}\"").as_bytes()));
        }
    }
}
