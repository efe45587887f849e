//! The parameters of a list.

mod encoding;

use crate::cursor;
use crate::json::shown;
use crate::order::{Customer, DateTime, OrderId, Status};
use crate::problem::{Kind, Problem};
use crate::repo::{Filter, IdRange, Sort};

use self::encoding::{decoded, encoded};

/// Which page of the orders to answer with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListQuery {
    /// At most this many orders: 1…100.
    pub(crate) limit: u8,
    /// Which orders, in which order.
    pub(crate) filter: Filter,
    /// Where they lie: what the time range and the cursor leave.
    pub(crate) ids: IdRange,
    /// The query of the next page, up to the value of its cursor.
    pub(crate) next: String,
}

/// Which page of an order's events to answer with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventQuery {
    /// At most this many events: 1…100.
    pub(crate) limit: u8,
    /// Only events behind the one with this number.
    pub(crate) after: u64,
    /// The query of the next page, up to the value of its cursor.
    pub(crate) next: String,
}

const DEFAULT_LIMIT: u8 = 20;
const MAX_LIMIT: u8 = 100;

impl ListQuery {
    /// Reads the part of a request target that follows `?`, in the form that browsers and URL libraries give
    /// it (`application/x-www-form-urlencoded` of the WHATWG URL standard, but strict).
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`] for the first parameter that is unknown, repeated, empty or malformed.
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let [limit, cursor, status, customer, after, before, sort] = parameters(
            query,
            ["limit", "cursor", "status", "customer", "created_after", "created_before", "sort"],
        )?;
        let mut next = Next::default();
        let limit = next.take("limit", limit, read_limit)?.unwrap_or(DEFAULT_LIMIT);
        let status = next.take("status", status, read_status)?;
        let customer = next.take("customer", customer, read_customer)?;
        let after = next.take("created_after", after, read_time)?;
        let before = next.take("created_before", before, read_time)?;
        let sort = next.take("sort", sort, read_sort)?.unwrap_or_default();
        let position = cursor.map(|cursor| read_cursor(cursor::order(&cursor))).transpose()?;

        let ids = IdRange::of_time(after.map(DateTime::floor_ms), before.map(DateTime::ceil_ms));
        let ids = position.map_or(ids, |position: OrderId| ids.beyond(position, sort));
        Ok(Self { limit, filter: Filter { status, customer, sort }, ids, next: next.query(limit) })
    }
}

impl EventQuery {
    /// As [`ListQuery::parse`], with fewer parameters.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`].
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let [limit, cursor] = parameters(query, ["limit", "cursor"])?;
        let mut next = Next::default();
        let limit = next.take("limit", limit, read_limit)?.unwrap_or(DEFAULT_LIMIT);
        let after = cursor.map(|cursor| read_cursor(cursor::event(&cursor))).transpose()?;
        Ok(Self { limit, after: after.unwrap_or(0), next: next.query(limit) })
    }
}

/// Puts the query of the next page together: the same but for the cursor.
#[derive(Default)]
struct Next(String);

impl Next {
    /// Reads a parameter, and repeats it for the next page.
    fn take<T>(
        &mut self,
        name: &str,
        value: Option<String>,
        read: impl FnOnce(&str, &str) -> Result<T, Problem>,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = value else { return Ok(None) };
        let read = read(name, &value)?;
        if name != "limit" {
            self.0.push_str(&format!("&{name}={}", encoded(&value)));
        }
        Ok(Some(read))
    }

    fn query(self, limit: u8) -> String {
        format!("limit={limit}{}&cursor=", self.0)
    }
}

/// The decoded values of some parameters, each given at most once, and no other.
fn parameters<const COUNT: usize>(
    query: Option<&str>,
    names: [&str; COUNT],
) -> Result<[Option<String>; COUNT], Problem> {
    let mut values = [const { None }; COUNT];
    for part in query.filter(|query| !query.is_empty()).into_iter().flat_map(|query| query.split('&')) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (Some(decoded_name), Some(value)) = (decoded(name), decoded(value)) else {
            let name = shown(name);
            return Err(invalid(format!(
                "The parameter {name} must be UTF-8, with % only before two hexadecimal digits."
            )));
        };
        let slot = names.iter().zip(&mut values).find(|(known, _)| **known == decoded_name);
        match slot {
            Some((_, slot @ None)) => *slot = Some(value.into_owned()),
            Some((name, Some(_))) => {
                return Err(invalid(format!("The parameter {name} must be given once, not several times.")));
            }
            None if decoded_name.is_empty() => {
                return Err(invalid("There is a parameter without a name.".to_owned()));
            }
            None => {
                let (name, known) = (shown(&decoded_name), names.join(", "));
                return Err(invalid(format!("The parameter {name} is not known here; known are {known}.")));
            }
        }
    }
    Ok(values)
}

fn read_limit(_: &str, value: &str) -> Result<u8, Problem> {
    // `parse` alone would take a plus sign too.
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse() {
        Ok(limit @ 1..=MAX_LIMIT) if digits => Ok(limit),
        _ => Err(invalid(format!("The parameter limit must be a whole number from 1 to {MAX_LIMIT}."))),
    }
}

fn read_status(_: &str, value: &str) -> Result<Status, Problem> {
    Status::named(value).ok_or_else(|| {
        let names = Status::ALL.map(Status::name).join(", ");
        invalid(format!("The parameter status must be one of {names}."))
    })
}

fn read_customer(_: &str, value: &str) -> Result<Customer, Problem> {
    Customer::try_from(value.to_owned()).map_err(|rule| invalid(format!("The parameter customer {rule}.")))
}

fn read_time(name: &str, value: &str) -> Result<DateTime, Problem> {
    DateTime::parse(value).ok_or_else(|| {
        invalid(format!(
            "The parameter {name} must be a time of RFC 3339, such as 2026-11-22T12:30:06Z. A + in it is written %2B."
        ))
    })
}

fn read_sort(_: &str, value: &str) -> Result<Sort, Problem> {
    match value {
        "-created_at" => Ok(Sort::NewestFirst),
        "created_at" => Ok(Sort::OldestFirst),
        _ => Err(invalid("The parameter sort must be created_at or -created_at.".to_owned())),
    }
}

fn read_cursor<T>(decoded: Option<T>) -> Result<T, Problem> {
    decoded
        .ok_or_else(|| invalid("The parameter cursor must be the next_cursor of an earlier page.".to_owned()))
}

fn invalid(detail: String) -> Problem {
    Problem::new(Kind::InvalidParameter, detail)
}
