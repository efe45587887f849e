//! Text from elsewhere in a log line: cut, and without characters that control a terminal or the order of what it shows.

use std::borrow::Cow;

/// Maximum length of one value that a client sent, in bytes of UTF-8: more than any path of an API needs, and little enough
/// that a client cannot fill the queue of lines with a few requests.
pub const MAX_CLIENT_TEXT: usize = 256;

/// Stands at the end of text that was cut.
const CUT: char = '…';

/// What is logged of a value that a client sent: at most [`MAX_CLIENT_TEXT`] bytes, and a `…` if there are more.
///
/// Every field of a log line that holds such a value goes through this function, except for the request id, which has a limit of its
/// own, and the reason for which the admin port rejects a request.
pub fn client_text(value: &str) -> Cow<'_, str> {
    cut(value, MAX_CLIENT_TEXT)
}

/// At most `max` bytes of `text`, up to the end of a character, and a `…` if there are more.
pub fn cut(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let start = text.get(..text.floor_char_boundary(max)).unwrap_or_default();
    Cow::Owned(format!("{start}{CUT}"))
}

/// How a character is escaped in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// As JSON does: `\u009b`. Such characters occur only in strings, so the line stays valid JSON.
    Json,
    /// As Rust does: `\r`, `\u{9b}`.
    Text,
}

/// Escapes the characters in a finished line that its format does not escape everywhere. A line without any is not copied.
pub fn escaped(line: &[u8], escape: Escape) -> Cow<'_, [u8]> {
    // Nearly every line: the search looks at many bytes at once.
    let (text, end) = line.strip_suffix(b"\n").map_or((line, &[][..]), |text| (text, &b"\n"[..]));
    if !text.iter().fold(false, |found, byte| found | is_suspect(*byte)) {
        return Cow::Borrowed(line);
    }
    let mut safe = Vec::new();
    let mut rest = text;
    while let Some((start, character)) = first_control(rest) {
        let (before, after) = rest.split_at(start);
        safe.extend_from_slice(before);
        let code = u32::from(character);
        let text = match escape {
            Escape::Json => format!("\\u{code:04x}"),
            Escape::Text => character.escape_default().to_string(),
        };
        safe.extend_from_slice(text.as_bytes());
        rest = after.get(character.len_utf8()..).unwrap_or_default();
    }
    if safe.is_empty() {
        return Cow::Borrowed(line);
    }
    safe.extend_from_slice(rest);
    safe.extend_from_slice(end);
    Cow::Owned(safe)
}

/// The first such character, and where it starts.
fn first_control(line: &[u8]) -> Option<(usize, char)> {
    let suspects = line.iter().enumerate().filter(|(_, byte)| is_suspect(**byte));
    suspects.map(|(start, _)| start).find_map(|start| {
        let character = first_character(line.get(start..)?)?;
        is_control(character).then_some((start, character))
    })
}

/// Whether this may be the first byte of such a character. It is rare in other text.
fn is_suspect(byte: u8) -> bool {
    is_control(byte.into()) && byte < 0x80 || matches!(byte, 0xC2 | 0xD8 | 0xE2)
}

/// The character at the start of `bytes`, which is at most three bytes long.
fn first_character(bytes: &[u8]) -> Option<char> {
    (1..=3).find_map(|length| std::str::from_utf8(bytes.get(..length)?).ok()?.chars().next())
}

/// Whether a character controls a terminal (C0, DEL and C1), ends a line for some readers (U+2028, U+2029), or changes the
/// direction of text, so that a line reads differently from what it says (Unicode Standard Annex 9, section 2). A tab does none
/// of this, and an escape character begins a colour of the formatter, which escapes all others.
fn is_control(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{8}'
            | '\n'..='\u{1A}'
            | '\u{1C}'..='\u{1F}'
            | '\u{7F}'..='\u{9F}'
            | '\u{61C}'
            | '\u{200E}'
            | '\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_a_client_is_cut_at_the_end_of_a_character() {
        let longest = "x".repeat(MAX_CLIENT_TEXT);
        assert_eq!(client_text(&longest), longest);
        assert_eq!(client_text(&format!("{longest}y")), format!("{longest}…"));
        // A character of four bytes would end beyond the limit.
        let start = "x".repeat(MAX_CLIENT_TEXT - 2);
        assert_eq!(client_text(&format!("{start}\u{1F600}{start}")), format!("{start}…"));
        assert_eq!(client_text(""), "");
    }

    #[test]
    fn escaped_json_means_the_same() {
        for code in (0..0x3000).filter_map(char::from_u32) {
            let value = format!("a{code}ä\u{2026}{code}");
            let line = serde_json::to_string(&value).unwrap();
            let safe = escaped(line.as_bytes(), Escape::Json).into_owned();
            assert_eq!(serde_json::from_slice::<String>(&safe).unwrap(), value);
            let safe = String::from_utf8(safe).unwrap();
            assert!(!safe.chars().any(is_control), "{safe:?}");
            // serde_json escapes those below 0x20 itself.
            assert_eq!(safe == line, !is_control(code) || code < ' ', "{safe:?}");
        }
    }

    #[test]
    fn text_gets_the_escapes_of_rust() {
        for (line, safe) in [
            ("plain\n", "plain\n"),
            ("colour \u{1b}[32mstays\n", "colour \u{1b}[32mstays\n"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{202e}b\u{2066}", "a\\u{202e}b\\u{2066}"),
            ("100 %\rforged\0\u{b}\t\n", "100 %\\rforged\\u{0}\\u{b}\t\n"),
            ("two\nlines\n", "two\\nlines\n"),
            ("\u{85}\u{85}", "\\u{85}\\u{85}"),
        ] {
            assert_eq!(escaped(line.as_bytes(), Escape::Text), safe.as_bytes());
        }
        // Bytes that are no text are passed on.
        assert_eq!(escaped(b"\xC2 \xE2\x80", Escape::Text), &b"\xC2 \xE2\x80"[..]);
    }
}
