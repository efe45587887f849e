//! The `Idempotency-Key` header, by which a client marks a request as a repetition of an earlier one.

use crate::platform::Request;
use crate::problem::{Kind, Problem};

/// The maximum length of an idempotency key, in characters.
const MAX_LENGTH: usize = 255;

/// Reads the idempotency key of a request, if any (draft-ietf-httpapi-idempotency-key-header-07 §2.1). The draft requires a
/// quoted string (RFC 9651 §3.3.3), after which parameters are ignored. Many clients send the key without quotes; that is accepted
/// as the same key.
///
/// # Errors
/// [`Kind::InvalidHeader`].
pub(crate) fn idempotency_key(request: &dyn Request) -> Result<Option<String>, Problem> {
    let invalid = |detail| Err(Problem::new(Kind::InvalidHeader, detail));
    match request.header("idempotency-key").as_slice() {
        [] => Ok(None),
        [value] => match parse_key(value.trim_ascii()) {
            Some(key) if (1..=MAX_LENGTH).contains(&key.len()) => Ok(Some(key)),
            _ => invalid(
                "Idempotency-Key must have 1 to 255 visible ASCII characters, with or without double quotes around it.",
            ),
        },
        _ => invalid("Idempotency-Key must occur only once."),
    }
}

fn parse_key(value: &[u8]) -> Option<String> {
    let visible = |byte: &u8| matches!(byte, 0x21..=0x7e);
    let Some(quoted) = value.strip_prefix(b"\"") else {
        return value.iter().all(visible).then(|| String::from_utf8(value.to_vec()).ok())?;
    };
    let mut key = String::new();
    let mut bytes = quoted.iter();
    loop {
        key.push(char::from(match *bytes.next()? {
            b'\\' => bytes.next().copied().filter(|escaped| matches!(escaped, b'"' | b'\\'))?,
            // Its parameters (RFC 9651 §3.1.2) mean nothing.
            b'"' => return matches!(bytes.as_slice().trim_ascii_start(), [] | [b';', ..]).then_some(key),
            byte @ 0x20..=0x7e => byte,
            _ => return None,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::parse_key;
    use proptest::prelude::{prop_assert_eq, proptest};

    #[test]
    fn keys_are_parsed() {
        for (value, expected) in [
            ("abc", Some("abc")),
            ("\"abc\"", Some("abc")),
            ("\"a b\"", Some("a b")),
            ("\"a\\\"\\\\b\"", Some("a\"\\b")),
            ("8e03978e-40d5-43dd-bc93-6894a57f9324", Some("8e03978e-40d5-43dd-bc93-6894a57f9324")),
            ("a b", None),
            ("\"", None),
            ("\"abc", None),
            ("\"a\"b\"", None),
            ("\"a\\b\"", None),
            ("\"a\\", None),
            ("\"a\";p=1", Some("a")),
            ("\"a;b\" ; p", Some("a;b")),
            ("\"a\"x", None),
            ("a;p=1", Some("a;p=1")),
            ("é", None),
            ("\"é\"", None),
        ] {
            assert_eq!(parse_key(value.as_bytes()).as_deref(), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_handled(line: Vec<u8>, text in "[\"\\\\ a]{0,12}") {
            _ = parse_key(&line);
            _ = parse_key(text.as_bytes());
        }

        #[test]
        fn a_quoted_key_is_unescaped(text in "[ -~]{0,40}") {
            let quoted = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
            prop_assert_eq!(parse_key(quoted.as_bytes()), Some(text));
        }
    }
}
