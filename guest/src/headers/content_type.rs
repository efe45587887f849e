//! `Content-Type` and `Content-Encoding` of a request: the body must have the expected type and no content coding.

use super::grammar::{OWS, parse_parameters};
use crate::platform::Request;
use crate::problem::{Kind, Problem};

/// The type of a request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyType {
    Json,
    /// RFC 7396
    MergePatch,
}

impl BodyType {
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::MergePatch => "application/merge-patch+json",
        }
    }

    /// The response header that lists the supported type: RFC 9110 §15.5.16, RFC 5789 §2.2.
    const fn response_header(self) -> &'static str {
        match self {
            Self::Json => "accept",
            Self::MergePatch => "accept-patch",
        }
    }
}

/// Checks that the body has the expected type and no content coding.
///
/// # Errors
/// [`Kind::UnsupportedContent`].
pub(crate) fn require_content_type(expected: BodyType, request: &dyn Request) -> Result<(), Problem> {
    let media_type = expected.media_type();
    let unsupported = |detail: String| {
        Problem::new(Kind::UnsupportedContent, detail)
            .with_header(expected.response_header(), media_type)
            .with_header("accept-encoding", "identity")
    };
    match request.header("content-type").as_slice() {
        [] => {
            return Err(unsupported(format!(
                "The Content-Type header is missing. Send Content-Type: {media_type}."
            )));
        }
        [value] if matches_media_type(value, media_type) => {}
        _ => {
            return Err(unsupported(format!(
                "The body must be JSON in UTF-8 with one Content-Type header: {media_type}."
            )));
        }
    }
    let codings = request.header("content-encoding");
    let mut codings =
        codings.iter().flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    if codings.all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")) {
        Ok(())
    } else {
        Err(unsupported("The body must not have a Content-Encoding.".to_owned()))
    }
}

/// Whether a header value is this media type (RFC 9110 §8.3.1), in any case. Parameters are ignored, except that `charset`
/// must be UTF-8.
fn matches_media_type(value: &[u8], media_type: &str) -> bool {
    let Ok(value) = std::str::from_utf8(value) else { return false };
    let (given, rest) = value.split_at(value.find(';').unwrap_or(value.len()));
    if !given.trim_matches(OWS).eq_ignore_ascii_case(media_type) {
        return false;
    }
    parse_parameters(rest).is_some_and(|parameters| {
        parameters
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("charset"))
            .all(|(_, charset)| charset.eq_ignore_ascii_case("utf-8"))
    })
}

#[cfg(test)]
mod tests {
    use super::matches_media_type;
    use proptest::prelude::{any, proptest};

    fn is_json(value: &[u8]) -> bool {
        matches_media_type(value, "application/json")
    }

    #[test]
    fn json_in_utf_8_is_accepted() {
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
    fn other_values_are_rejected() {
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
        fn any_value_is_handled(value: Vec<u8>, parameters in "application/json(;[ a-z=\"\\\\]{0,8}){0,4}") {
            _ = is_json(&value);
            _ = is_json(parameters.as_bytes());
        }

        #[test]
        fn any_quoted_parameter_is_ignored(text in any::<String>()) {
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            assert!(is_json(format!("application/json; note=\"{quoted}\"").as_bytes()));
        }
    }
}
