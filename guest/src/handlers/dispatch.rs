//! Dispatches a request to its operation, and adds the headers of every response.

use super::input::{reject_large_body, request_id, split_target};
use super::services::Services;
use super::{change, create, documents, read};
use crate::platform::{Request, Response};
use crate::problem::Problem;
use crate::router::{Route, route};

/// Handles a request. Errors become responses too.
#[must_use]
pub fn handle(request: &mut dyn Request, services: &Services<'_>) -> Response {
    let request_id = request_id(request, services);
    let response = match dispatch(request, services) {
        Ok(response) => response,
        Err(problem) => problem.into_response(split_target(request.path_and_query()).0),
    };
    let mut response = match response.status {
        // RFC 9110 §8.6: a 204 has no Content-Length, and that of a 304 would be the length of the 200.
        204 | 304 => response,
        _ if response.has_header("content-length") => response,
        _ => {
            let length = response.body.len().to_string();
            response.with_header("content-length", length)
        }
    }
    .with_header("x-content-type-options", "nosniff")
    .with_header("x-request-id", request_id);
    if request.method() == "HEAD" {
        response.body = Vec::new();
    }
    response
}

/// Runs the operation of a request. Each operation checks in the order of the contract: 413 (reading the body), 406 and 415,
/// 404, 412, 400, 422, 409.
fn dispatch(request: &mut dyn Request, services: &Services<'_>) -> Result<Response, Problem> {
    // Owned, because the route borrows from the target and the body is read through `&mut request`.
    let target = request.path_and_query().to_owned();
    let (path, query) = split_target(&target);
    let route = route(request.method(), path)?;
    reject_large_body(&route, request)?;
    match route {
        Route::CreateOrder => create::create_order(request, services),
        Route::ListOrders => read::list_orders(request, query, services),
        Route::GetOrder(id) => read::get_order(request, id, services),
        Route::UpdateOrder(id) => change::update_order(request, id, services),
        Route::AdvanceOrder(id, action) => change::advance_order(request, id, action, services),
        Route::ListEvents(id) => read::list_events(request, path, id, query, services),
        Route::Home => Ok(documents::home()),
        Route::OpenApi => documents::openapi(request),
        Route::ProblemPage(kind) => documents::problem_page(request, kind),
        Route::Options { allow, accept_patch } => {
            let response = Response::new(204).with_header("allow", allow);
            Ok(match accept_patch {
                Some(body_type) => response.with_header("accept-patch", body_type.media_type()),
                None => response,
            })
        }
    }
}
