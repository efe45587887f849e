//! The grammar that HTTP fields have in common (RFC 9110 §5.6).

/// Optional white space (§5.6.3).
pub(crate) const BLANK: [char; 2] = [' ', '\t'];

/// The token that a text begins with (§5.6.2), and what follows.
fn token(text: &str) -> Option<(&str, &str)> {
    let in_token =
        |character: char| character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character);
    let end = text.find(|character| !in_token(character)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// `name=value` or `name="value"` (§5.6.6), and what follows.
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

/// The parameters that follow something, each begun with a semicolon, to the end of the text. None if they are
/// malformed.
pub(crate) fn parameters(mut text: &str) -> Option<Vec<(&str, String)>> {
    let mut parameters = Vec::new();
    loop {
        text = text.trim_matches(BLANK);
        if text.is_empty() {
            return Some(parameters);
        }
        text = text.strip_prefix(';')?.trim_start_matches(BLANK);
        // `;` alone is an empty parameter, which §5.6.6 lets pass.
        if text.is_empty() || text.starts_with(';') {
            continue;
        }
        let (name, value, rest) = parameter(text)?;
        parameters.push((name, value));
        text = rest;
    }
}

/// The elements of a list (§5.6.1): what stands between commas outside of quoted strings, without empty ones.
pub(crate) fn elements(text: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character| {
        let separates = character == ',' && !quoted;
        (quoted, escaped) = match character {
            '"' if !escaped => (!quoted, false),
            '\\' if quoted => (quoted, !escaped),
            _ => (quoted, false),
        };
        separates
    })
    .map(|element| element.trim_matches(BLANK))
    .filter(|element| !element.is_empty())
}

/// What a quoted string says, from after its first quote (§5.6.4), and what follows.
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
    use super::elements;

    #[test]
    fn a_list_is_split_at_commas_outside_of_quotes() {
        for (text, expected) in [
            ("", vec![]),
            (" , ,\t,", vec![]),
            ("a", vec!["a"]),
            ("a,b , c", vec!["a", "b", "c"]),
            (r#"a;x="1,2", b"#, vec![r#"a;x="1,2""#, "b"]),
            (r#"a;x="\",", b"#, vec![r#"a;x="\",""#, "b"]),
            (r#"a;x="\\", b"#, vec![r#"a;x="\\""#, "b"]),
            (r#"a;x=",b"#, vec![r#"a;x=",b"#]),
        ] {
            assert_eq!(elements(text).collect::<Vec<_>>(), expected, "{text}");
        }
    }
}
