//! Getting and listing orders and events.

use super::checked::Checked;
use super::output::{
    compressed, entity_tag, json_response, not_modified, order_response, serialization_failed,
};
use super::services::Services;
use crate::headers::if_none_match;
use crate::json::PageWriter;
use crate::platform::{Request, Response};
use crate::problem::Problem;
use crate::query::{EventQuery, ListQuery, cursor};
use crate::repo::PageEnd;
use crate::router::ORDERS;

/// GET /api/v1/orders
pub(super) fn list_orders(checked: &mut Checked<'_>, services: &Services<'_>) -> Result<Response, Problem> {
    let ListQuery { limit, filter, ids, next_query } = ListQuery::read(&checked.query)?;
    let mut page = PageWriter::new();
    let end = services.repo().list_orders(&filter, ids, usize::from(limit), &mut page)?;
    let response = page_response(checked.request, page, end, cursor::encode_order, |cursor| {
        format!("{ORDERS}?{next_query}{cursor}")
    })?;
    // Who filters by both needs the index.
    Ok(Response { fills_indexes: filter.customer.is_some() && filter.status.is_some(), ..response })
}

/// GET /api/v1/orders/{id}
pub(super) fn get_order(checked: &mut Checked<'_>, _: &Services<'_>) -> Result<Response, Problem> {
    let (order, _) = checked.take_order()?;
    let version = order.head.version;
    if if_none_match(checked.request, &entity_tag(version)) {
        return Ok(not_modified(order_response(200, (Vec::new(), version))));
    }
    Ok(order_response(200, (order.into_wire(), version)))
}

/// GET /api/v1/orders/{id}/events. An order has at least one event, that of its creation.
pub(super) fn list_events(checked: &mut Checked<'_>, services: &Services<'_>) -> Result<Response, Problem> {
    let id = checked.take_order()?.0.head.id;
    let EventQuery { limit, after, next_query } = EventQuery::read(&checked.query)?;
    let mut page = PageWriter::new();
    let end = services.repo().list_events(id, after, usize::from(limit), &mut page)?;
    page_response(checked.request, page, end, cursor::encode_event, |cursor| {
        format!("{ORDERS}/{id}/events?{next_query}{cursor}")
    })
}

/// A response that contains a page, with a link to the next page if there is one. `encode` makes the cursor, and `next_target` the
/// target of the link.
fn page_response<P>(
    request: &dyn Request,
    page: PageWriter,
    end: PageEnd<P>,
    encode: impl FnOnce(P) -> String,
    next_target: impl FnOnce(&str) -> String,
) -> Result<Response, Problem> {
    let next_cursor = end.next.map(encode);
    let body = page.finish(next_cursor.as_deref()).map_err(|error| serialization_failed(&error))?;
    let response = compressed(request, json_response(200, body));
    let response = match next_cursor {
        Some(cursor) => response.with_header("link", format!("<{}>; rel=\"next\"", next_target(&cursor))),
        None => response,
    };
    Ok(Response { cause: end.unreadable, ..response })
}
