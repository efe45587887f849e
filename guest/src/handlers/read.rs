//! Getting and listing orders and events.

use serde::Serialize;

use super::output::{JSON, entity_tag, json_response, not_modified, order_response, serialization_failed};
use super::services::Services;
use crate::headers::{is_not_modified, negotiate};
use crate::platform::{Request, Response};
use crate::problem::Problem;
use crate::query::{EventQuery, ListQuery, cursor};
use crate::repo::OrderRecord;
use crate::router::ORDERS;

/// GET /api/v1/orders
pub(super) fn list_orders(
    request: &dyn Request,
    query: Option<&str>,
    services: &Services<'_>,
) -> Result<Response, Problem> {
    negotiate(request, &[JSON])?;
    let ListQuery { limit, filter, ids, next_query } = ListQuery::parse(query)?;
    let page = services.repo().list_orders(&filter, ids, usize::from(limit))?;
    page_response(&page.orders, page.next.map(cursor::encode_order), |cursor| {
        format!("{ORDERS}?{next_query}{cursor}")
    })
}

/// GET /api/v1/orders/{id}
pub(super) fn get_order(
    request: &dyn Request,
    id: &str,
    services: &Services<'_>,
) -> Result<Response, Problem> {
    negotiate(request, &[JSON])?;
    let order = services.find_order(id)?.order;
    let unchanged = is_not_modified(request, &entity_tag(&order));
    let response = order_response(200, OrderRecord::encode(order)?);
    Ok(if unchanged { not_modified(response) } else { response })
}

/// GET /api/v1/orders/{id}/events. An order has at least one event, that of its creation.
pub(super) fn list_events(
    request: &dyn Request,
    path: &str,
    id: &str,
    query: Option<&str>,
    services: &Services<'_>,
) -> Result<Response, Problem> {
    negotiate(request, &[JSON])?;
    let order = services.find_order(id)?.order;
    let EventQuery { limit, after, next_query } = EventQuery::parse(query)?;
    let page = services.repo().list_events(order.id, after, usize::from(limit))?;
    let last = page.events.last().filter(|_| page.has_more);
    let next_cursor = last.map(|last| cursor::encode_event(last.seq.get()));
    page_response(&page.events, next_cursor, |cursor| format!("{path}?{next_query}{cursor}"))
}

/// A response that contains a page, with a link to the next page if there is one. `next_target` builds the target of the link
/// from the cursor.
fn page_response<T: Serialize>(
    items: &[T],
    next_cursor: Option<String>,
    next_target: impl FnOnce(&str) -> String,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Page<'page, T> {
        items: &'page [T],
        #[serde(skip_serializing_if = "Option::is_none")]
        next_cursor: Option<&'page str>,
    }
    let page = Page { items, next_cursor: next_cursor.as_deref() };
    let body = serde_json::to_vec(&page).map_err(|error| serialization_failed(&error))?;
    let response = json_response(200, body);
    Ok(match next_cursor {
        Some(cursor) => response.with_header("link", format!("<{}>; rel=\"next\"", next_target(&cursor))),
        None => response,
    })
}
