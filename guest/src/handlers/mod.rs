//! One function an operation, and what all their answers have in common.

mod change;
mod create;
mod documents;
mod read;

use crate::content::BodyType;
use crate::json;
use crate::order::{Order, OrderId, Timestamp};
use crate::platform::{Clock, Random};
use crate::problem::{Kind, Problem};
use crate::repo::{Found, OrderRecord, OrderRepo};
use crate::request::{BodyError, Request, Response};
use crate::router::{Route, route};
use crate::store::Store;
use crate::uuid::Uuid;

/// The most that a body may have, in bytes: 1 MiB, as the contract has it.
const MAX_BODY: usize = 1 << 20;

/// What orders are written in.
const JSON: &str = BodyType::Json.media_type();

/// How often a change is tried that others are always first to make.
const ATTEMPTS: usize = 3;

/// What the handlers need from outside. They are borrowed for one request.
#[derive(Clone, Copy)]
pub struct Services<'services> {
    /// Where the orders are.
    pub store: &'services dyn Store,
    /// When now is.
    pub clock: &'services dyn Clock,
    /// What makes ids unique.
    pub random: &'services dyn Random,
}

impl<'services> Services<'services> {
    fn repo(&self) -> OrderRepo<'services> {
        OrderRepo::new(self.store)
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.clock.now_ms())
    }
}

/// Answers a request. Every error is an answer too.
#[must_use]
pub fn handle(request: &mut dyn Request, services: &Services<'_>) -> Response {
    let request_id = request_id(request, services);
    let response = match answer(request, services) {
        Ok(response) => response,
        Err(problem) => problem.into_response(split(request.path_and_query()).0),
    };
    let mut response = match response.status {
        // RFC 9110 §8.6: a 204 has no Content-Length, and that of a 304 would be the length of the 200.
        204 | 304 => response,
        _ => {
            let length = response.body.len().to_string();
            response.header("content-length", length)
        }
    }
    .header("x-content-type-options", "nosniff")
    .header("x-request-id", request_id);
    if request.method() == "HEAD" {
        response.body = Vec::new();
    }
    response
}

/// Each handler checks in the order of the contract: 413 (reading the body), 406 and 415, 404, 412, 400, 422, 409.
fn answer(request: &mut dyn Request, services: &Services<'_>) -> Result<Response, Problem> {
    // The route borrows from the request, whose body is read later.
    let target = request.path_and_query().to_owned();
    let (path, query) = split(&target);
    let route = route(request.method(), path)?;
    refuse_large_body(&route, request)?;
    match route {
        Route::CreateOrder => create::create_order(request, services),
        Route::ListOrders => read::list_orders(request, query, services),
        Route::GetOrder(id) => read::get_order(request, id, services),
        Route::UpdateOrder(id) => change::update_order(request, id, services),
        Route::AdvanceOrder(id, action) => change::advance_order(request, id, action, services),
        Route::ListEvents(id) => read::list_events(request, path, id, query, services),
        Route::OpenApi => documents::openapi(request),
        Route::ProblemPage(kind) => documents::problem_page(request, kind),
        Route::Options { allow, accept_patch } => {
            let response = Response::new(204).header("allow", allow);
            Ok(match accept_patch {
                Some(body_type) => response.header("accept-patch", body_type.media_type()),
                None => response,
            })
        }
    }
}

/// Refuses a body that is announced as too large before it is read; and has a body read that nobody will look at, for
/// the host may allow less than is allowed here.
fn refuse_large_body(route: &Route<'_>, request: &mut dyn Request) -> Result<(), Problem> {
    let announced = request.header("content-length").into_iter().next();
    let announced = announced.and_then(|length| std::str::from_utf8(length).ok()?.parse::<usize>().ok());
    match announced {
        Some(length) if length > MAX_BODY => Err(BodyError::TooLarge(MAX_BODY as u64).into()),
        Some(1..) if !route.reads_body() => Ok(request.body(MAX_BODY).map(drop)?),
        _ => Ok(()),
    }
}

/// The order that a path names. Text that cannot be an id names no order.
fn find(id: &str, services: &Services<'_>) -> Result<Found, Problem> {
    let found = OrderId::parse(id).map(|id| services.repo().find(id)).transpose()?.flatten();
    found.ok_or_else(|| Problem::new(Kind::OrderNotFound, "No order has this id."))
}

fn order_response(status: u16, record: OrderRecord) -> Response {
    let tag = entity_tag(record.order());
    json_response(status, record.into_json()).header("etag", tag)
}

/// The entity tag of an order: its version in quotes (RFC 9110 §8.8.3).
fn entity_tag(order: &Order) -> String {
    format!("\"{}\"", order.version)
}

/// Content that caches may keep but must ask about, and only those of the client itself.
fn json_response(status: u16, body: Vec<u8>) -> Response {
    let response =
        Response::new(status).header("content-type", JSON).header("cache-control", "private, no-cache");
    Response { body, ..response }
}

fn cannot_be_written(error: &serde_json::Error) -> Problem {
    Problem::new(Kind::InternalError, "The answer cannot be written.").cause(error.to_string())
}

/// What a body says, if it is JSON.
fn parsed(body: &[u8]) -> Result<json::Value<'_>, Problem> {
    json::parse(body).map_err(|detail| Problem::new(Kind::MalformedJson, detail))
}

/// The path of a request target, and what follows the first `?`.
fn split(target: &str) -> (&str, Option<&str>) {
    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
}

/// The caller's request id if it gives exactly one, of 1…128 visible ASCII characters; otherwise a new one.
fn request_id(request: &dyn Request, services: &Services<'_>) -> String {
    let visible = |value: &[u8]| {
        (1..=128).contains(&value.len()) && value.iter().all(|byte| matches!(byte, 0x21..=0x7e))
    };
    let given = match request.header("x-request-id").as_slice() {
        [value] if visible(value) => String::from_utf8(value.to_vec()).ok(),
        _ => None,
    };
    given.unwrap_or_else(|| Uuid::v4(services.random.bytes16()).to_string())
}
