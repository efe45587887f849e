//! Changing the status, the notes or the metadata of an order.

use super::checked::Checked;
use super::input::parse_json;
use super::output::order_response;
use super::preconditions::{Standing, changed, check_order};
use super::retry::Retry;
use super::services::Services;
use crate::json::{FieldErrors, Path};
use crate::order::{Action, ChangeError, Event, Patch, StoredOrder, Timestamp, Transition};
use crate::platform::Response;
use crate::problem::{Kind, Problem};
use crate::repo::{OrderRecord, RepoError, WriteOutcome};

/// POST /api/v1/orders/{id}/{action}. The body is optional.
pub(super) fn advance_order(
    action: Action,
    checked: &mut Checked<'_>,
    services: &Services<'_>,
) -> Result<Response, Problem> {
    let body = checked.body;
    let parse = || {
        let document = if body.is_empty() { None } else { Some(parse_json(body)?) };
        Ok(Transition::from_json(action, document)?)
    };
    change_order(checked, services, parse, |order, transition, now| order.apply_transition(transition, now))
}

/// PATCH /api/v1/orders/{id}
pub(super) fn update_order(checked: &mut Checked<'_>, services: &Services<'_>) -> Result<Response, Problem> {
    let body = checked.body;
    let parse = || Ok(Patch::from_json(parse_json(body)?)?);
    change_order(checked, services, parse, |order, patch, now| order.apply_patch(patch, now))
}

/// Applies a change to the order and stores the result, unless nothing changes. If another request changes the order in the
/// meantime, waits a little and starts again.
fn change_order<T>(
    checked: &mut Checked<'_>,
    services: &Services<'_>,
    parse: impl FnOnce() -> Result<T, Problem>,
    apply: impl Fn(&StoredOrder, &T, Timestamp) -> Result<Option<(StoredOrder, Event)>, ChangeError>,
) -> Result<Response, Problem> {
    let (mut found, mut standing) = checked.take_order()?;
    let change = match parse() {
        // What is no repetition has failed its precondition, which comes first.
        Err(_) if standing == Standing::RepetitionOnly => return Err(changed(&found.head)),
        change => change?,
    };
    let mut retry = Retry::new(checked.request, services);
    loop {
        let (order, event) = match apply(&found.order()?, &change, services.now()) {
            Ok(None) => {
                let version = found.head.version;
                return Ok(order_response(200, (found.into_wire(), version)));
            }
            _ if standing == Standing::RepetitionOnly => return Err(changed(&found.head)),
            Ok(Some(next)) => next,
            Err(error) => return Err(error.into()),
        };
        let record = OrderRecord::changed(&order)?;
        match services.repo().change(&found, &record, &event) {
            Ok(WriteOutcome::Committed) => return Ok(order_response(200, record.into_wire())),
            Ok(WriteOutcome::Conflict) => {}
            Err(RepoError::TooLarge(_)) => return Err(too_large()),
            Err(error) => return Err(error.into()),
        }
        if !retry.wait() {
            return Err(Problem::new(
                Kind::ConcurrentChange,
                "Other requests changed the order at the same time, and this request changed nothing. Retry the request.",
            )
            .with_header("retry-after", "1"));
        }
        found = services.find_order(checked.parameter)?;
        standing = check_order(checked.request, &found.head)?;
    }
}

/// Another version may have stored so much that there is no more room.
fn too_large() -> Problem {
    let mut errors = FieldErrors::default();
    errors.add(&Path::Root, "would make the order larger than 1 MiB");
    errors.into()
}
