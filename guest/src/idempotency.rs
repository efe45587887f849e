//! The key by which a client says that a request is the same as an earlier one.

use crate::problem::{Kind, Problem};
use crate::request::Request;

/// The longest idempotency key, in characters.
const MAX_KEY: usize = 255;

/// The key that a client gave a request, if it did (draft-ietf-httpapi-idempotency-key-header-07 §2.1). The draft has
/// a quoted string (RFC 9651 §3.3.3); many clients send it bare, and that is taken for the same key.
///
/// # Errors
/// [`Kind::InvalidHeader`].
pub(crate) fn idempotency_key(request: &dyn Request) -> Result<Option<String>, Problem> {
    let invalid = |detail| Err(Problem::new(Kind::InvalidHeader, detail));
    match request.header("idempotency-key").as_slice() {
        [] => Ok(None),
        [value] => match key(value.trim_ascii()) {
            Some(key) if (1..=MAX_KEY).contains(&key.len()) => Ok(Some(key)),
            _ => invalid(
                "Idempotency-Key must have 1 to 255 visible ASCII characters, bare or as a string in double quotes.",
            ),
        },
        _ => invalid("Idempotency-Key must be given once, not several times."),
    }
}

fn key(value: &[u8]) -> Option<String> {
    let visible = |byte: &u8| matches!(byte, 0x21..=0x7e);
    let Some(quoted) = value.strip_prefix(b"\"") else {
        return value.iter().all(visible).then(|| String::from_utf8(value.to_vec()).ok())?;
    };
    let inside = quoted.strip_suffix(b"\"")?;
    let mut key = String::new();
    let mut bytes = inside.iter().copied();
    while let Some(byte) = bytes.next() {
        key.push(char::from(match byte {
            b'\\' => bytes.next().filter(|escaped| matches!(escaped, b'"' | b'\\'))?,
            b'"' => return None,
            0x20..=0x7e => byte,
            _ => return None,
        }));
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::key;
    use proptest::prelude::{prop_assert_eq, proptest};

    #[test]
    fn idempotency_keys() {
        for (value, read) in [
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
            ("\"a\";p=1", None),
            ("é", None),
            ("\"é\"", None),
        ] {
            assert_eq!(key(value.as_bytes()).as_deref(), read, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_field_is_decided(line: Vec<u8>, text in "[\"\\\\ a]{0,12}") {
            _ = key(&line);
            _ = key(text.as_bytes());
        }

        #[test]
        fn a_quoted_key_is_read_as_it_is_meant(text in "[ -~]{0,40}") {
            let quoted = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
            prop_assert_eq!(key(quoted.as_bytes()), Some(text));
        }
    }
}
