//! Dispatches a request to its operation, and adds the headers of every response.

use super::answer::answer;
use super::input::{read_body, request_id, split_target};
use super::routes::ROUTES;
use super::services::Services;
use crate::platform::{Request, Response};
use crate::problem::Problem;
use crate::query::Parameters;
use crate::router::{Found, find};

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

/// Finds the operation of a request, and runs it.
fn dispatch(request: &mut dyn Request, services: &Services<'_>) -> Result<Response, Problem> {
    // Owned, because the body is read through `&mut request`.
    let target = request.path_and_query().to_owned();
    let (path, query) = split_target(&target);
    match find(ROUTES, request.method(), path)? {
        Found::Operation { row, parameter } => answer(row, &parameter, query, request, services),
        Found::Options { allow, accept_patch } => {
            read_body(request, false)?;
            Parameters::parse(query, &[])?;
            let response = Response::new(204).with_header("allow", allow);
            Ok(match accept_patch {
                Some(body_type) => response.with_header("accept-patch", body_type.media_type()),
                None => response,
            })
        }
    }
}

/// Fills the next slice of an index that is not complete. Called after a response that says so has been sent, so that nobody waits
/// for it. A failure is ignored: the next request tries again.
pub fn fill_indexes(services: &Services<'_>) {
    _ = services.repo().fill_indexes(services.now());
}
