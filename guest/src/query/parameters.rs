//! The parameters of a query and their values. Each function that reads a value takes the name of the parameter, for the
//! error message.

use super::encoding::percent_decode;
use crate::json::quote_name;
use crate::order::DateTime;
use crate::problem::{Kind, Problem};
use crate::repo::Sort;

/// The maximum number of items on a page.
const MAX_LIMIT: u8 = 100;

/// The decoded values of the parameters of a query.
#[derive(Debug, Default)]
pub(crate) struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    /// Parses the part of a request target after `?`. The format is that of browsers and URL libraries
    /// (`application/x-www-form-urlencoded` of the WHATWG URL standard), parsed strictly. Each of the named parameters may occur
    /// once; no others may occur.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] for the first parameter that is unknown, repeated or malformed.
    pub(crate) fn parse(query: Option<&str>, names: &[&'static str]) -> Result<Self, Problem> {
        let mut values = Self::default();
        for part in query.filter(|query| !query.is_empty()).into_iter().flat_map(|query| query.split('&')) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (Some(decoded_name), Some(value)) = (percent_decode(name), percent_decode(value)) else {
                let name = quote_name(name);
                return Err(invalid(format!(
                    "The parameter {name} must be UTF-8, and % must be followed by two hexadecimal digits."
                )));
            };
            match names.iter().find(|known| **known == decoded_name) {
                Some(name) if values.get(name).is_some() => {
                    return Err(invalid(format!("The parameter {name} must occur only once.")));
                }
                Some(name) => values.0.push((name, value.into_owned())),
                None if decoded_name.is_empty() => {
                    return Err(invalid("The query contains a parameter without a name.".to_owned()));
                }
                None => return Err(unknown(&decoded_name, names)),
            }
        }
        Ok(values)
    }

    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
    }
}

fn unknown(name: &str, known: &[&str]) -> Problem {
    let name = quote_name(name);
    invalid(match known {
        [] => format!("The parameter {name} is unknown. This resource has no parameters."),
        known => format!("The parameter {name} is unknown. Known parameters: {}.", known.join(", ")),
    })
}

pub(super) fn read_limit(_: &str, value: &str) -> Result<u8, Problem> {
    // `parse` also accepts a plus sign.
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse() {
        Ok(limit @ 1..=MAX_LIMIT) if digits => Ok(limit),
        _ => Err(invalid(format!("The parameter limit must be a whole number from 1 to {MAX_LIMIT}."))),
    }
}

/// Any status: another version may have more of them than this one.
pub(super) fn read_status(_: &str, value: &str) -> Result<String, Problem> {
    let mut letters = value.bytes();
    let begins = letters.next().is_some_and(|first| first.is_ascii_lowercase());
    if begins && value.len() <= 32 && letters.all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
        return Ok(value.to_owned());
    }
    Err(invalid(
        "The parameter status must be a status, such as pending: 1 to 32 characters from a-z and _, the first of them a letter."
            .to_owned(),
    ))
}

/// Any customer: orders may be older than a rule for new ones.
pub(super) fn read_customer(_: &str, value: &str) -> Result<String, Problem> {
    if (1..=200).contains(&value.chars().count()) {
        return Ok(value.to_owned());
    }
    Err(invalid("The parameter customer must have 1 to 200 code points.".to_owned()))
}

pub(super) fn read_time(name: &str, value: &str) -> Result<DateTime, Problem> {
    DateTime::parse(value).ok_or_else(|| {
        invalid(format!(
            "The parameter {name} must be an RFC 3339 time, such as 2026-11-22T12:30:06Z. Encode + as %2B."
        ))
    })
}

pub(super) fn read_sort(_: &str, value: &str) -> Result<Sort, Problem> {
    match value {
        "-created_at" => Ok(Sort::NewestFirst),
        "created_at" => Ok(Sort::OldestFirst),
        _ => Err(invalid("The parameter sort must be created_at or -created_at.".to_owned())),
    }
}

pub(super) fn read_cursor<T>(decoded: Option<T>) -> Result<T, Problem> {
    decoded
        .ok_or_else(|| invalid("The parameter cursor must be the next_cursor of an earlier page.".to_owned()))
}

fn invalid(detail: String) -> Problem {
    Problem::new(Kind::InvalidParameter, detail)
}
