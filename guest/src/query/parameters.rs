//! The parameters of a query and their values. Each function that reads a value takes the name of the parameter, for the
//! error message.

use super::encoding::percent_decode;
use crate::json::quote_name;
use crate::order::{Customer, DateTime, Status};
use crate::problem::{Kind, Problem};
use crate::repo::Sort;

/// The maximum number of items on a page.
const MAX_LIMIT: u8 = 100;

/// Splits a query into the decoded values of the named parameters. Each may occur once; no others may occur.
pub(super) fn split_parameters<const COUNT: usize>(
    query: Option<&str>,
    names: [&str; COUNT],
) -> Result<[Option<String>; COUNT], Problem> {
    let mut values = [const { None }; COUNT];
    for part in query.filter(|query| !query.is_empty()).into_iter().flat_map(|query| query.split('&')) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (Some(decoded_name), Some(value)) = (percent_decode(name), percent_decode(value)) else {
            let name = quote_name(name);
            return Err(invalid(format!(
                "The parameter {name} must be UTF-8, and % must be followed by two hexadecimal digits."
            )));
        };
        let slot = names.iter().zip(&mut values).find(|(known, _)| **known == decoded_name);
        match slot {
            Some((_, slot @ None)) => *slot = Some(value.into_owned()),
            Some((name, Some(_))) => {
                return Err(invalid(format!("The parameter {name} must occur only once.")));
            }
            None if decoded_name.is_empty() => {
                return Err(invalid("The query contains a parameter without a name.".to_owned()));
            }
            None => {
                let (name, known) = (quote_name(&decoded_name), names.join(", "));
                return Err(invalid(format!("The parameter {name} is unknown. Known parameters: {known}.")));
            }
        }
    }
    Ok(values)
}

pub(super) fn read_limit(_: &str, value: &str) -> Result<u8, Problem> {
    // `parse` also accepts a plus sign.
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse() {
        Ok(limit @ 1..=MAX_LIMIT) if digits => Ok(limit),
        _ => Err(invalid(format!("The parameter limit must be a whole number from 1 to {MAX_LIMIT}."))),
    }
}

pub(super) fn read_status(_: &str, value: &str) -> Result<Status, Problem> {
    Status::from_name(value).ok_or_else(|| {
        let names = Status::ALL.map(Status::name).join(", ");
        invalid(format!("The parameter status must be one of {names}."))
    })
}

pub(super) fn read_customer(_: &str, value: &str) -> Result<Customer, Problem> {
    Customer::try_from(value.to_owned()).map_err(|rule| invalid(format!("The parameter customer {rule}.")))
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
