//! The grammar that HTTP header fields share (RFC 9110 §5.6).

/// Optional white space (§5.6.3).
pub(super) const OWS: [char; 2] = [' ', '\t'];

/// Parses the token at the start of a text (§5.6.2). Returns it and the rest of the text.
fn parse_token(text: &str) -> Option<(&str, &str)> {
    let in_token =
        |character: char| character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character);
    let end = text.find(|character| !in_token(character)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// Parses `name=value` or `name="value"` (§5.6.6). Returns the name, the value and the rest of the text.
fn parse_parameter(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = parse_token(text)?;
    let rest = rest.strip_prefix('=')?;
    if let Some(quoted) = rest.strip_prefix('"') {
        let (value, rest) = parse_quoted_string(quoted)?;
        Some((name, value, rest))
    } else {
        let (value, rest) = parse_token(rest)?;
        Some((name, value.to_owned(), rest))
    }
}

/// Parses parameters, each of which starts with a semicolon, up to the end of the text. `None` if they are malformed.
pub(super) fn parse_parameters(mut text: &str) -> Option<Vec<(&str, String)>> {
    let mut parameters = Vec::new();
    loop {
        text = text.trim_matches(OWS);
        if text.is_empty() {
            return Some(parameters);
        }
        text = text.strip_prefix(';')?.trim_start_matches(OWS);
        // `;` alone is an empty parameter, which §5.6.6 permits.
        if text.is_empty() || text.starts_with(';') {
            continue;
        }
        let (name, value, rest) = parse_parameter(text)?;
        parameters.push((name, value));
        text = rest;
    }
}

/// Splits a list (§5.6.1) at the commas outside quoted strings, without empty elements.
pub(super) fn split_list(text: &str) -> impl Iterator<Item = &str> {
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
    .map(|element| element.trim_matches(OWS))
    .filter(|element| !element.is_empty())
}

/// Parses a quoted string (§5.6.4) from after its opening quote. Returns the unescaped text and the rest.
fn parse_quoted_string(text: &str) -> Option<(String, &str)> {
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
    use super::split_list;

    #[test]
    fn a_list_is_split_at_commas_outside_quotes() {
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
            assert_eq!(split_list(text).collect::<Vec<_>>(), expected, "{text}");
        }
    }
}
