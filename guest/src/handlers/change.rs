//! Changing an order: along its states, or its notes and metadata.

use crate::accept;
use crate::conditional::check_if_match;
use crate::content::{self, BodyType};
use crate::json::decode::{Faults, Path};
use crate::order::{Action, Event, Order, Patch, Timestamp, Transition};
use crate::problem::{Kind, Problem};
use crate::repo::{OrderRecord, Written};
use crate::request::{Request, Response};

use super::{ATTEMPTS, JSON, MAX_BODY, Services, entity_tag, find, order_response, parsed};

/// POST /api/v1/orders/{id}/{action}. A body is optional.
pub(super) fn advance_order(
    request: &mut dyn Request,
    id: &str,
    action: Action,
    services: &Services<'_>,
) -> Result<Response, Problem> {
    let body = request.body(MAX_BODY)?;
    accept::preferred(request, &[JSON])?;
    if !body.is_empty() {
        content::require(BodyType::Json, request)?;
    }
    let parse = || {
        let document = if body.is_empty() { None } else { Some(parsed(&body)?) };
        Ok(Transition::from_json(action, document)?)
    };
    change(request, id, services, parse, |order, transition, now| Ok(order.advanced(transition, now)?))
}

/// PATCH /api/v1/orders/{id}
pub(super) fn update_order(
    request: &mut dyn Request,
    id: &str,
    services: &Services<'_>,
) -> Result<Response, Problem> {
    let body = request.body(MAX_BODY)?;
    accept::preferred(request, &[JSON])?;
    content::require(BodyType::MergePatch, request)?;
    let parse = || Ok(Patch::from_json(parsed(&body)?)?);
    change(request, id, services, parse, |order, patch, now| {
        order.patched(patch, now).map_err(|rule| {
            let mut faults = Faults::default();
            faults.add(&Path::Root.member("metadata"), format!("{rule} once it is merged"));
            faults.into()
        })
    })
}

/// Reads the order, checks that it is the one the client means, and stores what `apply` makes of it, unless that is
/// nothing. If another request changes the order meanwhile, begins anew, a few times. What the client wants is
/// parsed once it is clear that there is such an order.
fn change<T>(
    request: &dyn Request,
    id: &str,
    services: &Services<'_>,
    parse: impl FnOnce() -> Result<T, Problem>,
    apply: impl Fn(&Order, &T, Timestamp) -> Result<Option<(Order, Event)>, Problem>,
) -> Result<Response, Problem> {
    let mut found = find(id, services)?;
    check_if_match(request, &entity_tag(&found.order))?;
    let wanted = parse()?;
    for attempt in 1.. {
        let Some((after, event)) = apply(&found.order, &wanted, services.now())? else {
            return Ok(order_response(200, OrderRecord::of(found.order)?));
        };
        let record = OrderRecord::of(after)?;
        if services.repo().change(&found, &record, &event)? == Written::Done {
            return Ok(order_response(200, record));
        }
        if attempt == ATTEMPTS {
            break;
        }
        found = find(id, services)?;
        check_if_match(request, &entity_tag(&found.order))?;
    }
    Err(Problem::new(
        Kind::ConcurrentChange,
        "Others changed the order at the same time, and nothing was changed by this request. Try again.",
    ))
}
