//! The queries for a page of orders and a page of events.

use super::cursor;
use super::encoding::percent_encode;
use super::parameters::{
    read_cursor, read_customer, read_limit, read_sort, read_status, read_time, split_parameters,
};
use crate::order::{DateTime, OrderId};
use crate::problem::Problem;
use crate::repo::{Filter, IdRange};

/// A query for a page of orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListQuery {
    /// The maximum number of orders: 1…100.
    pub(crate) limit: u8,
    /// Which orders, and their sort order.
    pub(crate) filter: Filter,
    /// The range of ids that the time range and the cursor select.
    pub(crate) ids: IdRange,
    /// The query of the next page, up to the value of the cursor.
    pub(crate) next_query: String,
}

/// A query for a page of an order's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventQuery {
    /// The maximum number of events: 1…100.
    pub(crate) limit: u8,
    /// Return only events that follow the event with this number.
    pub(crate) after: u64,
    /// The query of the next page, up to the value of the cursor.
    pub(crate) next_query: String,
}

/// The number of items on a page if the query has no limit.
const DEFAULT_LIMIT: u8 = 20;

impl ListQuery {
    /// Parses the part of a request target after `?`. The format is that of browsers and URL libraries
    /// (`application/x-www-form-urlencoded` of the WHATWG URL standard), parsed strictly.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`](crate::problem::Kind::InvalidParameter) for the first parameter that is unknown, repeated,
    /// empty or malformed.
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let [limit, cursor, status, customer, after, before, sort] = split_parameters(
            query,
            ["limit", "cursor", "status", "customer", "created_after", "created_before", "sort"],
        )?;
        let mut next = NextQuery::default();
        let limit = next.read("limit", limit, read_limit)?.unwrap_or(DEFAULT_LIMIT);
        let status = next.read("status", status, read_status)?;
        let customer = next.read("customer", customer, read_customer)?;
        let after = next.read("created_after", after, read_time)?;
        let before = next.read("created_before", before, read_time)?;
        let sort = next.read("sort", sort, read_sort)?.unwrap_or_default();
        let position = cursor.map(|cursor| read_cursor(cursor::decode_order(&cursor))).transpose()?;

        let ids = IdRange::created_between(after.map(DateTime::floor_ms), before.map(DateTime::ceil_ms));
        let ids = position.map_or(ids, |position: OrderId| ids.after(position, sort));
        Ok(Self { limit, filter: Filter { status, customer, sort }, ids, next_query: next.finish(limit) })
    }
}

impl EventQuery {
    /// Like [`ListQuery::parse`], with fewer parameters.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`](crate::problem::Kind::InvalidParameter).
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let [limit, cursor] = split_parameters(query, ["limit", "cursor"])?;
        let mut next = NextQuery::default();
        let limit = next.read("limit", limit, read_limit)?.unwrap_or(DEFAULT_LIMIT);
        let after = cursor.map(|cursor| read_cursor(cursor::decode_event(&cursor))).transpose()?;
        Ok(Self { limit, after: after.unwrap_or(0), next_query: next.finish(limit) })
    }
}

/// Builds the query of the next page, which differs from this query only in the cursor.
#[derive(Default)]
struct NextQuery(String);

impl NextQuery {
    /// Reads a parameter and copies it to the query of the next page.
    fn read<T>(
        &mut self,
        name: &str,
        value: Option<String>,
        read: impl FnOnce(&str, &str) -> Result<T, Problem>,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = value else { return Ok(None) };
        let read = read(name, &value)?;
        if name != "limit" {
            self.0.push_str(&format!("&{name}={}", percent_encode(&value)));
        }
        Ok(Some(read))
    }

    fn finish(self, limit: u8) -> String {
        format!("limit={limit}{}&cursor=", self.0)
    }
}
