//! The checks of a request in the order of the contract, for every operation.

use super::checked::Checked;
use super::input::read_body;
use super::preconditions::{Standing, check_order};
use super::replay::KeyedRequest;
use super::routes::Operation;
use super::services::Services;
use crate::headers::{idempotency_key, negotiate, require_content_type};
use crate::platform::{Request, Response};
use crate::problem::Problem;
use crate::query::Parameters;
use crate::router::{Body, OrderUse, Row};

/// Runs the checks of a row and then its operation. The order of the contract after path and method (404, 405): 413, 406 and 415,
/// the replay of a key, 404, 412, 400, 422, 409.
pub(super) fn answer(
    row: &Row<Operation>,
    parameter: &str,
    query: Option<&str>,
    request: &mut dyn Request,
    services: &Services<'_>,
) -> Result<Response, Problem> {
    let body = read_body(request, row.body != Body::None)?;
    let request = &*request;
    let offer = match row.offers {
        [] => "",
        offers => negotiate(request, offers)?,
    };
    match row.body {
        Body::Required(body_type) => require_content_type(body_type, request)?,
        Body::Optional(body_type) if !body.is_empty() => require_content_type(body_type, request)?,
        Body::Optional(_) | Body::None => {}
    }
    let key = if row.key { idempotency_key(request)? } else { None };
    let run = || {
        let order = match row.order {
            OrderUse::None => None,
            OrderUse::Whole => {
                let order = services.find_order(parameter)?;
                let standing = check_order(request, &order.head)?;
                Some((order, standing))
            }
            OrderUse::Part => Some((services.find_order(parameter)?, Standing::Free)),
        };
        let query = Parameters::parse(query, row.query)?;
        let mut checked =
            Checked { request, parameter, offer, query, body: &body, key: key.as_deref(), order };
        (row.run)(&mut checked, services)
    };
    match (run(), &key) {
        // A repetition gets its first response even if the rules have changed since. Most keys are new: so this comes last.
        (Err(problem), Some(key)) if problem.is_about_content() => {
            KeyedRequest::new(row.method, row.path, key, &body).replay(services)?.or(Err(problem))
        }
        (response, _) => response,
    }
}
