//! Reading orders and what happened to them.

use serde::Serialize;

use crate::accept;
use crate::conditional::is_not_modified;
use crate::cursor;
use crate::problem::Problem;
use crate::query::{EventQuery, ListQuery};
use crate::repo::OrderRecord;
use crate::request::{Request, Response};
use crate::router::ORDERS;

use super::{JSON, Services, cannot_be_written, entity_tag, find, json_response, order_response};

/// GET /api/v1/orders
pub(super) fn list_orders(
    request: &dyn Request,
    query: Option<&str>,
    services: &Services<'_>,
) -> Result<Response, Problem> {
    accept::preferred(request, &[JSON])?;
    let ListQuery { limit, filter, ids, next } = ListQuery::parse(query)?;
    let page = services.repo().page(&filter, ids, usize::from(limit))?;
    list(&page.orders, page.next.map(cursor::of_order), |cursor| format!("{ORDERS}?{next}{cursor}"))
}

/// GET /api/v1/orders/{id}
pub(super) fn get_order(
    request: &dyn Request,
    id: &str,
    services: &Services<'_>,
) -> Result<Response, Problem> {
    accept::preferred(request, &[JSON])?;
    let order = find(id, services)?.order;
    let unchanged = is_not_modified(request, &entity_tag(&order));
    let response = order_response(200, OrderRecord::of(order)?);
    Ok(if unchanged { not_modified(response) } else { response })
}

/// GET /api/v1/orders/{id}/events. Every order has events from its creation on.
pub(super) fn list_events(
    request: &dyn Request,
    path: &str,
    id: &str,
    query: Option<&str>,
    services: &Services<'_>,
) -> Result<Response, Problem> {
    accept::preferred(request, &[JSON])?;
    let order = find(id, services)?.order;
    let EventQuery { limit, after, next } = EventQuery::parse(query)?;
    let page = services.repo().events(order.id, after, usize::from(limit))?;
    let last = page.events.last().filter(|_| page.more).map(|last| cursor::of_event(last.seq.get()));
    list(&page.events, last, |cursor| format!("{path}?{next}{cursor}"))
}

/// A page, and the way to the next one if there is one.
fn list<T: Serialize>(
    items: &[T],
    next_cursor: Option<String>,
    next: impl FnOnce(&str) -> String,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Page<'page, T> {
        items: &'page [T],
        #[serde(skip_serializing_if = "Option::is_none")]
        next_cursor: Option<&'page str>,
    }
    let page = Page { items, next_cursor: next_cursor.as_deref() };
    let body = serde_json::to_vec(&page).map_err(|error| cannot_be_written(&error))?;
    let response = json_response(200, body);
    Ok(match next_cursor {
        Some(cursor) => response.header("link", format!("<{}>; rel=\"next\"", next(&cursor))),
        None => response,
    })
}

/// What a 304 says of the 200 that it stands for (RFC 9110 §15.4.5).
pub(super) fn not_modified(response: Response) -> Response {
    let mut headers = response.headers;
    headers.retain(|(name, _)| matches!(&**name, "etag" | "cache-control" | "vary"));
    Response { headers, ..Response::new(304) }
}
