//! The queries for a page of orders and a page of events.

use super::cursor;
use super::encoding::percent_encode;
use super::parameters::{
    Parameters, read_cursor, read_customer, read_limit, read_sort, read_status, read_time,
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
    /// The parameters of the query.
    pub(crate) const PARAMETERS: &[&str] =
        &["limit", "cursor", "status", "customer", "created_after", "created_before", "sort"];

    /// Reads the parameters.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`](crate::problem::Kind::InvalidParameter) for the first parameter that is empty or malformed.
    pub(crate) fn read(parameters: &Parameters) -> Result<Self, Problem> {
        let mut next = NextQuery::new(parameters);
        let limit = next.read("limit", read_limit)?.unwrap_or(DEFAULT_LIMIT);
        let status = next.read("status", read_status)?;
        let customer = next.read("customer", read_customer)?;
        let after = next.read("created_after", read_time)?;
        let before = next.read("created_before", read_time)?;
        let sort = next.read("sort", read_sort)?.unwrap_or_default();
        let cursor = parameters.get("cursor");
        let position = cursor.map(|cursor| read_cursor(cursor::decode_order(cursor))).transpose()?;

        let ids = IdRange::created_between(after.map(DateTime::floor_ms), before.map(DateTime::ceil_ms));
        let ids = position.map_or(ids, |position: OrderId| ids.after(position, sort));
        Ok(Self { limit, filter: Filter { status, customer, sort }, ids, next_query: next.finish(limit) })
    }
}

impl EventQuery {
    /// The parameters of the query.
    pub(crate) const PARAMETERS: &[&str] = &["limit", "cursor"];

    /// Like [`ListQuery::read`], with fewer parameters.
    ///
    /// # Errors
    /// [`Kind::InvalidParameter`](crate::problem::Kind::InvalidParameter).
    pub(crate) fn read(parameters: &Parameters) -> Result<Self, Problem> {
        let mut next = NextQuery::new(parameters);
        let limit = next.read("limit", read_limit)?.unwrap_or(DEFAULT_LIMIT);
        let cursor = parameters.get("cursor");
        let after = cursor.map(|cursor| read_cursor(cursor::decode_event(cursor))).transpose()?;
        Ok(Self { limit, after: after.unwrap_or(0), next_query: next.finish(limit) })
    }
}

/// Builds the query of the next page, which differs from this query only in the cursor.
struct NextQuery<'query> {
    parameters: &'query Parameters,
    next: String,
}

impl<'query> NextQuery<'query> {
    const fn new(parameters: &'query Parameters) -> Self {
        Self { parameters, next: String::new() }
    }

    /// Reads a parameter and copies it to the query of the next page.
    fn read<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str, &str) -> Result<T, Problem>,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.parameters.get(name) else { return Ok(None) };
        let read = read(name, value)?;
        if name != "limit" {
            self.next.push_str(&format!("&{name}={}", percent_encode(value)));
        }
        Ok(Some(read))
    }

    fn finish(self, limit: u8) -> String {
        format!("limit={limit}{}&cursor=", self.next)
    }
}
