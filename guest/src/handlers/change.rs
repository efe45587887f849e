//! Changing the status, the notes or the metadata of an order.

use super::input::{MAX_BODY, parse_json};
use super::output::{JSON, entity_tag, order_response};
use super::services::{MAX_ATTEMPTS, Services};
use crate::headers::{BodyType, check_if_match, negotiate, require_content_type};
use crate::json::{FieldErrors, Path};
use crate::order::{Action, Event, Order, Patch, Timestamp, Transition};
use crate::platform::{Request, Response};
use crate::problem::{Kind, Problem};
use crate::repo::{OrderRecord, WriteOutcome};

/// POST /api/v1/orders/{id}/{action}. The body is optional.
pub(super) fn advance_order(
    request: &mut dyn Request,
    id: &str,
    action: Action,
    services: &Services<'_>,
) -> Result<Response, Problem> {
    let body = request.body(MAX_BODY)?;
    negotiate(request, &[JSON])?;
    if !body.is_empty() {
        require_content_type(BodyType::Json, request)?;
    }
    let parse = || {
        let document = if body.is_empty() { None } else { Some(parse_json(&body)?) };
        Ok(Transition::from_json(action, document)?)
    };
    change_order(request, id, services, parse, |order, transition, now| {
        Ok(order.apply_transition(transition, now)?)
    })
}

/// PATCH /api/v1/orders/{id}
pub(super) fn update_order(
    request: &mut dyn Request,
    id: &str,
    services: &Services<'_>,
) -> Result<Response, Problem> {
    let body = request.body(MAX_BODY)?;
    negotiate(request, &[JSON])?;
    require_content_type(BodyType::MergePatch, request)?;
    let parse = || Ok(Patch::from_json(parse_json(&body)?)?);
    change_order(request, id, services, parse, |order, patch, now| {
        order.apply_patch(patch, now).map_err(|rule| {
            let mut errors = FieldErrors::default();
            errors.add(&Path::Root.member("metadata"), format!("{rule} after the merge"));
            errors.into()
        })
    })
}

/// Reads the order, checks `If-Match`, applies a change and stores the result, unless nothing changes. If another request
/// changes the order in the meantime, starts again, at most [`MAX_ATTEMPTS`] times. The body is parsed only after the order is
/// known to exist.
fn change_order<T>(
    request: &dyn Request,
    id: &str,
    services: &Services<'_>,
    parse: impl FnOnce() -> Result<T, Problem>,
    apply: impl Fn(&Order, &T, Timestamp) -> Result<Option<(Order, Event)>, Problem>,
) -> Result<Response, Problem> {
    let mut stored = services.find_order(id)?;
    check_if_match(request, &entity_tag(&stored.order))?;
    let change = parse()?;
    for attempt in 1.. {
        let Some((changed, event)) = apply(&stored.order, &change, services.now())? else {
            return Ok(order_response(200, OrderRecord::encode(stored.order)?));
        };
        let record = OrderRecord::encode(changed)?;
        if services.repo().change(&stored, &record, &event)? == WriteOutcome::Committed {
            return Ok(order_response(200, record));
        }
        if attempt == MAX_ATTEMPTS {
            break;
        }
        stored = services.find_order(id)?;
        check_if_match(request, &entity_tag(&stored.order))?;
    }
    Err(Problem::new(
        Kind::ConcurrentChange,
        "Other requests changed the order at the same time, and this request changed nothing. Retry the request.",
    ))
}
