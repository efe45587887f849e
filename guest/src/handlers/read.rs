//! Getting and listing orders and events.

use super::output::{
    JSON, compressed, entity_tag, json_response, not_modified, order_response, serialization_failed,
};
use super::services::Services;
use crate::headers::{is_not_modified, negotiate};
use crate::json::PageWriter;
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
    let mut page = PageWriter::new();
    let next = services.repo().list_orders(&filter, ids, usize::from(limit), &mut page)?;
    page_response(request, page, next.map(cursor::encode_order), |cursor| {
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
    let mut page = PageWriter::new();
    let next = services.repo().list_events(order.id, after, usize::from(limit), &mut page)?;
    page_response(request, page, next.map(cursor::encode_event), |cursor| {
        format!("{path}?{next_query}{cursor}")
    })
}

/// A response that contains a page, with a link to the next page if there is one. `next_target` builds the target of the link
/// from the cursor.
fn page_response(
    request: &dyn Request,
    page: PageWriter,
    next_cursor: Option<String>,
    next_target: impl FnOnce(&str) -> String,
) -> Result<Response, Problem> {
    let body = page.finish(next_cursor.as_deref()).map_err(|error| serialization_failed(&error))?;
    let response = compressed(request, json_response(200, body));
    Ok(match next_cursor {
        Some(cursor) => response.with_header("link", format!("<{}>; rel=\"next\"", next_target(&cursor))),
        None => response,
    })
}
